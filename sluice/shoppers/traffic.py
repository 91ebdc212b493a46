"""The traffic of the demo: ordinary purchases, declines, PayPal, refunds, and now and then stolen cards."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import structlog

from connectors.gateway import GatewayRefused, GatewayUnavailable
from sluice.shoppers.people import KeptCard, NoPayPalForm, PaymentDocument, Shopper, Staff
from sluice.shoppers.shops import Shop, declined_card, new_card, price, random, smallest

log = structlog.get_logger()

CARDS_MAX = 150  # per shopper, who then pays with the cards kept so far
BURST_EVERY_S = (15.0, 40.0)
BURST_SIZE = (6, 12)
REVIEWS_EVERY_S = 10.0
TESTS_EVERY_S = (20.0, 60.0)
TESTED_CARDS = (12, 18)
LABELLED_GOOD = 0.5  # the share of ordinary purchases that is labelled
AT_ONCE_MAX = 200

Behaviour = Callable[[Shopper, Shop], Awaitable[None]]


class Traffic:
    """Shoppers who pay in `shops` (with the ids of their merchant accounts) at `rate` purchases per second.

    The `thief` tests stolen cards: in an account of his own, or every shopper would soon be suspected of it.
    """

    def __init__(
        self, shoppers: list[Shopper], thief: Shopper, shops: dict[Shop, str], staff: Staff, rate: float
    ) -> None:
        self._shoppers = shoppers
        self._thief = thief
        self._shops = shops
        self._staff = staff
        self._rate = rate
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._mix: dict[Behaviour, float] = {
            self._buy: 0.84,
            self._buy_later_captured: 0.06,
            self._be_declined: 0.04,
            self._buy_by_paypal: 0.06,
        }

    async def flow(self) -> None:
        """Pay until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(lambda: random.uniform(*BURST_EVERY_S), self._use_stolen_card))
            tasks.create_task(self._every(lambda: random.uniform(*TESTS_EVERY_S), self._test_stolen_cards))
            tasks.create_task(self._every(lambda: REVIEWS_EVERY_S, self._staff.decide_reviews))
            while True:
                await asyncio.sleep(random.expovariate(self._rate))
                (behaviour,) = random.choices(list(self._mix), list(self._mix.values()))
                await self._slots.acquire()
                errand = tasks.create_task(self._try(behaviour(*self._draw())))
                errand.add_done_callback(lambda _done: self._slots.release())

    async def _every(self, pause: Callable[[], float], work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(pause())
            await self._try(work())

    async def _try(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (GatewayRefused, GatewayUnavailable, NoPayPalForm, aiohttp.ClientError, TimeoutError) as error:
            log.warning("errand.failed", reason=f"{type(error).__name__}: {error}")

    def _draw(self) -> tuple[Shopper, Shop]:
        return random.choice(self._shoppers), random.choice(list(self._shops))

    async def _buy(self, shopper: Shopper, shop: Shop) -> None:
        payment = await shopper.pay(await self._card_of(shopper), shop, self._shops[shop], price(shop))
        await self._maybe_give_back(payment, shop)
        if random.random() < LABELLED_GOOD:
            await self._staff.label_later(payment["id"], "good")

    async def _buy_later_captured(self, shopper: Shopper, shop: Shop) -> None:
        payment = await shopper.pay(await self._card_of(shopper), shop, self._shops[shop], price(shop), "manual")
        if payment["state"] == "authorized":
            await self._staff.finish(payment, shop)

    async def _be_declined(self, shopper: Shopper, shop: Shop) -> None:
        await shopper.pay(await shopper.keep(declined_card()), shop, self._shops[shop], price(shop))

    async def _buy_by_paypal(self, shopper: Shopper, shop: Shop) -> None:
        decision = "cancel" if random.random() < 0.15 else "approve"
        payment = await shopper.pay_by_paypal(shop, self._shops[shop], price(shop), decision)
        await self._maybe_give_back(payment, shop)

    async def _maybe_give_back(self, payment: PaymentDocument, shop: Shop) -> None:
        if payment["state"] == "captured" and random.random() < shop.refunded:
            await self._staff.give_back_later(payment)

    async def _use_stolen_card(self) -> None:
        shopper, _ = self._draw()
        card = await shopper.keep(new_card())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(random.randint(*BURST_SIZE)):
                shop = random.choice(list(self._shops))
                payment = await shopper.pay(card, shop, self._shops[shop], price(shop, times=8))
                tasks.create_task(self._try(self._staff.label_later(payment["id"], "fraud")))
                await asyncio.sleep(random.uniform(0.1, 0.4))

    async def _test_stolen_cards(self) -> None:
        _, shop = self._draw()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(random.randint(*TESTED_CARDS)):
                card = await self._thief.keep(new_card())
                payment = await self._thief.pay(card, shop, self._shops[shop], smallest(shop))
                tasks.create_task(self._try(self._staff.label_later(payment["id"], "fraud")))

    async def _card_of(self, shopper: Shopper) -> KeptCard:
        if len(shopper.cards) < CARDS_MAX and (len(shopper.cards) < 3 or random.random() < 0.4):
            shopper.cards.append(await shopper.keep(new_card()))
        return random.choice(shopper.cards)
