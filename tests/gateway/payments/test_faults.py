"""Processors that misbehave: what the client is told, what the books say in the end, and no double charge."""

import asyncio

import pytest

from connectors.processors.contract import Answer
from gateway.books.operations import select_operations
from gateway.payments.commit import apply
from schemas.money import Money
from tests.gateway.payments.conftest import MASTERCARD, Shop
from tests.patience import eventually

RISK_DECLINED = "4100000000000019"
PENDING_REVIEW = "4000000000009235"

APPLIED = ["apply_then_silence", "apply_then_reset", "apply_then_500", "half_body", "garbage"]


@pytest.mark.parametrize("processor", ["visa", "mastercard"])
@pytest.mark.parametrize("fault", APPLIED)
async def test_money_taken_behind_a_broken_answer_is_found(shop: Shop, fault: str, processor: str) -> None:
    shop.fault(processor, fault, times=1)
    answer = await shop.pay(processor=processor)
    assert (answer.status, answer.json["state"], answer.json["status"]) == (202, "unknown", "pending")
    await shop.expire()
    assert await shop.state(answer.json["id"]) == "captured"
    assert [row.operation for row in shop.ledger()] == ["sale"]


@pytest.mark.parametrize("processor", ["visa", "mastercard"])
async def test_a_request_nobody_got_is_reversed_and_fails(shop: Shop, processor: str) -> None:
    shop.fault(processor, "silence", times=1)
    answer = await shop.pay(processor=processor, key="silent")
    assert (answer.status, answer.json["state"]) == (202, "unknown")
    await shop.expire()
    assert await shop.state(answer.json["id"]) == "failed"
    assert shop.ledger("sale") == []
    repeat = await shop.pay(processor=processor, key="silent")
    assert (repeat.status, repeat.body) == (202, answer.body)  # byte-equal: the client polls with GET


async def test_silence_is_never_turned_into_failed_by_a_guess(shop: Shop) -> None:
    shop.fault("visa", "silence")
    shop.fault("visa", "silence", operation="lookup")
    paid = (await shop.pay(processor="visa")).json["id"]
    for _ in range(3):
        await shop.expire()
        assert await shop.state(paid) == "unknown"
    await shop.sandbox.clear()
    await shop.expire()
    assert await shop.state(paid) == "failed"


async def test_a_sale_that_lands_after_the_end_is_found_booked_and_voided(shop: Shop) -> None:
    shop.fault("visa", "slow", operation="authorize", seconds=600, times=1)
    paid = (await shop.pay(processor="visa")).json["id"]
    await shop.expire()
    assert await shop.state(paid) == "failed"
    await shop.sandbox.clear()  # lets the slow call be applied now
    await _applied(shop, 1)
    await shop.expire()  # the watch
    assert await shop.state(paid) == "failed"
    assert [row.operation for row in shop.ledger()] == ["sale", "void"]
    assert await shop.balance() == {}


@pytest.mark.parametrize("processor", ["visa", "mastercard"])
async def test_a_sale_found_behind_a_reversal_nobody_answered_is_taken_back(shop: Shop, processor: str) -> None:
    paid = await _begin_a_reversal(shop, processor)
    await shop.sandbox.clear()  # lets the slow sale be applied now
    await _applied(shop, 1)
    for _ in range(3):
        await shop.expire()
    assert await shop.state(paid) == "voided"
    assert [row.of for row in shop.ledger()] == [None, shop.ledger()[0].id]
    assert await shop.balance() == {}


@pytest.mark.parametrize("processor", ["visa", "mastercard"])
async def test_a_sale_and_its_reversal_that_both_land_after_the_end_leave_nothing(
    shop: Shop, processor: str
) -> None:
    """A void of the sale would be refused, and asked for without end: it was taken back already."""
    shop.fault(processor, "slow", operation="authorize", seconds=600, times=1)
    paid = (await shop.pay(processor=processor)).json["id"]
    for operation in ("void", "reversal"):
        shop.fault(processor, "slow", operation=operation, seconds=600, times=1)
    await shop.expire()
    await shop.expire()
    assert await shop.state(paid) == "failed"
    await shop.sandbox.clear()  # lets the slow calls be applied now, in the order they came
    await _applied(shop, 2)
    await shop.expire()  # the watch
    assert await shop.state(paid) == "failed"
    made = (await shop.get(f"/v1/payments/{paid}/operations"))["data"]
    assert [(o["kind"], o["status"]) for o in made] == [("sale", "succeeded"), ("reversal", "succeeded")]
    assert await shop.balance() == {}


