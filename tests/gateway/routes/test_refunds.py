"""The list of refunds: pages, filters, and who sees what. What a refund does is in `tests/gateway/payments/`."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.books.payments import insert_payment
from gateway.books.refunds import RefundRow, put_refund
from schemas.ids import new_id
from tests.gateway.conftest import Gateway
from tests.gateway.payments import situations

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUNDS = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def made(gateway: Gateway) -> AsyncIterator[list[str]]:
    """Refunds of the customer's payment `pay` at the merchant, the newest first."""
    ids = {who: (await gateway.ask("GET", "/v1/me", who=who)).json["id"] for who in ("customer", "merchant")}
    parties = {"customer_id": ids["customer"], "merchant_id": ids["merchant"]}
    rows = [_refund(number, **parties) for number in range(REFUNDS)]
    await gateway.runtime.books.write(insert_payment, situations.payment("captured"))
    await asyncio.gather(*[gateway.runtime.books.write(put_refund, row) for row in rows])
    yield sorted((row.id for row in rows), reverse=True)


def _refund(number: int, customer_id: str, merchant_id: str) -> RefundRow:
    return RefundRow(
        id=new_id("ref"),
        payment_id="pay",
        customer_id=customer_id,
        merchant_id=merchant_id,
        currency="EUR",
        reason="why",
        created_at=number,
        amount=100 + number,
        updated_at=number,
    )


async def pages(gateway: Gateway, who: str, query: str = "") -> list[list[str]]:
    """The ids of each page of two."""
    found, cursor = [], ""
    while True:
        page = (await gateway.ask("GET", f"/v1/refunds?limit=2{query}{cursor}", who=who)).json
        found.append([refund["id"] for refund in page["data"]])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("who", ["customer", "merchant", "analyst", "admin"])
@pytest.mark.parametrize("query", ["", "&payment=pay"])
async def test_refunds_come_page_by_page_the_newest_first(
    gateway: Gateway, made: list[str], who: str, query: str
) -> None:
    assert await pages(gateway, who, query) == [made[:2], made[2:4], made[4:]]


async def test_whose_they_are_not_sees_none(gateway: Gateway, made: list[str]) -> None:
    stranger = await gateway.sign_up()
    for query in ("", "&payment=pay"):
        assert await pages(gateway, stranger, query) == [[]]
    assert (await gateway.ask("GET", f"/v1/refunds/{made[0]}", who=stranger)).code == "not_found"
    assert (await gateway.ask("GET", "/v1/refunds/ref_none", who="admin")).code == "not_found"
    assert await pages(gateway, "admin", "&payment=pay_none") == [[]]


async def test_only_merchants_and_staff_read_why(gateway: Gateway, made: list[str]) -> None:
    for who, shown in (("customer", False), ("merchant", True), ("analyst", True)):
        for path in (f"/v1/refunds/{made[0]}", "/v1/refunds"):
            answer = await gateway.ask("GET", path, who=who)
            assert (b"reason" in answer.body) == shown


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=1e2",
        "cursor=made-up",
        "colour=red",
        "payment=a&payment=b",
        "cursor=&cursor=",
    ],
)
async def test_a_query_that_is_wrong_is_refused(gateway: Gateway, query: str) -> None:
    assert (await gateway.ask("GET", f"/v1/refunds?{query}", who="admin")).code == "invalid_request"


@pytest.mark.parametrize("body", [{"amount": 0}, {"amount": 1.5}, {"amount": "1"}, {"reason": ""}, {"to": "me"}])
async def test_a_body_that_is_wrong_is_refused(gateway: Gateway, body: object) -> None:
    answer = await gateway.ask("POST", "/v1/payments/pay/refunds", body, "admin", idempotency_key="wrong")
    assert (answer.status, answer.code) == (422, "invalid_request")


async def test_a_refund_needs_a_key(gateway: Gateway) -> None:
    answer = await gateway.ask("POST", "/v1/payments/pay/refunds", {}, "admin")
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")
