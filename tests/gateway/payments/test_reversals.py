"""Reversals through the books: what a processor took back, and what follows, on the rows as they are stored."""

from typing import Any

from connectors.processors.contract import Answer
from gateway.books.operations import Operation, select_operations
from gateway.payments.commit import apply, open_reversal
from tests.gateway.payments.conftest import Shop


async def silent_capture(shop: Shop) -> tuple[str, Operation]:
    """A payment whose capture nobody answered."""
    held = (await shop.pay(1000, capture="manual", processor="visa")).json["id"]
    shop.fault("visa", "silence", times=1)
    answer = await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant", key="take")
    assert answer.status == 202
    *_, capture = await shop.gateway.runtime.books.read(select_operations, held)
    assert (capture.kind, capture.status) == ("capture", "unknown")
    return held, capture


async def answer(shop: Shop, operation: Operation, **said: Any) -> Any:
    runtime = shop.gateway.runtime
    return await runtime.books.write(apply, runtime.policy, operation.id, Answer(**said))


async def test_a_capture_that_was_taken_back_is_done_anew(shop: Shop) -> None:
    _, capture = await silent_capture(shop)
    runtime = shop.gateway.runtime
    reversal = await runtime.books.write(open_reversal, runtime.policy, capture)
    assert reversal is not None
    step = await answer(shop, reversal, result="succeeded")
    assert step.to_send is not None
    assert (step.to_send.kind, step.to_send.parent_id) == ("capture", capture.parent_id)
    done = await answer(shop, step.to_send, result="succeeded", processor_reference="ref")
    assert (done.payment.state, done.payment.amount_captured) == ("captured", 1000)
    assert await shop.balance() == {"due:visa": 1000, f"due:{await shop.account('merchant')}": -1000}


async def test_a_silent_capture_is_taken_in_the_end_and_once(shop: Shop) -> None:
    held, _ = await silent_capture(shop)
    for _ in range(4):
        await shop.expire()
    assert await shop.state(held) == "captured"
    assert len(shop.ledger("capture")) == 1
    assert await shop.balance() == {"due:visa": 1000, f"due:{await shop.account('merchant')}": -1000}


async def test_a_sale_that_was_taken_back_ends_voided_and_moves_nothing(shop: Shop) -> None:
    shop.fault("visa", "silence", times=1)
    silent = (await shop.pay(processor="visa")).json["id"]
    runtime = shop.gateway.runtime
    (sale,) = await runtime.books.read(select_operations, silent)
    reversal = await runtime.books.write(open_reversal, runtime.policy, sale)
    assert reversal is not None
    step = await answer(shop, reversal, result="succeeded")
    assert (step.payment.state, step.to_send) == ("voided", None)
    assert await shop.balance() == {}


async def test_two_voids_that_both_succeed_release_once(shop: Shop) -> None:
    """A worker frozen past its lease brings its answer after recovery has done the void anew."""
    held = (await shop.pay(1000, capture="manual", processor="visa")).json["id"]
    shop.fault("visa", "silence", times=1)
    await shop.post(f"/v1/payments/{held}/void", {}, who="merchant")
    *_, first = await shop.gateway.runtime.books.read(select_operations, held)
    second = (await answer(shop, first, result="not_found")).to_send
    assert (second.kind, second.parent_id) == ("void", first.parent_id)
    assert (await answer(shop, second, result="succeeded")).payment.state == "voided"
    assert (await answer(shop, first, result="succeeded")).payment.state == "voided"
    assert await shop.balance() == {}