async def test_a_sale_found_while_its_reversal_is_open_waits_for_its_end(shop: Shop) -> None:
    paid = await _begin_a_reversal(shop, "visa")
    runtime = shop.gateway.runtime
    sale, reversal = await runtime.books.read(select_operations, paid)
    found = Answer("succeeded", "their-reference", amount=Money(1000, "EUR"))
    await runtime.books.write(apply, runtime.policy, sale.id, found)
    assert await shop.state(paid) == "unknown"
    await runtime.books.write(apply, runtime.policy, reversal.id, Answer("not_found"))
    assert await shop.state(paid) == "captured"


async def _begin_a_reversal(shop: Shop, processor: str) -> str:
    """A payment whose sale may still land, and whose reversal was sent and not answered."""
    shop.fault(processor, "slow", operation="authorize", seconds=600, times=1)
    paid = (await shop.pay(processor=processor)).json["id"]
    for operation in ("void", "reversal"):
        shop.fault(processor, "silence", operation=operation)
    await shop.expire()
    assert await shop.state(paid) == "unknown"
    sale, reversal = await shop.gateway.runtime.books.read(select_operations, paid)
    assert (sale.status, reversal.kind, reversal.status) == ("unknown", "reversal", "unknown")
    return str(paid)


async def test_a_refused_connection_goes_to_the_next_processor(shop: Shop) -> None:
    shop.fault("visa", "refuse")
    payment = (await shop.pay()).json
    assert (payment["state"], payment["processor"], payment["attempts"]) == ("captured", "mastercard", 2)


async def test_a_processor_the_client_named_never_fails_over(shop: Shop) -> None:
    shop.fault("visa", "refuse")
    answer = await shop.pay(processor="visa")
    assert (answer.status, answer.json["state"], answer.json["status"]) == (201, "failed", "failed")
    assert shop.ledger() == []


async def test_with_no_processor_left_a_payment_fails(shop: Shop) -> None:
    shop.fault("visa", "refuse")
    shop.fault("mastercard", "refuse")
    payment = (await shop.pay()).json
    assert (payment["state"], payment["decline_code"]) == ("failed", "processor_unavailable")


async def test_a_client_that_hangs_up_leaves_a_whole_payment(shop: Shop) -> None:
    shop.fault("visa", "slow", operation="authorize", seconds=0.3, times=1)
    call = asyncio.create_task(shop.pay(key="hung-up"))
    await _pending(shop)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.gather(*shop.gateway.runtime.running)
    again = await shop.pay(key="hung-up")
    assert (again.status, again.json["state"]) == (201, "captured")
    assert len(shop.ledger()) == 1


async def test_a_key_still_running_is_told_to_wait(shop: Shop) -> None:
    shop.fault("visa", "slow", operation="authorize", seconds=600, times=1)
    first = asyncio.create_task(shop.pay(key="same"))
    await _pending(shop)
    second = await shop.pay(key="same")
    assert (second.status, second.code) == (409, "request_in_progress")
    assert int(second.headers["Retry-After"]) >= 1
    await shop.sandbox.clear()
    assert (await first).json["state"] == "captured"
    assert len(shop.ledger()) == 1


@pytest.mark.parametrize("fault", APPLIED)
async def test_a_capture_behind_a_broken_answer_is_found(shop: Shop, fault: str) -> None:
    held = (await shop.pay(capture="manual", processor="visa")).json["id"]
    shop.fault("visa", fault, operation="capture", times=1)
    answer = await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant")
    assert (answer.status, answer.json["state"]) == (202, "authorized")
    busy = await shop.post(f"/v1/payments/{held}/void", {}, who="merchant")
    assert (busy.status, busy.code) == (409, "operation_in_progress")
    assert int(busy.headers["Retry-After"]) >= 1
    await shop.expire()
    assert await shop.state(held) == "captured"
    assert [row.operation for row in shop.ledger()] == ["authorize", "capture"]


