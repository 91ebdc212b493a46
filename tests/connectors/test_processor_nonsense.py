"""Whatever a processor answers, nothing is raised, and a success is about the money and the ids we asked for."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.processors import mastercard, paypal, visa, visa_search
from connectors.processors.contract import Answer, CardDetails, Charge, FollowUp, Query
from connectors.processors.response_checks import answer_to
from connectors.processors.transport import HttpReply
from schemas.money import Money

EUR = Money(1234, "EUR")
CHARGE = Charge("op_1", "att_1", EUR, CardDetails("4111111111111111", 1, 2039), order_reference="ORDER1")
CALL = FollowUp("op_1", "att_1", EUR, "of", "op_0")
ASKED = Query("op_1", "att_1", "authorize", EUR, order_reference="ORDER1")
SUM = {"currency_code": "EUR", "value": "12.34"}
RECORD = {"id": "AUTH1", "status": "CREATED", "amount": SUM, "custom_id": "att_1", "invoice_id": "op_1"}

# Each parser with an answer that it takes for a success.
GOOD: dict[str, tuple[Callable[[HttpReply], Answer], int, dict[str, Any]]] = {
    "visa payment": (
        partial(visa.parse_payment, CHARGE),
        201,
        {
            "id": "675",
            "status": "AUTHORIZED",
            "clientReferenceInformation": {"code": "att_1"},
            "orderInformation": {"amountDetails": {"authorizedAmount": "12.34", "currency": "EUR"}},
        },
    ),
    "visa search": (
        partial(visa_search.parse_search, ASKED),
        201,
        {
            "_embedded": {
                "transactionSummaries": [
                    {
                        "id": "675",
                        "applicationInformation": {"applications": [{"name": "ics_auth", "rCode": "1"}]},
                        "clientReferenceInformation": {"code": "att_1"},
                        "orderInformation": {"amountDetails": {"totalAmount": "12.34", "currency": "EUR"}},
                    }
                ]
            }
        },
    ),
    "mastercard": (
        partial(mastercard.parse_taking, "att_1", "op_1", EUR),
        201,
        {
            "result": "SUCCESS",
            "response": {"gatewayCode": "APPROVED"},
            "order": {"id": "att_1", "status": "AUTHORIZED"},
            "transaction": {"id": "op_1", "amount": 12.34, "currency": "EUR"},
        },
    ),
    "paypal order": (
        partial(paypal.parse_authorized, CHARGE),
        201,
        {"id": "ORDER1", "status": "COMPLETED", "purchase_units": [{"payments": {"authorizations": [RECORD]}}]},
    ),
    "paypal capture": (partial(paypal.parse_captured, CALL), 201, RECORD | {"status": "COMPLETED"}),
}
# Fields a success does not hang on: the processor's own ids, and what is not ours to compare.
FREE = {
    ("visa payment", "id"),
    ("visa search", "transactionSummaries.id"),
    ("mastercard", "order.status"),
    ("paypal order", "status"),
    ("paypal order", "authorizations.id"),
    ("paypal order", "authorizations.invoice_id"),
    ("paypal capture", "id"),
    ("paypal capture", "invoice_id"),
}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


async def read(parse: Callable[[HttpReply], Answer], status: int, body: bytes) -> Answer:
    async def reply() -> HttpReply:
        return HttpReply(status, body)

    return await answer_to(reply(), parse)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all scalars of a JSON document."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, (*path, index))]
    return [path]


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of `document` with another value at `path`."""
    copied = copy.deepcopy(document)
    inner: Any = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copied


@pytest.mark.parametrize("name", GOOD)
async def test_the_good_answers_are_good(name: str) -> None:
    parse, status, document = GOOD[name]
    assert (await read(parse, status, msgspec.json.encode(document))).result == "succeeded"


@pytest.mark.parametrize("name", GOOD)
@given(body=st.binary(max_size=80), status=st.sampled_from([200, 201, 204, 301, 400, 401, 404, 422, 500, 503]))
async def test_bytes_are_never_a_success(name: str, body: bytes, status: int) -> None:
    assert (await read(GOOD[name][0], status, body)).result in ("unknown", "not_found", "failed", "declined")


@pytest.mark.parametrize("name", GOOD)
@given(document=VALUES, status=st.sampled_from([200, 201, 400, 401, 404, 422, 500]))
async def test_other_documents_are_never_a_success(name: str, document: Any, status: int) -> None:
    answer = await read(GOOD[name][0], status, msgspec.json.encode(document))
    assert answer.result in ("unknown", "not_found", "failed", "declined")


@pytest.mark.parametrize("name", GOOD)
@given(data=st.data())
async def test_one_wrong_field_is_no_success(name: str, data: st.DataObject) -> None:
    parse, status, document = GOOD[name]
    path = data.draw(st.sampled_from(leaves(document)))
    value = data.draw(VALUES)
    answer = await read(parse, status, msgspec.json.encode(changed(document, path, value)))
    assert answer.amount in (None, EUR)
    if answer.result == "succeeded":
        field = ".".join([str(key) for key in path if isinstance(key, str)][-2:])
        assert (name, field) in FREE or value in (None, 12.34, "12.34"), (path, value)
