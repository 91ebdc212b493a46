"""The queue of reviews over HTTP: pages whose place stays where it was, whatever is decided meanwhile."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from gateway.books.payments import PaymentRow, insert_payment
from gateway.books.review_lists import ReviewFilter, list_reviews
from gateway.books.verdicts import insert_late, insert_verdict, select_due_blocks
from gateway.payments.held import expected_loss, open_review
from gateway.payments.late_blocks import act_upon
from tests.gateway.payments import situations
from tests.gateway.payments.conftest import Shop, verdict
from tests.gateway.payments.situations import POLICY


async def page(shop: Shop, cursor: str = "") -> Any:
    return await shop.get(f"/v1/reviews?limit=2&cursor={cursor}", "analyst")


async def test_a_review_tells_who_decided_it_and_why(shop: Shop) -> None:
    assert (await shop.pay(60_000)).json["state"] == "in_review"
    (review,) = (await page(shop))["data"]
    path = f"/v1/reviews/{review['id']}"
    assert await shop.get(path, "analyst") == review
    decided = await shop.post(f"{path}/decision", {"decision": "reject", "reason": "stolen"}, who="analyst")
    after = await shop.get(path, "admin")
    me = await shop.get("/v1/me", "analyst")
    assert (after["decision"], after["reason"], after["decided_by"]) == ("reject", "stolen", me["id"])
    assert decided.json == after | {"decided_at": decided.json["decided_at"]}
    assert (await shop.gateway.ask("GET", "/v1/reviews/rev_nowhere", who="analyst")).status == 404
    assert (await shop.gateway.ask("GET", path, who="customer")).status == 403


async def test_no_open_review_is_lost_when_the_cursors_own_was_decided(shop: Shop) -> None:
    for _ in range(5):
        assert (await shop.pay(60_000)).json["state"] == "in_review"
    first = await page(shop)
    kept, last = first["data"]
    for review in (last, kept):
        body = {"decision": "reject", "reason": "stolen"}
        assert (await shop.post(f"/v1/reviews/{review['id']}/decision", body, who="analyst")).status == 200
    seen, cursor = list[Any](), first["next_cursor"]
    while cursor is not None:
        more = await page(shop, cursor)
        seen, cursor = seen + more["data"], more["next_cursor"]
    still_open = [review for review in seen if "decision" not in review]
    assert len(still_open) == 3
    assert [review["id"] for review in seen[3:]] == [kept["id"], last["id"]]


async def test_who_decided_what_is_in_the_audit_once_however_often_it_is_sent(shop: Shop) -> None:
    paid = (await shop.pay(60_000)).json
    review = (await page(shop))["data"][0]
    for _ in range(2):
        body = {"decision": "reject", "reason": "stolen"}
        await shop.post(f"/v1/reviews/{review['id']}/decision", body, who="analyst", key="k1")
    (told,) = (await shop.get(f"/v1/audit?subject={review['id']}", "admin"))["data"]
    assert told["actor"] == (await shop.get("/v1/me", "analyst"))["id"]
    assert (told["kind"], told["detail"]) == ("review_decided", {"decision": "reject", "payment": paid["id"]})


def stored(conn: Connection, **fields: Any) -> PaymentRow:
    return insert_payment(conn, msgspec.structs.replace(situations.payment(), **fields))


def test_what_may_be_lost_is_in_the_payments_currency_and_ordered_by_its_worth_in_euro(conn: Connection) -> None:
    for number, (amount, currency) in enumerate(
        [(1_000, "EUR"), (100_000, "JPY"), (2_000, "XTS"), (9_999, "EUR")]
    ):
        payment = stored(conn, id=f"pay_{number}", state="in_review", amount=amount, currency=currency)
        if number < 3:
            insert_verdict(conn, verdict(payment.id, "review"))
        loss = expected_loss(conn, POLICY.rates, payment, amount)
        open_review(conn, payment, 1, loss=loss)
    shown = list_reviews(conn, None, 10, ReviewFilter(order="expected_loss")).rows
    assert [(review.currency, review.expected_loss) for review in shown] == [
        ("JPY", 90_000),  # hundreds of euro
        ("XTS", 1_800),  # without a rate: as if these were cents
        ("EUR", 900),
        ("EUR", None),  # nobody has said how likely it is a fraud
    ]


def test_of_a_payment_that_was_taken_it_is_what_was_taken(conn: Connection) -> None:
    taken = {"state": "captured", "recovery_point": "finished", "amount": 1_000, "amount_captured": 600}
    payment = stored(conn, **taken)
    insert_late(conn, verdict(payment.id, "block"), 0)
    (block,) = select_due_blocks(conn, payment.processor, 1, 10)
    act_upon(conn, POLICY, block)
    (review,) = list_reviews(conn, None, 10, ReviewFilter(kind="late", reason="because")).rows
    assert (review.expected_loss, review.amount_captured) == (540, 600)


async def test_a_filter_that_means_nothing_is_refused(shop: Shop) -> None:
    for query in ("open=maybe", "mine=1", "order=age", "kind=new", "reason="):
        answer = await shop.gateway.ask("GET", f"/v1/reviews?{query}", who="analyst")
        assert answer.code == "invalid_request", query
