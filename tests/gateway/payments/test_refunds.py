"""Refunds at the processors' twins: captured money given back, once, whatever the processors do."""

import asyncio
from typing import Any

import pytest

from connectors.processors.contract import FollowUp
from gateway.books.operations import Operation, select_operations
from schemas.money import Money
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import Shop
from tests.patience import eventually

BY_CARD = ["visa", "mastercard"]
PROCESSORS = [*BY_CARD, "paypal"]
APPLIED = ["apply_then_silence", "apply_then_reset", "apply_then_500", "half_body", "garbage"]


async def paid(shop: Shop, processor: str = "visa", amount: int = 1000, **fields: Any) -> str:
    """A payment of 1000, at PayPal with its payer's approval; captured unless `fields` say otherwise."""
    if processor != "paypal":
        return str((await shop.pay(amount, processor=processor, **fields)).json["id"])
    asked = (await shop.pay(amount, payment_method={"type": "paypal"}, **fields)).json
    await shop.come_back(await shop.press_at_paypal(asked["next_action"]["url"]))
    return str(asked["id"])


async def paid_in_parts(shop: Shop, processor: str, *parts: int) -> str:
    """A payment of 1000 of which the merchant captured parts; the last one is final."""
    payment = await paid(shop, processor, capture="manual")
    for number, amount in enumerate(parts, start=1):
        body = {"amount": amount, "final": number == len(parts)}
        assert (await shop.post(f"/v1/payments/{payment}/capture", body, who="merchant")).status == 200
    return payment


async def refund(
    shop: Shop, payment: str, amount: int | None = None, who: str = "merchant", **given: Any
) -> Answer:
    """Ask for a refund."""
    key = given.pop("key", "")
    body = ({"amount": amount} if amount else {}) | given
    return await shop.post(f"/v1/payments/{payment}/refunds", body, who=who, key=key)


async def operations_of(shop: Shop, payment: str) -> list[Operation]:
    return await shop.gateway.runtime.books.read(select_operations, payment)


async def due(shop: Shop, processor: str, amount: int) -> dict[str, int]:
    """The balance that says that `amount` was taken and not given back, and nothing is held."""
    return {f"due:{processor}": amount, f"due:{await shop.account('merchant')}": -amount} if amount else {}


def given_back(shop: Shop) -> list[int]:
    """What the processors gave back and did not take back again."""
    undone = {row.of for row in shop.ledger("void") + shop.ledger("reversal")}
    return [row.amount for row in shop.ledger("refund") if row.id not in undone]


# --- what is given back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_a_part_is_given_back_and_then_all_that_is_left(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor)
    part = await refund(shop, payment, 400, reason="one of two came broken")
    assert (part.status, part.json["status"], part.json["amount"]) == (201, "succeeded", 400)
    assert (part.json["object"], part.json["payment"], part.json["currency"]) == ("refund", payment, "EUR")
    assert await shop.balance() == await due(shop, processor, 600)
    rest = await refund(shop, payment)
    assert (rest.status, rest.json["amount"]) == (201, 600)
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["status"], shown["amount_captured"]) == ("captured", "succeeded", 1000)
    assert shown["amount_refunded"] == 1000
    assert (given_back(shop), await shop.balance()) == ([400, 600], {})


async def test_no_more_is_given_back_than_was_captured(shop: Shop) -> None:
    payment = await paid(shop)
    over = await refund(shop, payment, 1001)
    assert (over.status, over.code) == (422, "amount_too_large")
    assert (await refund(shop, payment, 700)).status == 201
    assert (await refund(shop, payment, 301)).code == "amount_too_large"
    assert (await refund(shop, payment, 300)).status == 201
    for amount in (None, 1):
        assert (await refund(shop, payment, amount)).code == "amount_too_large"
    assert sum(given_back(shop)) == 1000


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_a_refund_that_spans_captures_takes_a_call_for_each(shop: Shop, processor: str) -> None:
    payment = await paid_in_parts(shop, processor, 300, 500)
    first, second = shop.ledger("capture")
    answer = await refund(shop, payment, 700)
    assert (answer.status, answer.json["amount"], answer.json["status"]) == (201, 700, "succeeded")
    calls = [o for o in await operations_of(shop, payment) if o.kind == "refund"]
    assert {o.refund_id for o in calls} == {answer.json["id"]}
    assert {o.parent_id: o.amount for o in calls} == {first.request_id: 300, second.request_id: 400}
    assert given_back(shop) == [300, 400]
    assert await shop.balance() == await due(shop, processor, 100)


async def test_what_was_captured_in_part_is_given_back_while_the_rest_is_held(shop: Shop) -> None:
    payment = await paid(shop, capture="manual")
    await shop.post(f"/v1/payments/{payment}/capture", {"amount": 300, "final": False}, who="merchant")
    assert (await refund(shop, payment, 301)).code == "amount_too_large"
    assert (await refund(shop, payment, 200)).status == 201
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (shown["state"], shown["amount_capturable"], shown["amount_refunded"]) == (
        "partially_captured",
        700,
        200,
    )
    taken = await shop.post(f"/v1/payments/{payment}/capture", {}, who="merchant")
    assert (taken.json["state"], taken.json["amount_captured"]) == ("captured", 1000)
    assert (await refund(shop, payment)).json["amount"] == 800
    assert await shop.balance() == {}


