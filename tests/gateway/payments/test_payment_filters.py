"""The lists of payments over HTTP: every filter finds its payments, and shows nobody what his view does not."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.gateway.payments.conftest import MASTERCARD, Shop

LATER = "2100-01-01T00:00:00Z"


async def found(shop: Shop, who: str, **query: Any) -> list[str]:
    """The ids of a list, page by page."""
    seen, cursor = list[str](), ""
    while cursor is not None:
        page = await shop.get(f"/v1/payments?{urlencode(query | {'limit': 2, 'cursor': cursor})}", who)
        seen, cursor = seen + [payment["id"] for payment in page["data"]], page["next_cursor"]
    return seen


async def test_each_filter_finds_its_payments(shop: Shop) -> None:
    by_mastercard = {"type": "card", "card": await shop.card(MASTERCARD)}
    first = (await shop.pay(100, reference="order 1")).json
    second = (await shop.pay(200, payment_method=by_mastercard, currency="USD")).json
    held = (await shop.pay(60_000)).json
    customer = await shop.account("customer")
    for query, payments in (
        ({}, [held, second, first]),
        ({"customer": customer}, [held, second, first]),
        ({"customer": "acc_none"}, []),
        ({"reference": "order 1"}, [first]),
        ({"last4": "4444"}, [second]),
        ({"amount": 200}, [second]),
        ({"currency": "EUR"}, [held, first]),
        ({"currency": "EUR", "amount": 200}, []),
        ({"state": "captured"}, [second, first]),
        ({"state": "in_review"}, [held]),
        ({"status": "succeeded"}, [second, first]),
        ({"status": "pending"}, [held]),
        ({"status": "pending", "state": "captured"}, []),
        ({"risk": "review"}, [held]),
        ({"risk": "allow", "processor": "mastercard"}, [second]),
        ({"after": first["created_at"], "before": second["created_at"]}, [first]),
        ({"after": LATER}, []),
    ):
        for who in ("merchant", "analyst"):
            assert await found(shop, who, **query) == [payment["id"] for payment in payments], (who, query)
    assert (await shop.get(f"/v1/payments/{first['id']}", "customer"))["reference"] == "order 1"


async def test_staff_alone_find_by_the_customers_address(shop: Shop) -> None:
    paid = [(await shop.pay(100 + number)).json["id"] for number in range(2)]
    email = (await shop.get("/v1/me", "customer"))["email"]
    for query, payments in (
        ({"email": f" {email.upper()}"}, paid[::-1]),
        ({"email": email, "customer": await shop.account("customer"), "amount": 100}, paid[:1]),
        ({"email": email, "customer": await shop.account("merchant")}, []),
        ({"email": "nobody@example.com"}, []),
        ({"email": "no address"}, []),
    ):
        assert await found(shop, "analyst", **query) == payments, query
    refused = await shop.gateway.ask("GET", f"/v1/payments?email={email}", who="merchant")
    assert (refused.status, refused.json["errors"][0]["path"]) == (422, "$.email")


@pytest.mark.each_on_postgres
@pytest.mark.parametrize("name", ["risk", "customer", "reference", "last4", "amount", "currency", "email"])
async def test_a_customer_has_the_filters_of_what_a_customer_sees(gateway: Any, name: str) -> None:
    values = {"risk": "block", "last4": "1111", "amount": "1", "currency": "EUR"}
    refused = await gateway.ask("GET", f"/v1/payments?{name}={values.get(name, 'a')}", who="customer")
    assert (refused.status, refused.json["errors"][0]["path"]) == (422, f"$.{name}")


IMPOSSIBLE = [
    *("last4=12", "last4=1111%0A", "amount=0", "amount=null", "currency=eur", "currency=EUR%0A", "state=x"),
    *("before=253402300800", "after=-62135596801", "after=2026-01-01", "before=", "limit=1e1"),
    *("amount=1&amount=1", "cursor=a&cursor=b", "cursor=a", "state=&state=captured"),
]


async def test_a_filter_that_cannot_be_is_refused(gateway: Any) -> None:
    for query in IMPOSSIBLE:
        answer = await gateway.ask("GET", f"/v1/payments?{query}", who="admin")
        assert (answer.status, answer.code) == (422, "invalid_request"), query
    assert (await gateway.ask("GET", "/v1/payments?cursor=", who="admin")).status == 200
    ends = "after=0001-01-01T00:00:00%2B23:59&before=9999-12-31T23:59:59-23:59"
    assert (await gateway.ask("GET", f"/v1/payments?{ends}", who="admin")).status == 200


async def test_a_cursor_is_for_its_filters(shop: Shop) -> None:
    for number in range(3):
        await shop.pay(100 + number)
    cursor = (await shop.get("/v1/payments?limit=1&state=captured"))["next_cursor"]
    for query, status in (
        ("state=captured", 200),
        ("state=declined", 422),
        ("", 422),
        ("state=captured&limit=2", 200),
    ):
        answer = await shop.gateway.ask("GET", f"/v1/payments?{query}&cursor={cursor}", who="admin")
        assert answer.status == status, query


async def test_events_and_operations_are_read_page_by_page(shop: Shop) -> None:
    paid = (await shop.pay(capture="manual")).json["id"]
    for amount in (100, 200):
        await shop.post(f"/v1/payments/{paid}/capture", {"amount": amount, "final": False}, who="merchant")
    for path, key in (("events", "sequence"), ("operations", "id")):
        whole = await shop.get(f"/v1/payments/{paid}/{path}?limit=100")
        assert whole["next_cursor"] is None
        seen, cursor = list[Any](), ""
        while cursor is not None:
            page = await shop.get(f"/v1/payments/{paid}/{path}?limit=2&cursor={cursor}")
            seen, cursor = seen + page["data"], page["next_cursor"]
        assert [item[key] for item in seen] == [item[key] for item in whole["data"]]
        assert len(seen) >= 3
    numbers = [event["sequence"] for event in (await shop.get(f"/v1/payments/{paid}/events"))["data"]]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_pruned_payment_tells_its_states_from_its_operations(shop: Shop) -> None:
    paid = (await shop.pay(capture="manual")).json["id"]
    await shop.post(f"/v1/payments/{paid}/capture", {}, who="merchant")
    path, books = f"/v1/payments/{paid}/events", shop.gateway.runtime.books
    kept = (await shop.get(path, "customer"))["data"]
    moves = [
        (e["state"], e["previous_state"], e["recorded_at"]) for e in kept if e["type"] != "transaction_completed"
    ]
    last = [event for event in kept if event["state"] == "captured"]
    forget = f"DELETE FROM outbox WHERE subject_id = '{paid}' AND sequence < {{before}}"
    await books.write(lambda conn: conn.exec_driver_sql(forget.format(before=last[0]["sequence"])) and None)
    mixed = (await shop.get(path, "customer"))["data"]
    assert [_move(event) for event in mixed[:2]] == moves[:2]
    assert [event["sequence"] for event in mixed] == [None, None, *[event["sequence"] for event in last]]
    await books.write(lambda conn: conn.exec_driver_sql(forget.format(before=100)) and None)
    told, cursor = list[Any](), ""
    while cursor is not None:
        page = await shop.get(f"{path}?limit=1&cursor={cursor}", "customer")
        told, cursor = told + page["data"], page["next_cursor"]
    assert [_move(event) for event in told] == moves
    assert [(event["id"], event["sequence"]) for event in told] == [(None, None)] * 3


def _move(event: Any) -> tuple[str, str, str]:
    return event["state"], event["previous_state"], event["recorded_at"]
