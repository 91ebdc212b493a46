"""Recovery's pools: a processor that hangs holds up what is due at it, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.payments import recovery_pools
from gateway.payments.recovery_pools import recover
from gateway.runtime import Runtime
from schemas.ids import new_id
from schemas.payments import ProcessorName
from schemas.states import PaymentState
from schemas.times import steady_micros
from tests.gateway.payments.conftest import RequestOf, Shop
from tests.gateway.payments.stored import operation_in, payment_in
from tests.patience import eventually

MANY = 60
CALLS = 4  # at a time, so that few calls fill a pool


@pytest.fixture(autouse=True)
def few_calls(shop: Shop) -> None:
    """Recovery with little room."""
    runtime = shop.gateway.runtime
    runtime.policy = msgspec.structs.replace(runtime.policy, recovery_calls=CALLS)


@asynccontextmanager
async def recovering(runtime: Runtime) -> AsyncIterator[None]:
    """Recovery runs meanwhile, and looks often; the app's own has looked, and sleeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery_pools, "EVERY_S", 0.02)
        task = asyncio.create_task(recover(runtime))
        try:
            yield
        finally:
            await _end(task)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def left_in_doubt(shop: Shop, processor: ProcessorName, count: int = MANY, **given: Any) -> list[str]:
    """So many sales that a processor never got, each `unknown` and due."""
    ids, shop.told = [new_id("pay") for _ in range(count)], False
    await shop.gateway.runtime.books.write(_in_doubt, ids, processor, given)
    return ids


async def ended(shop: Shop, ids: list[str]) -> bool:
    """Whether recovery has ended all of these payments."""
    return await shop.gateway.runtime.books.read(_open, ids) == 0


async def test_one_that_hangs_holds_up_nobody_else(shop: Shop) -> None:
    shop.fault("visa", "silence", operation="lookup", seconds=600)
    hanging = await left_in_doubt(shop, "visa")
    others = await left_in_doubt(shop, "mastercard")
    async with recovering(shop.gateway.runtime):
        await eventually(partial(ended, shop, others))
        assert not await ended(shop, hanging)
        assert await shop.gateway.runtime.books.read(_in_hand, shop.gateway.runtime) <= CALLS


async def test_what_was_interrupted_and_paypal_do_not_wait(shop: Shop, request_of: RequestOf) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
    await shop.press_at_paypal(asked["next_action"]["url"])
    shop.fault("visa", "silence", operation="lookup", seconds=600)
    await left_in_doubt(shop, "visa")
    sent = await left_in_doubt(shop, "visa", 1, status="sending")
    await shop.gateway.runtime.books.write(_expire_order, asked["id"])
    async with recovering(shop.gateway.runtime):
        await eventually(lambda: _has_state(shop, asked["id"], "captured"))
        await eventually(lambda: _has_state(shop, sent[0], "unknown"))


async def test_what_a_pool_had_in_hand_is_taken_over_when_its_lease_has_run_out(shop: Shop) -> None:
    shop.fault("visa", "silence", operation="lookup", seconds=600)
    ids = await left_in_doubt(shop, "visa", CALLS)
    runtime = shop.gateway.runtime
    async with recovering(runtime):
        await eventually(lambda: _full(runtime))
    await shop.sandbox.clear()
    assert not await ended(shop, ids)
    async with recovering(runtime):
        await asyncio.sleep(0.1)
        assert not await ended(shop, ids)  # the leases live
        await runtime.books.write(_expire)
        await eventually(partial(ended, shop, ids))


async def test_what_raises_holds_up_nothing_that_is_due_after_it(shop: Shop) -> None:
    books = shop.gateway.runtime.books
    await books.write(_interrupted, [new_id("pay") for _ in range(CALLS + 1)], "captured", 1)
    fine = new_id("pay")
    await books.write(_interrupted, [fine], "processing", 2)
    async with recovering(shop.gateway.runtime):
        await eventually(lambda: _has_state(shop, fine, "failed"))


async def _full(runtime: Runtime) -> bool:
    return await runtime.books.read(_in_hand, runtime) == CALLS


async def _has_state(shop: Shop, payment_id: str, state: str) -> bool:
    return await shop.state(payment_id) == state


def _in_doubt(conn: Connection, ids: list[str], processor: ProcessorName, given: dict[str, Any]) -> None:
    status: dict[str, Any] = {"status": "unknown"} | given
    state = "processing" if status["status"] == "sending" else "unknown"
    for payment_id in ids:
        payment_in(conn, state, id=payment_id, processor=processor)
        names = {"payment_id": payment_id, "attempt_id": new_id("att"), "processor": processor}
        operation_in(conn, "sale", id=new_id("op"), lease_until=1, **names, **status)


def _interrupted(conn: Connection, ids: list[str], state: PaymentState, lease_until: int) -> None:
    """Received payments whose lease ran out; to end one that was captured is a bug, and raises."""
    for payment_id in ids:
        payment_in(conn, state, id=payment_id, recovery_point="received", processor=None, lease_until=lease_until)


def _open(conn: Connection, ids: list[str]) -> int:
    found = ", ".join(f"'{payment_id}'" for payment_id in ids)
    sql = f"SELECT count(*) FROM payments WHERE state IN ('unknown', 'processing') AND id IN ({found})"
    return int(conn.exec_driver_sql(sql).scalar_one())


def _in_hand(conn: Connection, runtime: Runtime) -> int:
    """How many operations at Visa this worker asks for: a lease is longer than the pause before the next look."""
    leased_until = steady_micros() + runtime.policy.unknown_window_us + 2 * runtime.policy.call_timeout_us
    return int(
        conn.exec_driver_sql(
            f"SELECT count(*) FROM operations WHERE processor = 'visa' AND status = 'unknown'"
            f" AND worker_id = '{runtime.policy.worker_id}' AND lease_until > {leased_until}"
        ).scalar_one()
    )


def _expire(conn: Any) -> None:
    conn.exec_driver_sql("UPDATE operations SET lease_until = 0 WHERE lease_until IS NOT NULL")


def _expire_order(conn: Any, payment_id: str) -> None:
    conn.exec_driver_sql(f"UPDATE operations SET lease_until = 0 WHERE payment_id = '{payment_id}'")
