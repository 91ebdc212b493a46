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
from sluice.shoppers.people import Shopper, Staff
from sluice.shoppers.traffic import Traffic


async def pay(settings: ShopperSettings) -> None:
    """Sign the shoppers up, open the shops, and pay until cancelled."""
    url, catcher = settings.gateway_url(), settings.catcher_url()
    async with AsyncExitStack() as stack:
        logins = [PasswordLogin(f"{name}@example.com", settings.seed_password) for name in ("admin", "analyst")]
        admin, analyst = [
            await stack.enter_async_context(GatewayClient(url, login, retry_for_s=RETRY_FOR_S)) for login in logins
        ]
        names = [f"shopper-{n}.demo" for n in range(1, settings.shoppers + 1)]
        shoppers = [Shopper(url, catcher, f"{name}@example.com") for name in names]
        thief = Shopper(url, catcher, "thief.demo@example.com")
        for shopper in (*shoppers, thief):
            await stack.enter_async_context(shopper)
        staff = Staff(admin, analyst)
        shops = await staff.open_shops()
        structlog.get_logger().info("shoppers.started", rate=settings.shopper_rate, shoppers=len(shoppers))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Traffic(shoppers, thief, shops, staff, settings.shopper_rate).flow())
            tasks.create_task(_beat(settings))


async def _beat(settings: ShopperSettings) -> None:
    while True:
        beat(settings, "shoppers", os.getpid(), lag=0)
        await asyncio.sleep(1)


async def main() -> None:
    """Pay until SIGINT or SIGTERM."""
    configure("shoppers")
    paying = asyncio.current_task()
    assert paying is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, paying.cancel)
    try:
        await pay(load(ShopperSettings))
    except asyncio.CancelledError:
        structlog.get_logger().info("shoppers.stopped")


if __name__ == "__main__":
    asyncio.run(main())
