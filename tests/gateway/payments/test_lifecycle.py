"""What a verdict lets through: which operation is sent, at which processor, and what everybody is told of a no."""

from time import perf_counter
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.payments import PaymentRow
from gateway.payments.commit import Committed, apply, receive
from gateway.payments.lifecycle import advance, execute, judge
from gateway.payments.stand_in import NEW_CARDS
from schemas.fraud import Outcome, Verdict
from schemas.operations import OperationKind
from schemas.states import PaymentState
from tests.gateway.payments.conftest import VISA, RequestOf, Shop, verdict


async def judged(shop: Shop, request_of: RequestOf, outcome: Outcome, **fields: str) -> Committed:
    """A payment that was received, after this verdict."""
    request, row = await request_of(**fields)
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    return await runtime.books.write(judge, runtime.policy, row.id, verdict(row.id, outcome), 1.5)


@pytest.mark.each_on_postgres
@pytest.mark.parametrize(
    ("outcome", "capture", "sent", "state"),
    [
        ("allow", "automatic", "sale", "captured"),
        ("allow", "manual", "authorize", "authorized"),
        ("flag", "automatic", "sale", "captured"),
        ("flag", "manual", "authorize", "authorized"),
        ("review", "automatic", "authorize", "in_review"),
        ("review", "manual", "authorize", "in_review"),
    ],
)
async def test_a_verdict_decides_what_is_sent(
    shop: Shop, request_of: RequestOf, outcome: Outcome, capture: str, sent: OperationKind, state: PaymentState
) -> None:
    step = await judged(shop, request_of, outcome, capture=capture)
    assert step.to_send is not None
    assert (step.to_send.kind, step.to_send.status, step.to_send.processor) == (sent, "sending", "visa")
    done = await execute(shop.gateway.runtime, step)
    assert (done.payment.state, done.payment.risk_outcome) == (state, outcome)
    assert [row.request_id for row in shop.ledger()] == [step.to_send.id]


async def test_a_block_calls_no_processor_and_tells_its_customer_nothing(
    shop: Shop, request_of: RequestOf
) -> None:
    step = await judged(shop, request_of, "block")
    assert step.to_send is None
    assert step.payment.state == "declined"
    assert shop.ledger() == []
    path = f"/v1/payments/{step.payment.id}"
    told = {who: (await shop.get(path, who))["decline_code"] for who in ("customer", "merchant", "analyst")}
    assert told == {"customer": "generic_decline", "merchant": "blocked", "analyst": "blocked"}
    assert "risk" not in await shop.get(path, "customer")
    assert (await shop.get(path, "analyst"))["risk"] == {
        "outcome": "block",
        "source": "rules",
        "score": 0.9,
        "reasons": ["because"],
        "model": "m1",
        "waited_ms": 1.5,
        "hold": "authorized",
        "counterfactual": {"amount": 399, "currency": "EUR"},
    }
    assert (await shop.get(path, "merchant"))["risk"] == {"outcome": "block"}


async def test_a_customer_cannot_tell_a_block_from_an_issuers_decline(shop: Shop, request_of: RequestOf) -> None:
    runtime = shop.gateway.runtime
    blocked = (await judged(shop, request_of, "block")).payment
    sent = await judged(shop, request_of, "allow")
    assert sent.to_send is not None
    refused = Answer("declined", decline_code="generic_decline")
    declined = (await runtime.books.write(apply, runtime.policy, sent.to_send.id, refused)).payment
    own = ("id", "created_at", "updated_at")
    shown = [await shop.get(f"/v1/payments/{payment.id}", "customer") for payment in (blocked, declined)]
    one, other = [{name: value for name, value in view.items() if name not in own} for view in shown]
    assert one == other
    assert other["decline_code"] == "generic_decline"
    assert (await shop.get(f"/v1/payments/{declined.id}", "merchant"))["processor"] == "visa"
    for query, by_customer, by_merchant in (
        ("", 2, 2),
        ("&processor=visa", 0, 1),
        ("&processor=mastercard", 0, 0),
    ):
        for who, count in (("customer", by_customer), ("merchant", by_merchant), ("analyst", by_merchant)):
            listed = await shop.get(f"/v1/payments?state=declined{query}", who)
            assert len(listed["data"]) == count, (query, who)


async def test_past_the_merchants_cap_the_stand_in_holds_and_gives_the_cards_cap_back(
    shop: Shop, request_of: RequestOf
) -> None:
    runtime = shop.gateway.runtime
    strict = msgspec.structs.replace(runtime.policy, merchant_cap=999, card_cap=1000)
    for policy, outcome in ((strict, "review"), (runtime.policy, "allow")):
        request, row = await request_of()
        await runtime.books.write(receive, policy, request, row)
        step = await runtime.books.write(judge, policy, row.id, None, 0.0)
        assert (step.payment.risk_outcome, step.payment.applied_risk().source) == (outcome, "stand_in")
    assert dict(await runtime.books.read(_spent)) == {row.stream_key: 1000, row.merchant_id: 1000}


def _spent(conn: Connection) -> list[Any]:
    rows = conn.exec_driver_sql("SELECT subject, used FROM caps")
    return [tuple(row) for row in rows if not row.subject.startswith(NEW_CARDS)]


async def test_a_payer_sees_no_issuer_at_work_while_the_payment_is(shop: Shop, request_of: RequestOf) -> None:
    sent = await judged(shop, request_of, "allow")
    assert sent.to_send is not None
    shown = await shop.get(f"/v1/payments/{sent.payment.id}", "customer")
    assert (shown["state"], shown["processor"], shown["attempts"]) == ("processing", None, 1)
    assert shown["updated_at"] == shown["created_at"]
    assert (await shop.get("/v1/payments?processor=visa", "customer"))["data"] == []
    assert (await shop.get(f"/v1/payments/{sent.payment.id}", "merchant"))["processor"] == "visa"


@pytest.mark.parametrize("number", [VISA, "4000000000000002"])
async def test_a_block_takes_as_long_as_an_issuers_decline(
    shop: Shop, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    runtime = shop.gateway.runtime
    outcomes: list[Outcome] = ["allow", "block"]

    async def wait(payment: PaymentRow, _: float) -> Verdict:
        return verdict(payment.id, outcomes.pop(0))

    monkeypatch.setattr(runtime.verdicts, "wait", wait)
    shop.fault("visa", "slow", seconds=0.3, operation="authorize", times=1)
    took = []
    for _ in ("by the issuer", "by the gate"):
        request, row = await request_of(number=number)
        received = await runtime.books.write(receive, runtime.policy, request, row)
        assert isinstance(received, PaymentRow)
        began = perf_counter()
        await advance(runtime, received, None)
        took.append(perf_counter() - began)
    assert min(took) >= 0.3
    assert len(shop.ledger()) == (number == VISA)