@pytest.mark.parametrize("processor", ["visa", "mastercard"])
async def test_a_capture_nobody_got_is_done_anew(shop: Shop, processor: str) -> None:
    held = (await shop.pay(capture="manual", processor=processor)).json["id"]
    shop.fault(processor, "silence", operation="capture", times=1)
    answer = await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant")
    assert answer.status == 202
    await shop.expire()
    assert await shop.state(held) == "captured"
    assert [row.operation for row in shop.ledger()] == ["authorize", "capture"]


async def test_a_void_nobody_got_is_done_anew(shop: Shop) -> None:
    held = (await shop.pay(capture="manual", processor="visa")).json["id"]
    shop.fault("visa", "silence", times=1)
    answer = await shop.post(f"/v1/payments/{held}/void", {}, who="merchant")
    assert answer.status == 202
    await shop.expire()
    assert await shop.state(held) == "voided"
    assert await shop.balance() == {}


async def _pending(shop: Shop) -> None:
    await eventually(lambda: shop.gateway.runtime.running)


async def _applied(shop: Shop, rows: int) -> None:
    await eventually(lambda: len(shop.ledger()) >= rows)


async def test_a_capture_is_not_done_anew_while_the_old_one_may_still_land(shop: Shop) -> None:
    held = (await shop.pay(capture="manual", processor="visa")).json["id"]
    shop.fault("visa", "slow", operation="capture", seconds=600, times=1)
    assert (await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant")).status == 202
    shop.fault("visa", "silence", operation="void")  # how a capture is taken back by its id
    await shop.expire()
    assert await shop.state(held) == "authorized"
    assert shop.ledger("capture") == []
    await shop.sandbox.clear()  # the slow capture lands now, and is found while its reversal is open
    await _applied(shop, 2)
    await _assert_taken_once(shop, held, 1000)


async def test_a_capture_that_lands_after_it_was_done_anew_is_taken_back(shop: Shop) -> None:
    held = (await shop.pay(1000, capture="manual", processor="visa")).json["id"]
    shop.fault("visa", "slow", operation="capture", seconds=600, times=1)
    part = {"amount": 400, "final": False}
    assert (await shop.post(f"/v1/payments/{held}/capture", part, who="merchant")).status == 202
    await shop.expire()
    assert await shop.state(held) == "partially_captured"
    await shop.sandbox.clear()  # lets the slow capture be applied now: there is room for both
    await _applied(shop, 3)
    assert len(shop.ledger("capture")) == 2
    await _assert_taken_once(shop, held, 400)


async def test_of_two_captures_that_land_late_one_stays(shop: Shop) -> None:
    held = (await shop.pay(1000, capture="manual", processor="visa")).json["id"]
    shop.fault("visa", "slow", operation="capture", seconds=600, times=2)
    part = {"amount": 400, "final": False}
    assert (await shop.post(f"/v1/payments/{held}/capture", part, who="merchant")).status == 202
    await shop.expire()  # done anew, and nobody answers that one either
    assert await shop.state(held) == "authorized"
    await shop.sandbox.clear()
    await _applied(shop, 3)
    await _assert_taken_once(shop, held, 400)


async def test_a_capture_that_lands_after_a_refusal_was_told_is_taken_back(shop: Shop) -> None:
    held = (await shop.pay(1000, capture="manual", processor="visa")).json["id"]
    shop.fault("visa", "slow", operation="capture", seconds=600, times=1)
    assert (await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant")).status == 202
    runtime = shop.gateway.runtime
    _, first = await runtime.books.read(select_operations, held)
    await runtime.books.write(apply, runtime.policy, first.id, Answer("not_found"))  # so it is done anew
    _, first, second = await runtime.books.read(select_operations, held)
    await shop.sandbox.clear()
    await _applied(shop, 2)
    refused = Answer("failed", detail="EXCEEDS_AUTH_AMOUNT")
    await runtime.books.write(apply, runtime.policy, second.id, refused)
    assert (await shop.get(f"/v1/payments/{held}"))["last_refusal"]["kind"] == "capture"
    await _assert_taken_once(shop, held, 0)
    assert [row.request_id for row in shop.ledger("capture")] == [first.id]


async def test_a_look_that_nobody_answered_ends_no_watch(shop: Shop) -> None:
    shop.fault("visa", "slow", operation="authorize", seconds=600, times=1)
    paid = (await shop.pay(processor="visa")).json["id"]
    await shop.expire()
    shop.fault("visa", "garbage", operation="lookup")
    for _ in shop.gateway.runtime.policy.watch_us:
        await shop.expire()
    await shop.sandbox.clear()  # lets the slow sale be applied now
    await _applied(shop, 1)
    await shop.expire()
    assert await shop.state(paid) == "failed"
    assert [row.operation for row in shop.ledger()] == ["sale", "void"]


async def _assert_taken_once(shop: Shop, payment: str, amount: int) -> None:
    """Whatever is still open comes to its end: the amount was captured once, here and there."""
    for _ in range(8):  # on a busy machine a look goes unanswered now and then
        await shop.expire()
    shown = await shop.get(f"/v1/payments/{payment}")
    assert shown["amount_captured"] == amount
    back = {row.of for row in shop.ledger("void")}
    taken = [row.amount for row in shop.ledger("capture") if row.id not in back]
    assert (sum(taken), len(taken)) == (amount, bool(amount))
    amounts = {"due": amount, "hold": shown["amount_capturable"]}
    merchant = await shop.account("merchant")
    at_visa = {f"{account}:visa": amount for account, amount in amounts.items() if amount}
    assert await shop.balance() == at_visa | {
        f"{account}:{merchant}": -amount for account, amount in amounts.items() if amount
    }
    operations = await shop.gateway.runtime.books.read(select_operations, payment)
    assert {operation.status for operation in operations} <= {"succeeded", "failed"}


async def test_a_decline_behind_an_approval_frees_the_money_first(shop: Shop) -> None:
    """CyberSource's AUTHORIZED_RISK_DECLINED: the bank holds the money of a payment that is declined."""
    answer = await shop.pay(payment_method={"type": "card", "card": await shop.card(RISK_DECLINED)})
    assert (answer.status, answer.json["state"]) == (201, "declined")
    assert [row.operation for row in shop.ledger()] == ["authorize", "reversal"]
    assert await shop.balance() == {}


@pytest.mark.parametrize("card", [RISK_DECLINED, PENDING_REVIEW])
@pytest.mark.parametrize("mode", ["automatic", "manual"])
async def test_a_decline_behind_an_approval_that_lands_after_the_end_frees_the_money(
    shop: Shop, card: str, mode: str
) -> None:
    """After each look of the watch but the last it may land, and it is reversed."""
    shop.fault("visa", "slow", operation="authorize", seconds=600, times=1)
    method = {"type": "card", "card": await shop.card(card)}
    paid = (await shop.pay(payment_method=method, processor="visa", capture=mode)).json["id"]
    for _ in shop.gateway.runtime.policy.watch_us:
        await shop.expire()
    assert await shop.state(paid) == "failed"
    await shop.sandbox.clear()  # lets the slow call be applied now
    await _applied(shop, 1)
    await shop.expire()  # the last look
    assert await shop.state(paid) == "failed"
    assert [row.operation for row in shop.ledger()] == ["authorize", "reversal"]
    assert await shop.balance() == {}


@pytest.mark.parametrize("mode", ["automatic", "manual"])
async def test_an_approval_that_mastercard_doubted_and_that_lands_late_frees_the_money(
    shop: Shop, mode: str
) -> None:
    shop.fault("mastercard", "slow", operation="authorize", seconds=600, times=1)
    method = {"type": "card", "card": await shop.card(MASTERCARD, exp=(5, 2037))}
    paid = (await shop.pay(payment_method=method, processor="mastercard", capture=mode)).json["id"]
    await shop.expire()
    assert await shop.state(paid) == "failed"
    await shop.sandbox.clear()
    await _applied(shop, 1)
    await shop.expire()
    assert len(shop.ledger("void")) == 1
    assert await shop.state(paid) == "failed"
    assert await shop.balance() == {}
