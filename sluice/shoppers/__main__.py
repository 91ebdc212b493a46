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
from sluice.shoppers.people import Shopper
from sluice.shoppers.staff import PastSales, Staff
from sluice.shoppers.thieves import Thieves
from sluice.shoppers.traffic import Traffic, wallet_of

STAFF = ("admin", "analyst", "replay")


async def pay(settings: ShopperSettings) -> None:
    """Open the shops, sign the shoppers up, and pay until cancelled, from the first of them on."""
    url, catcher = settings.gateway_url(), settings.catcher_url()
    async with AsyncExitStack() as opened:
        logins = [PasswordLogin(f"{name}@example.com", settings.seed_password) for name in STAFF]
        admin, analyst, replay = [
            await opened.enter_async_context(GatewayClient(url, login, retry_for_s=RETRY_FOR_S))
            for login in logins
        ]
        staff = Staff(admin, analyst)
        shops = await staff.open_shops()
        names = [f"shopper-{n}.demo" for n in range(1, settings.shoppers + 1)]
        first, *others = [Shopper(url, catcher, f"{name}@example.com") for name in names]
        shoppers = [await opened.enter_async_context(first)]
        wallet = wallet_of(settings.shopper_rate, settings.shoppers)
        traffic = Traffic(shoppers, wallet, shops, staff, PastSales(replay, shops))
        structlog.get_logger().info("shoppers.started", rate=settings.shopper_rate, shoppers=settings.shoppers)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic.flow(settings.shopper_rate, Thieves(url, catcher, shops, staff)))
            tasks.create_task(_beat(settings))
            for shopper in others:
                shoppers.append(await opened.enter_async_context(shopper))


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
