"""Payments that are held for a person before anyone asked the issuer (`hold: unsent`)."""

from typing import Any

import pytest

from gateway.books.payments import PaymentRow
from gateway.payments.commit import receive
from gateway.payments.lifecycle import execute, judge
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import RequestOf, Shop, verdict

DECLINED = "4000000000000002"


async def held(shop: Shop, request_of: RequestOf, **fields: Any) -> PaymentRow:
    """A payment that was received and is held, unsent."""
    request, row = await request_of(**fields)
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    step = await runtime.books.write(judge, runtime.policy, row.id, verdict(row.id, "review", "unsent"), 1.5)
    assert step.to_send is None
    return step.payment


async def recovered(shop: Shop, payment_id: str) -> str:
    """The state of a payment after all that recovery does about it, one step of it a round."""
    for _ in range(5):
        await shop.expire()
    return await shop.state(payment_id)


async def decide(shop: Shop, decision: str) -> Answer:
    """What the decision of the only open review is answered."""
    review, *others = (await shop.get("/v1/reviews", "analyst"))["data"]
    assert not others
    body = {"decision": decision, "reason": "seen"}
    return await shop.post(f"/v1/reviews/{review['id']}/decision", body, who="analyst")


async def test_nobody_is_asked_before_a_person_decided(shop: Shop, request_of: RequestOf) -> None:
    payment = await held(shop, request_of)
    assert (payment.state, payment.attempts, payment.processor) == ("in_review", 0, None)
    assert shop.ledger() == []
    assert await shop.balance() == {}
    shown = await shop.get(f"/v1/payments/{payment.id}")
    assert (shown["risk"]["hold"], shown["amount_capturable"]) == ("unsent", 0)
    void = await shop.post(f"/v1/payments/{payment.id}/void", {}, who="merchant")
    assert (void.status, void.code) == (409, "wrong_state")


@pytest.mark.parametrize(
    ("capture", "asked", "state"), [("automatic", "sale", "captured"), ("manual", "authorize", "authorized")]
)
async def test_approved_it_goes_to_the_issuer_for_the_first_time(
    shop: Shop, request_of: RequestOf, capture: str, asked: str, state: str
) -> None:
    payment = await held(shop, request_of, capture=capture)
    assert (await decide(shop, "approve")).status == 200
    assert await shop.state(payment.id) == state
    assert [(row.operation, row.amount) for row in shop.ledger()] == [(asked, 1000)]
    assert (await shop.get(f"/v1/payments/{payment.id}"))["attempts"] == 1


async def test_rejected_it_ends_voided_without_a_call(shop: Shop, request_of: RequestOf) -> None:
    payment = await held(shop, request_of)
    assert (await decide(shop, "reject")).status == 200
    assert await shop.state(payment.id) == "voided"
    assert (await shop.get(f"/v1/payments/{payment.id}/operations"))["data"] == []
    assert shop.ledger() == []


async def test_the_issuer_may_still_say_no(shop: Shop, request_of: RequestOf) -> None:
    payment = await held(shop, request_of, number=DECLINED)
    decided = await decide(shop, "approve")
    assert (decided.status, decided.json["decision"]) == (200, "approve")
    shown = await shop.get(f"/v1/payments/{payment.id}")
    assert (shown["state"], shown["status"]) == ("declined", "failed")
    assert shown["decline_code"] != "blocked"


async def test_the_second_processor_is_tried_where_the_first_is_away(shop: Shop, request_of: RequestOf) -> None:
    payment = await held(shop, request_of)
    shop.fault("visa", "refuse", times=1)
    assert (await decide(shop, "approve")).status == 200
    shown = await shop.get(f"/v1/payments/{payment.id}")
    assert (shown["state"], shown["attempts"], shown["processor"]) == ("captured", 2, "mastercard")


async def test_a_silent_issuer_leaves_it_unknown_until_it_is_asked(shop: Shop, request_of: RequestOf) -> None:
    payment = await held(shop, request_of)
    shop.fault("visa", "apply_then_silence", operation="authorize", times=1)
    assert (await decide(shop, "approve")).status == 202
    assert await shop.state(payment.id) == "unknown"
    assert await recovered(shop, payment.id) == "captured"
    assert [row.operation for row in shop.ledger()] == ["sale"]


async def test_a_worker_that_dies_after_the_approval_sends_nothing_twice(
    shop: Shop, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await held(shop, request_of)

    async def died(*_: object) -> None:
        raise RuntimeError("the worker died")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.routes.reviews.execute", died)
        assert (await decide(shop, "approve")).status == 500
    assert await recovered(shop, payment.id) == "failed"
    assert shop.ledger() == []


async def test_undecided_for_too_long_it_is_voided_and_nobody_learns_from_it(
    shop: Shop, request_of: RequestOf
) -> None:
    payment = await held(shop, request_of)
    await shop.expire()
    assert await shop.state(payment.id) == "voided"
    review, *_ = (await shop.get("/v1/reviews", "analyst"))["data"]
    assert review["decision"] == "reject"
    late = await shop.post(
        f"/v1/reviews/{review['id']}/decision", {"decision": "approve", "reason": "late"}, who="analyst"
    )
    assert (late.status, late.code) == (409, "wrong_state")
    labels = await shop.gateway.runtime.books.read(
        lambda conn: conn.exec_driver_sql("SELECT count(*) FROM outbox WHERE type = 'label.recorded'").scalar()
    )
    assert labels == 0


async def test_a_payer_cannot_tell_whether_the_issuer_was_asked(shop: Shop, request_of: RequestOf) -> None:
    unsent = await held(shop, request_of)
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    step = await runtime.books.write(judge, runtime.policy, row.id, verdict(row.id, "review"), 1.5)
    asked = (await execute(runtime, step)).payment
    own = ("id", "created_at", "updated_at")
    shown = [await shop.get(f"/v1/payments/{payment.id}", "customer") for payment in (unsent, asked)]
    one, other = [{name: value for name, value in view.items() if name not in own} for view in shown]
    assert one == other
    for processor, seen in (("visa", 0), ("mastercard", 0)):
        listed = await shop.get(f"/v1/payments?state=in_review&processor={processor}", "customer")
        assert len(listed["data"]) == seen