async def test_only_what_was_captured_is_given_back(shop: Shop) -> None:
    held = await paid(shop, capture="manual")
    assert (await refund(shop, held)).code == "wrong_state"
    await shop.post(f"/v1/payments/{held}/void", {}, who="merchant")
    assert (await refund(shop, held)).code == "wrong_state"


# --- who asks, and how often --------------------------------------------------------------------------------


async def test_the_payments_merchant_and_admins_give_money_back(shop: Shop) -> None:
    payment = await paid(shop)
    for who, status in (("customer", 403), ("analyst", 403), ("admin", 201), ("merchant", 201)):
        assert (await refund(shop, payment, 100, who)).status == status
    asked_by = [o.requested_by for o in await operations_of(shop, payment)]
    assert asked_by == [None, await shop.account("admin"), await shop.account("merchant")]


async def test_another_merchants_payments_and_refunds_are_not_there(shop: Shop) -> None:
    body = {"name": "Another shop"}
    other = (await shop.gateway.ask("POST", "/v1/merchants", body, "admin")).json["id"]
    payment = await paid(shop, merchant=other)
    assert (await refund(shop, payment, 100)).code == "not_found"
    made = (await refund(shop, payment, 100, "admin")).json["id"]
    assert (await shop.gateway.ask("GET", f"/v1/refunds/{made}", who="merchant")).code == "not_found"
    assert (await shop.get(f"/v1/refunds?payment={payment}", "merchant"))["data"] == []


async def test_a_refund_is_repeated_byte_for_byte(shop: Shop) -> None:
    payment = await paid(shop)
    first = await refund(shop, payment, 400, key="back")
    again = await refund(shop, payment, 400, key="back")
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await refund(shop, payment, 500, key="back")).code == "idempotency_key_reused"
    assert given_back(shop) == [400]


async def test_a_card_number_is_no_reason(shop: Shop) -> None:
    payment = await paid(shop)
    answer = await refund(shop, payment, 400, reason="back to 4111 1111 1111 1111")
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "$.reason")
    assert b"4111" not in answer.body
    assert given_back(shop) == []


async def test_the_payer_sees_a_refund_without_its_reason(shop: Shop) -> None:
    payment = await paid(shop)
    made = (await refund(shop, payment, 400, reason="we suspect the payer")).json
    assert made["reason"] == "we suspect the payer"
    for who in ("merchant", "analyst", "customer"):
        shown = await shop.get(f"/v1/refunds/{made['id']}", who)
        assert shown == {name: value for name, value in made.items() if who != "customer" or name != "reason"}
        assert (await shop.get(f"/v1/refunds?payment={payment}", who))["data"] == [shown]
    assert (await shop.gateway.ask("GET", f"/v1/refunds/{made['id']}", who="replay")).status == 404


async def test_a_merchant_that_pays_another_one_sees_what_any_payer_does(shop: Shop) -> None:
    body = {"name": "Another shop"}
    other = (await shop.gateway.ask("POST", "/v1/merchants", body, "admin")).json["id"]
    bought = await shop.pay(who="merchant", merchant=other)
    payment = bought.json["id"]
    made = (await refund(shop, payment, 400, who="admin", reason="we suspect the payer")).json["id"]
    for path in (f"/v1/refunds/{made}", f"/v1/payments/{payment}"):
        shown = await shop.get(path, "merchant")
        assert shown.keys().isdisjoint({"reason", "risk"})
        assert not (await shop.get(path, "analyst")).keys().isdisjoint({"reason", "risk"})
    for path in ("/v1/refunds", "/v1/payments"):
        (listed,) = (await shop.get(path, "merchant"))["data"]
        assert listed.keys().isdisjoint({"reason", "risk"})
    assert "risk" not in bought.json
    assert (await shop.get("/v1/payments?risk=allow", "merchant"))["data"] == []


