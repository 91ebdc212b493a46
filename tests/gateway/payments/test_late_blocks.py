"""A block that comes after the stand-in let its payment through: what is held is released, the rest is a case."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books.caps import caps
from gateway.books.controls import keep_controls
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.verdicts import LateBlock
from gateway.events.late_verdicts import LateVerdicts, keep_late
from gateway.payments.late_blocks import act_upon, apply_late_block
from gateway.payments.recovery_pools import sweep
from gateway.payments.stand_in import NEW_CARDS
from schemas.fraud import ListEntry, Outcome, Verdict
from schemas.times import EPOCH, from_micros, steady_micros
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import MASTERCARD, Shop, verdict
from tests.patience import eventually

NO_REFUND = ("5500000000000004", (4, 2039))
RACES = 5


async def said(shop: Shop, payment: str, outcome: Outcome = "block") -> Verdict:
    """What the flow says of a payment, too late."""
    row: PaymentRow = await shop.gateway.runtime.books.read(existing_payment, payment)
    at, told = from_micros(row.occurred_at), verdict(payment, outcome)
    return msgspec.structs.replace(told, instrument=row.stream_key, merchant=row.merchant_id, occurred_at=at)


async def late(shop: Shop, payment: str, outcome: Outcome = "block") -> None:
    """A verdict that came too late, and recovery has looked."""
    await shop.gateway.runtime.books.write(keep_late, [await said(shop, payment, outcome)])
    await sweep(shop.gateway.runtime)


async def due(shop: Shop) -> list[LateBlock]:
    """All blocks that are not settled, whoever is to find them."""
    return await shop.gateway.runtime.books.read(_due)


async def cases(shop: Shop) -> list[Any]:
    return list((await shop.get("/v1/reviews", "analyst"))["data"])


async def held(shop: Shop, *parts: int, **fields: Any) -> str:
    """A payment of 1000 that its merchant captures, of which these parts were taken and the rest is held."""
    payment = str((await shop.pay(1000, capture="manual", **fields)).json["id"])
    for amount in parts:
        await capture(shop, payment, amount=amount, final=False)
    return payment


async def capture(shop: Shop, payment: str, **body: Any) -> Answer:
    return await shop.post(f"/v1/payments/{payment}/capture", body, who="merchant")


async def decide(shop: Shop, decision: str) -> Answer:
    """Decide the newest case."""
    case, *_ = await cases(shop)
    body = {"decision": decision, "reason": "looked at it"}
    return await shop.post(f"/v1/reviews/{case['id']}/decision", body, who="analyst")


async def test_a_held_payment_is_voided_without_a_case_and_gives_its_caps_back(shop: Shop) -> None:
    payment = await held(shop)
    await late(shop, payment)
    assert await shop.state(payment) == "voided"
    assert await cases(shop) == []
    assert await due(shop) == []
    assert (await shop.balance(), [row.operation for row in shop.ledger()]) == ({}, ["authorize", "reversal"])
    assert await shop.gateway.runtime.books.read(_spent) == {0}


async def test_of_a_part_that_was_taken_there_is_a_case_and_the_rest_is_released(shop: Shop) -> None:
    payment = await held(shop, 300)
    await late(shop, payment)
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_captured"], shown["amount_capturable"]) == ("captured", 300, 0)
    (case,) = await cases(shop)
    assert (case["kind"], case["payment"], case["amount"], case["reasons"]) == ("late", payment, 300, ["because"])
    assert (await decide(shop, "reject")).status == 200
    assert await shop.balance() == {}


async def test_what_was_taken_is_refunded_by_a_reject_once(shop: Shop) -> None:
    payment = (await shop.pay(1000)).json["id"]
    await late(shop, payment)
    (case,) = await cases(shop)
    assert (case["kind"], case["amount"], case["currency"]) == ("late", 1000, "EUR")
    rejected = await decide(shop, "reject")
    assert (rejected.status, rejected.json["kind"], rejected.json["decision"]) == (200, "late", "reject")
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_refunded"]) == ("captured", 1000)
    assert (await decide(shop, "approve")).code == "wrong_state"
    assert [row.amount for row in shop.ledger("refund")] == [1000]
    assert await _labels(shop) == ["fraud"]


async def test_an_approval_leaves_what_was_taken(shop: Shop) -> None:
    payment = (await shop.pay(1000)).json["id"]
    await late(shop, payment)
    assert (await decide(shop, "approve")).status == 200
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_refunded"], shop.ledger("refund")) == ("captured", 0, [])
    assert await _labels(shop) == ["good"]


async def test_a_reject_gives_back_what_the_merchant_has_not_yet(shop: Shop) -> None:
    payment = (await shop.pay(1000)).json["id"]
    await late(shop, payment)
    for amount in (400, 600):
        await shop.post(f"/v1/payments/{payment}/refunds", {"amount": amount}, who="merchant")
    assert (await decide(shop, "reject")).status == 200
    assert [row.amount for row in shop.ledger("refund")] == [400, 600]


async def test_a_decision_stands_while_the_processor_is_silent_and_when_it_refuses(shop: Shop) -> None:
    payment = (await shop.pay(1000)).json["id"]
    number, exp = NO_REFUND
    by = {"type": "card", "card": await shop.card(number, exp=exp)}
    other = (await shop.pay(900, payment_method=by)).json["id"]
    await late(shop, payment)
    shop.fault("visa", "apply_then_silence", operation="refund", times=1)
    assert (await decide(shop, "reject")).status == 202
    await shop.expire()
    assert (await shop.get(f"/v1/payments/{payment}"))["amount_refunded"] == 1000
    await late(shop, other)
    refused = await decide(shop, "reject")
    assert (refused.status, refused.json["decision"]) == (200, "reject")
    shown = await shop.get(f"/v1/payments/{other}")
    assert (shown["amount_refunded"], shown["last_refusal"]["kind"]) == (0, "refund")


async def test_what_a_person_was_to_decide_is_voided_and_its_case_is_closed(shop: Shop) -> None:
    payment = (await shop.pay(6000)).json["id"]  # past the cap of a first card
    assert await shop.state(payment) == "in_review"
    await late(shop, payment)
    assert await shop.state(payment) == "voided"
    (case,) = await cases(shop)
    assert (case["kind"], case["decision"]) == ("held", "reject")
    assert (await decide(shop, "approve")).code == "wrong_state"
    assert await _labels(shop) == []  # the flow does not learn from itself


async def held_unsent(shop: Shop) -> str:
    """A card payment that a person is to decide, and whose issuer was not asked."""
    hold_new_cards(shop)
    asked = (await shop.pay(1000)).json
    assert asked["state"] == "in_review"
    return str(asked["id"])


def hold_new_cards(shop: Shop) -> None:
    """From now on the stand-in holds unsent whatever never paid."""
    runtime = shop.gateway.runtime
    runtime.policy = msgspec.structs.replace(runtime.policy, new_cards=0)


async def test_a_card_payment_that_was_never_sent_is_voided_and_nobody_can_approve_it(shop: Shop) -> None:
    payment = await held_unsent(shop)
    await late(shop, payment)
    assert (await shop.state(payment), await due(shop), shop.ledger()) == ("voided", [], [])
    (case,) = await cases(shop)
    assert (case["kind"], case["decision"]) == ("held", "reject")
    assert (await decide(shop, "approve")).code == "wrong_state"


@pytest.mark.parametrize("outcome", ["review", "block"])
async def test_whoever_the_flow_held_late_brings_the_stand_in_no_further_card(
    shop: Shop, outcome: Outcome
) -> None:
    shop.gateway.runtime.policy = msgspec.structs.replace(shop.gateway.runtime.policy, new_cards=3)
    await late(shop, (await shop.pay(100)).json["id"], "allow")
    second = {"type": "card", "card": await shop.card(MASTERCARD), "cvc": "100"}
    payment = (await shop.pay(100, payment_method=second)).json
    assert payment["state"] == "captured"
    await late(shop, payment["id"], outcome)
    third = {"type": "card", "card": await shop.card("4155555555555554"), "cvc": "100"}
    asked = (await shop.pay(100, payment_method=third)).json
    assert asked["state"] == "in_review"
    assert (await shop.get(f"/v1/payments/{asked['id']}"))["risk"]["hold"] == "unsent"
    assert (await shop.pay(100)).json["state"] == "captured"  # by a card that has paid


async def test_whom_a_person_let_through_brings_the_stand_in_a_further_card(shop: Shop) -> None:
    shop.gateway.runtime.policy = msgspec.structs.replace(shop.gateway.runtime.policy, new_cards=3)
    await late(shop, (await shop.pay(100)).json["id"])
    assert (await decide(shop, "approve")).status == 200
    second = {"type": "card", "card": await shop.card(MASTERCARD), "cvc": "100"}
    assert (await shop.pay(100, payment_method=second)).json["state"] == "captured"


async def test_a_paypal_payment_that_was_never_authorized_is_voided(shop: Shop) -> None:
    hold_new_cards(shop)
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
    await shop.come_back(await shop.press_at_paypal(asked["next_action"]["url"]))
    assert await shop.state(asked["id"]) == "in_review"
    await late(shop, asked["id"])
    assert (await shop.state(asked["id"]), await due(shop), shop.ledger()) == ("voided", [], [])


async def test_of_a_payment_that_a_list_declined_nothing_stays_due(shop: Shop) -> None:
    entry = ListEntry("le_1", "block", "merchant", await shop.account("merchant"), "stolen", None, EPOCH)
    await shop.gateway.runtime.books.write(keep_controls, [entry])
    payment = (await shop.pay(1000)).json["id"]
    await late(shop, payment)
    assert (await shop.state(payment), await due(shop), await cases(shop)) == ("declined", [], [])


async def test_a_block_waits_for_an_authorization_that_a_person_let_through(shop: Shop) -> None:
    payment = await held_unsent(shop)
    shop.fault("visa", "apply_then_silence", operation="authorize", times=1, seconds=1)
    deciding = asyncio.create_task(decide(shop, "approve"))
    await eventually(shop.ledger)
    await late(shop, payment)
    assert (await shop.state(payment), len(await due(shop))) == ("in_review", 1)
    await deciding
    await shop.expire()
    await _let_it_be_due(shop)
    assert [case["kind"] for case in await cases(shop)] == ["late", "held"]
    assert (await shop.state(payment), await due(shop)) == ("captured", [])


async def test_a_block_waits_for_a_call_in_doubt_and_is_acted_upon_when_that_ended(shop: Shop) -> None:
    payment = await held(shop)
    shop.fault("visa", "apply_then_silence", operation="capture", times=1)
    assert (await capture(shop, payment)).status == 202
    await late(shop, payment)
    assert len(await due(shop)) == 1  # in the books: whoever starts next finds it
    assert await cases(shop) == []
    await shop.expire()  # the capture is found at the processor
    await _let_it_be_due(shop)
    assert [case["kind"] for case in await cases(shop)] == ["late"]
    assert await due(shop) == []


async def test_a_block_is_not_tried_before_the_call_it_waits_for_is_asked_for(shop: Shop) -> None:
    payment = await held(shop)
    shop.fault("visa", "apply_then_silence", operation="capture", times=1)
    await capture(shop, payment)
    await late(shop, payment)
    due_at, asked_at = await shop.gateway.runtime.books.read(_when_due)
    assert due_at == asked_at


async def test_a_block_waits_for_an_authorization_in_doubt(shop: Shop) -> None:
    shop.fault("visa", "apply_then_silence", operation="authorize", times=1)
    payment = (await shop.pay(1000, capture="manual")).json["id"]
    await late(shop, payment)
    assert await shop.state(payment) == "unknown"
    await shop.expire()
    await _let_it_be_due(shop)
    assert (await shop.state(payment), await shop.balance()) == ("voided", {})


async def test_a_void_that_its_worker_did_not_live_to_send_is_done(shop: Shop) -> None:
    payment = await held(shop)
    runtime = shop.gateway.runtime
    await runtime.books.write(keep_late, [await said(shop, payment)])
    (block,) = await due(shop)
    step = await runtime.books.write(act_upon, runtime.policy, block)
    assert step.to_send is not None  # and nobody sends it
    for _ in range(3):
        await shop.expire()
    assert (await shop.state(payment), await shop.balance()) == ("voided", {})


async def test_a_block_of_a_paypal_payment_opens_a_case(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
    await shop.come_back(await shop.press_at_paypal(asked["next_action"]["url"]))
    await late(shop, asked["id"])
    assert [case["kind"] for case in await cases(shop)] == ["late"]


@pytest.mark.parametrize("outcome", ["allow", "flag", "review"])
async def test_only_a_block_does_anything(shop: Shop, outcome: Outcome) -> None:
    payment = await held(shop)
    await late(shop, payment, outcome)
    assert (await shop.state(payment), await due(shop), await cases(shop)) == ("authorized", [], [])


async def test_of_a_payment_that_ended_nothing_is_left_to_do(shop: Shop) -> None:
    payment = await held(shop)
    await shop.post(f"/v1/payments/{payment}/void", {}, who="merchant")
    await late(shop, payment)
    await late(shop, payment)  # a repeat of the flow
    assert (await due(shop), await cases(shop), len(shop.ledger("reversal"))) == ([], [], 1)


@pytest.mark.parametrize("held_back", [0, 700])
async def test_of_what_was_given_back_there_is_no_case(shop: Shop, held_back: int) -> None:
    payment = await held(shop, 1000 - held_back)
    await shop.post(f"/v1/payments/{payment}/refunds", {}, who="merchant")
    await late(shop, payment)
    assert (await shop.state(payment), await cases(shop), await due(shop)) == ("captured", [], [])
    assert await shop.balance() == {}


async def test_a_capture_and_a_late_block_at_once_leave_nothing_between(shop: Shop) -> None:
    runtime = shop.gateway.runtime
    payments = [await held(shop, who="customer") for _ in range(RACES)]
    await runtime.books.write(keep_late, [await said(shop, payment) for payment in payments])
    blocks = await due(shop)

    async def soon(number: int, block: LateBlock) -> None:
        await asyncio.sleep(number * 0.002)  # before, beside and after the capture
        await apply_late_block(runtime, block)

    captures = [capture(shop, payment) for payment in payments]
    await asyncio.gather(*captures, *[soon(number, block) for number, block in enumerate(blocks)])
    await _let_it_be_due(shop)
    states = [await shop.state(payment) for payment in payments]
    assert set(states) <= {"voided", "captured"}
    assert {case["payment"] for case in await cases(shop)} == {
        payment for payment, state in zip(payments, states, strict=True) if state == "captured"
    }
    assert await due(shop) == []


async def test_two_gateways_open_one_case(shop: Shop) -> None:
    runtime = shop.gateway.runtime
    payment = (await shop.pay(1000)).json["id"]
    await runtime.books.write(keep_late, [await said(shop, payment)] * 2)
    (block,) = await due(shop)
    await asyncio.gather(*[apply_late_block(runtime, block) for _ in range(4)])
    assert len(await cases(shop)) == 1


# --- on their way into the books -------------------------------------------------------------------------------


async def test_a_block_of_a_payment_from_before_a_restart_is_late(shop: Shop) -> None:
    payment = (await shop.pay(1000)).json["id"]
    await unclaimed(shop.gateway.runtime.late_verdicts, await said(shop, payment))
    await sweep(shop.gateway.runtime)
    assert [case["kind"] for case in await cases(shop)] == ["late"]


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("payment", {"payment": "pay_nobody_has"}),
        ("instrument", {"instrument": "fp_other"}),
        ("merchant", {"merchant": "acc_other"}),
    ],
)
async def test_a_forged_block_is_refused(shop: Shop, field: str, changed: dict[str, str]) -> None:
    payment, refused = await held(shop), list[str]()
    forged = msgspec.structs.replace(await said(shop, payment), **changed)
    # Not the gateway's own: that hears, and logs, what other tests forge on the same broker as well.
    late_verdicts = LateVerdicts(shop.gateway.runtime.books, refused.append)
    await unclaimed(late_verdicts, forged)
    await late_verdicts.close()
    assert (refused, await due(shop)) == ([field], [])


async def unclaimed(late_verdicts: LateVerdicts, verdict: Verdict) -> None:
    """Tell of a verdict whose payment this process has not met, and wait until it was looked at."""
    late_verdicts.listener().on_unclaimed([verdict])
    await eventually(lambda: not late_verdicts._waiting)


async def _let_it_be_due(shop: Shop) -> None:
    await shop.gateway.runtime.books.write(_make_due)
    await sweep(shop.gateway.runtime)


def _make_due(conn: Connection) -> None:
    conn.exec_driver_sql(f"UPDATE verdicts SET due_at = {steady_micros()} WHERE due_at IS NOT NULL")


def _due(conn: Connection) -> list[LateBlock]:
    sql = "SELECT id, payment_id, reasons FROM verdicts WHERE due_at IS NOT NULL ORDER BY id"
    return [LateBlock(*row) for row in conn.exec_driver_sql(sql)]


def _when_due(conn: Connection) -> tuple[int, int]:
    """When the only late block is tried again, and when the only call in doubt is asked for."""
    block = conn.exec_driver_sql("SELECT due_at FROM verdicts WHERE due_at IS NOT NULL").scalar_one()
    call = conn.exec_driver_sql("SELECT lease_until FROM operations WHERE status = 'unknown'").scalar_one()
    return block, call


def _spent(conn: Connection) -> set[int]:
    return {row.used for row in conn.execute(caps.select()) if not row.subject.startswith(NEW_CARDS)}


async def _labels(shop: Shop) -> list[str]:
    return await shop.gateway.runtime.books.read(_told_labels)


def _told_labels(conn: Connection) -> list[str]:
    found = conn.exec_driver_sql("SELECT value FROM outbox WHERE topic = 'labels.v1' ORDER BY id")
    return [msgspec.json.decode(bytes(row[0]))["label"] for row in found]
