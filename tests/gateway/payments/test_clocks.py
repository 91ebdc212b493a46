"""A wall clock that is set back an hour, or ahead by three, in the middle of something."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.books.idempotency import RequestRunning
from gateway.books.operations import select_operations
from gateway.books.payments import PaymentRow
from gateway.payments.commit import receive
from gateway.payments.lifecycle import judge
from gateway.payments.recovery_pools import sweep
from gateway.policy import INTERRUPTED_AFTER_US
from tests.gateway.payments.conftest import RequestOf, Shop

SetClock = Callable[[float], None]
PassTime = Callable[[float], None]

jumps = pytest.mark.parametrize("hours", [-1, 3])


@pytest.mark.each_on_postgres
@jumps
async def test_the_lease_of_an_operation_lasts_as_long_as_it_was_taken_for(
    shop: Shop, request_of: RequestOf, set_clock: SetClock, pass_time: PassTime, hours: float
) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)
    set_clock(hours)
    await sweep(runtime)
    assert await shop.state(row.id) == "processing"
    pass_time(runtime.settings.lease_s)
    await sweep(runtime)
    assert await shop.state(row.id) == "unknown"
    pass_time(runtime.settings.unknown_window_s + runtime.settings.call_timeout_s)
    await sweep(runtime)
    assert await shop.state(row.id) == "failed"


@pytest.mark.each_on_postgres
@jumps
async def test_a_received_payment_is_neither_interrupted_early_nor_left_for_hours(
    shop: Shop, request_of: RequestOf, set_clock: SetClock, pass_time: PassTime, hours: float
) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    set_clock(hours)
    await sweep(runtime)
    assert await shop.state(row.id) == "processing"
    pass_time(runtime.settings.lease_s + INTERRUPTED_AFTER_US / 1_000_000)
    await sweep(runtime)
    assert await shop.state(row.id) == "failed"


@pytest.mark.each_on_postgres
@jumps
async def test_a_key_is_held_as_long_as_its_lease(
    shop: Shop, request_of: RequestOf, set_clock: SetClock, pass_time: PassTime, hours: float
) -> None:
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    set_clock(hours)
    with pytest.raises(RequestRunning):
        await runtime.books.write(receive, runtime.policy, request, row)
    pass_time(runtime.settings.lease_s)
    taken = await runtime.books.write(receive, runtime.policy, request, row)
    assert isinstance(taken, PaymentRow)


@pytest.mark.each_on_postgres
@jumps
async def test_an_unknown_operation_is_asked_for_after_its_window(
    shop: Shop, set_clock: SetClock, pass_time: PassTime, hours: float
) -> None:
    shop.fault("visa", "apply_then_reset", times=1)
    paying = asyncio.create_task(shop.pay(processor="visa"))
    paid = (await paying).json["id"]
    set_clock(hours)
    await sweep(shop.gateway.runtime)
    assert await shop.state(paid) == "unknown"
    settings = shop.gateway.runtime.settings
    pass_time(settings.unknown_window_s + settings.call_timeout_s)
    await sweep(shop.gateway.runtime)
    assert await shop.state(paid) == "captured"


async def test_operations_keep_their_order_when_the_clock_is_set_back(shop: Shop, set_clock: SetClock) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
    set_clock(-1)
    await shop.come_back(await shop.press_at_paypal(asked["next_action"]["url"]))
    assert (await shop.post(f"/v1/payments/{asked['id']}/refunds", {}, who="admin")).status == 201
    operations = await shop.gateway.runtime.books.read(select_operations, asked["id"])
    assert [operation.kind for operation in operations] == ["order", "authorize", "capture", "refund"]
    assert [operation.id for operation in operations] == sorted(operation.id for operation in operations)
    events: list[Any] = (await shop.get(f"/v1/payments/{asked['id']}/events"))["data"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    await shop.pay()
    newest = (await shop.get("/v1/payments"))["data"]
    assert newest[-1]["id"] == asked["id"]
