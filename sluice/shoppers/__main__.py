"""`python -m sluice.shoppers`: pay until SIGINT or SIGTERM."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import structlog

from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from connectors.heartbeat import beat
from connectors.logs import configure
from schemas.settings import load
from sluice.settings import ShopperSettings
from sluice.shoppers.shopper import Shopper
from sluice.shoppers.staff import Staff
from sluice.shoppers.traffic import Traffic


async def pay(settings: ShopperSettings) -> None:
    """Sign everybody up, open the shops, and keep paying until cancelled."""
    url, password = settings.gateway_url(), settings.seed_password
    async with AsyncExitStack() as stack:
        logins = [PasswordLogin(f"{name}@example.com", password) for name in ("admin", "analyst")]
        admin, analyst = [
            await stack.enter_async_context(GatewayClient(url, login, retry_for_s=RETRY_FOR_S)) for login in logins
        ]
        shoppers = [Shopper(url, f"shopper-{n}@example.com", password) for n in range(1, settings.shoppers + 1)]
        for shopper in shoppers:
            await stack.enter_async_context(shopper)
        staff = Staff(admin, analyst)
        shops = await staff.open_shops()
        structlog.get_logger().info("paying", rate=settings.shopper_rate, shoppers=len(shoppers))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Traffic(shoppers, shops, staff, settings.shopper_rate).flow())
            tasks.create_task(_say_so(settings))


async def _say_so(settings: ShopperSettings) -> None:
    while True:
        beat(settings, "shoppers", os.getpid(), lag=0)
        await asyncio.sleep(1)


async def main() -> None:
    """Pay until told to stop."""
    configure("shoppers")
    paying = asyncio.current_task()
    assert paying is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, paying.cancel)
    try:
        await pay(load(ShopperSettings))
    except asyncio.CancelledError:
        structlog.get_logger().info("stopped")


if __name__ == "__main__":
    asyncio.run(main())
