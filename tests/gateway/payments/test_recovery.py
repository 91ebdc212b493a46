"""Each recovery point by name: what a crash leaves behind is ended, and never charged twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connectors.processors.contract import Answer
from gateway.books.idempotency import RequestRunning
from gateway.books.operations import select_operations
from gateway.books.payments import PaymentRow, select_payment
from gateway.payments.commit import apply, receive
from gateway.payments.lifecycle import execute, judge
from gateway.payments.orders import hear
from gateway.payments.processor_calls import send
from gateway.payments.recovery_pools import sweep
from tests.gateway.payments.conftest import RequestOf, Shop


async def test_received_without_its_client_ends_interrupted(shop: Shop, request_of: RequestOf) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    await sweep(runtime)
    assert await shop.state(row.id) == "processing"  # the lease lives
    await shop.expire()
    payment = await shop.get(f"/v1/payments/{row.id}")
    assert (payment["state"], payment["decline_code"]) == ("failed", "interrupted")
    assert shop.ledger() == []


async def test_received_is_taken_over_by_the_same_key_after_its_lease(shop: Shop, request_of: RequestOf) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    _, other = await request_of()
    with pytest.raises(RequestRunning):
        await runtime.books.write(receive, runtime.policy, request, other)
    await runtime.books.write(_expire_keys)
    taken = await runtime.books.write(receive, runtime.policy, request, other)
    assert isinstance(taken, PaymentRow)
    assert taken.id == row.id


async def test_judged_is_asked_for_and_never_sent_again(shop: Shop, request_of: RequestOf) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    step = await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    assert step.to_send is not None
    answer = await send(runtime, step.payment, step.to_send, None, None)  # applied there, and then we die
    assert answer.result == "succeeded"
    await shop.expire()
    assert await shop.state(row.id) == "unknown"
    await shop.expire()
    assert await shop.state(row.id) == "captured"
    assert [operation.operation for operation in shop.ledger()] == ["sale"]


async def test_judged_but_never_sent_ends_failed_and_holds_nothing(shop: Shop, request_of: RequestOf) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    await shop.expire()
    await shop.expire()
    assert await shop.state(row.id) == "failed"
    assert shop.ledger() == []
    assert await shop.balance() == {}


async def test_judged_waits_for_a_vault_that_restarts(shop: Shop, request_of: RequestOf) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    step = await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    assert step.to_send is not None
    socket = Path(runtime.settings.vault)
    await runtime.vault.close()
    away = socket.rename(socket.with_suffix(".away"))  # noqa: ASYNC240
    call = asyncio.create_task(send(runtime, step.payment, step.to_send, None, None))
    done, _ = await asyncio.wait([call], timeout=0.3)
    away.rename(socket)
    assert not done
    assert (await call).result == "succeeded"


async def test_judged_is_not_judged_twice(shop: Shop, request_of: RequestOf) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    first = await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    again = await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    assert first.to_send is not None
    assert again.to_send is None
    assert len(await runtime.books.read(select_operations, row.id)) == 1


async def test_approved_goes_on_through_the_judge(shop: Shop) -> None:
    paid = await shop.pay(payment_method={"type": "paypal"})
    assert paid.json["state"] == "requires_action"
    runtime = shop.gateway.runtime
    await shop.press_at_paypal(paid.json["next_action"]["url"])
    told = Answer("succeeded")
    await runtime.books.write(hear, runtime.policy, paid.json["id"], told, over=False)  # and then we die
    assert await shop.state(paid.json["id"]) == "processing"
    await shop.expire()
    assert await shop.state(paid.json["id"]) == "captured"
    assert [row.operation for row in shop.ledger()] == ["authorize", "capture"]


async def test_an_approval_after_the_end_is_booked_and_taken_back(shop: Shop, request_of: RequestOf) -> None:
    """A worker frozen between check and send comes back after recovery has given its payment up."""
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    step = await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    assert step.to_send is not None
    await shop.expire()
    await shop.expire()
    assert await shop.state(row.id) == "failed"
    answer = await send(runtime, step.payment, step.to_send, None, None)
    late = await runtime.books.write(apply, runtime.policy, step.to_send.id, answer)
    assert late.to_send is not None
    assert late.to_send.kind == "reversal"
    await shop.expire()
    await shop.expire()
    assert await shop.state(row.id) == "failed"
    assert [operation.operation for operation in shop.ledger()] == ["sale", "void"]
    assert await shop.balance() == {}


async def test_an_answer_after_recovery_came_to_its_operation_is_applied(
    shop: Shop, request_of: RequestOf
) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    step = await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    await shop.expire()  # as if its worker had been frozen before it sends
    assert await shop.state(row.id) == "unknown"
    done = await execute(runtime, step)
    assert done.payment.state == await shop.state(row.id) == "captured"
    assert [operation.operation for operation in shop.ledger()] == ["sale"]


async def test_an_answer_that_comes_twice_changes_nothing(shop: Shop) -> None:
    paid = (await shop.pay()).json["id"]
    runtime = shop.gateway.runtime
    operation = (await runtime.books.read(select_operations, paid))[0]
    before = await runtime.books.read(select_payment, paid)
    step = await runtime.books.write(apply, runtime.policy, operation.id, Answer("declined"))
    assert step.to_send is None
    assert await runtime.books.read(select_payment, paid) == before


async def test_two_workers_take_one_lease_once(shop: Shop, request_of: RequestOf) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    await shop.expire()
    await runtime.books.write(_expire_operations)
    await asyncio.gather(sweep(runtime), sweep(runtime))
    operations = await runtime.books.read(select_operations, row.id)
    assert [operation.kind for operation in operations] == ["sale", "reversal"]
    assert await shop.state(row.id) == "failed"


def _expire_keys(conn: Any) -> None:
    conn.exec_driver_sql("UPDATE idempotency_keys SET lease_until = 0")


def _expire_operations(conn: Any) -> None:
    conn.exec_driver_sql("UPDATE operations SET lease_until = 0 WHERE lease_until IS NOT NULL")