async def test_a_refund_is_told_on_the_payments_topic_and_to_staff(shop: Shop) -> None:
    payment = await paid(shop)
    made = (await refund(shop, payment, 400, reason="secret")).json["id"]
    events = (await shop.get(f"/v1/payments/{payment}/events"))["data"]
    assert [event["type"] for event in events][-2:] == ["refund.pending", "refund.succeeded"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    *_, call = (await shop.get(f"/v1/payments/{payment}/operations"))["data"]
    assert (call["kind"], call["status"], call["amount"], call["refund"]) == ("refund", "succeeded", 400, made)
    assert call["requested_by"] == await shop.account("merchant")


# --- processors that misbehave ------------------------------------------------------------------------------


async def give_back_elsewhere(shop: Shop, payment: str, amount: int) -> None:
    """Refund a sale at its processor behind the gateway's back, so that less is left there."""
    sale, *_ = await operations_of(shop, payment)
    call = FollowUp(
        "op_elsewhere", sale.attempt_id, Money(amount, "EUR"), sale.processor_reference or "", sale.id, True
    )
    assert (await shop.gateway.runtime.processors[sale.processor].refund(call)).result == "succeeded"


@pytest.mark.parametrize("processor", BY_CARD)
async def test_a_refund_that_the_processor_refuses_is_a_402_and_kept(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor)
    await give_back_elsewhere(shop, payment, 800)
    answer = await refund(shop, payment, 400, key="back")
    assert (answer.status, answer.code) == (402, "processor_declined")
    assert answer.headers["Content-Type"] == "application/problem+json"
    failed = await shop.get(f"/v1/refunds/{answer.json['refund']}")
    assert (failed["status"], failed["decline_code"]) == ("failed", answer.json["decline_code"])
    shown = await shop.get(f"/v1/payments/{payment}")
    assert (answer.json["payment"], shown["state"], shown["amount_refunded"]) == (payment, "captured", 0)
    assert shown["last_refusal"]["kind"] == "refund"
    assert shown["last_refusal"]["decline_code"] == answer.json["decline_code"]
    again = await refund(shop, payment, 400, key="back")
    assert (again.status, again.body) == (402, answer.body)
    assert again.headers["Content-Type"] == "application/problem+json"
    events = (await shop.get(f"/v1/payments/{payment}/events"))["data"]
    assert [event["type"] for event in events][-2:] == ["refund.pending", "refund.failed"]
    assert (await refund(shop, payment, 200)).status == 201  # a new try takes a new key


@pytest.mark.parametrize("processor", BY_CARD)
async def test_one_operation_at_a_time(shop: Shop, processor: str) -> None:
    payment = await paid_in_parts(shop, processor, 600)
    shop.fault(processor, "silence", operation="refund", times=1)
    silent = await refund(shop, payment, 400, key="silent")
    assert (silent.status, silent.json["status"]) == (202, "pending")
    for path in ("refunds", "capture", "void"):
        busy = await shop.post(f"/v1/payments/{payment}/{path}", {}, who="merchant")
        assert (busy.status, busy.code) == (409, "operation_in_progress")
        assert int(busy.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_a_refund_nobody_got_is_made_in_the_end_and_once(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor)
    shop.fault(processor, "silence", operation="refund", times=1)
    silent = await refund(shop, payment, 400, key="silent")
    assert (silent.status, silent.json["status"]) == (202, "pending")
    for _ in range(3):
        await shop.expire()
    shown = await shop.get(f"/v1/refunds/{silent.json['id']}")
    assert (shown["status"], given_back(shop)) == ("succeeded", [400])
    calls = [o for o in await operations_of(shop, payment) if o.kind == "refund"]
    deduplicates = shop.gateway.runtime.processors[calls[0].processor].capabilities.deduplicates
    assert [o.status for o in calls] == (["succeeded"] if deduplicates else ["failed", "succeeded"])
    assert await shop.balance() == await due(shop, processor, 600)
    again = await refund(shop, payment, 400, key="silent")
    assert (again.status, again.body) == (202, silent.body)


@pytest.mark.parametrize("processor", BY_CARD)
@pytest.mark.parametrize("fault", APPLIED)
async def test_a_refund_behind_a_broken_answer_is_found(shop: Shop, processor: str, fault: str) -> None:
    payment = await paid(shop, processor)
    shop.fault(processor, fault, operation="refund", times=1)
    assert (await refund(shop, payment, 400)).status == 202
    await shop.expire()
    assert (await shop.get(f"/v1/payments/{payment}"))["amount_refunded"] == 400
    assert given_back(shop) == [400]
    assert len([o for o in await operations_of(shop, payment) if o.kind == "refund"]) == 1


async def test_a_refund_that_lands_after_it_was_done_anew_is_taken_back(shop: Shop) -> None:
    payment = await paid(shop)
    shop.fault("visa", "slow", operation="refund", seconds=600, times=1)
    silent = await refund(shop, payment, 400)
    assert silent.status == 202
    await shop.expire()
    assert (await shop.get(f"/v1/refunds/{silent.json['id']}"))["status"] == "succeeded"
    await shop.sandbox.clear()  # lets the slow refund be applied now: there is room for both
    await eventually(lambda: len(shop.ledger("refund")) == 2)
    for _ in range(3):
        await shop.expire()  # the watch
    assert given_back(shop) == [400]
    assert (await shop.get(f"/v1/payments/{payment}"))["amount_refunded"] == 400
    assert {o.status for o in await operations_of(shop, payment)} <= {"succeeded", "failed"}
    assert await shop.balance() == await due(shop, "visa", 600)


async def test_a_client_that_hangs_up_leaves_a_whole_refund(shop: Shop) -> None:
    payment = await paid(shop)
    shop.fault("visa", "slow", operation="refund", seconds=0.3, times=1)
    call = asyncio.create_task(refund(shop, payment, 400, key="hung-up"))
    await eventually(lambda: shop.gateway.runtime.running)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.gather(*shop.gateway.runtime.running)
    again = await refund(shop, payment, 400, key="hung-up")
    assert (again.status, again.json["status"]) == (201, "succeeded")
    assert given_back(shop) == [400]
