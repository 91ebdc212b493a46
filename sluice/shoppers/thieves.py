"""Those who pay with stolen cards: from accounts, devices and addresses of their own, and in bursts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from connectors.gateway import GatewayRefused
from schemas.ids import new_id
from sluice.shoppers.cards import hideout, stolen_cards
from sluice.shoppers.people import KeptCard, PaymentDocument, Shopper, attempt
from sluice.shoppers.shops import Shop, price, random, smallest
from sluice.shoppers.staff import Staff

TESTED_CARDS = (12, 18)
BURST_SIZE = (6, 10)
BURST_TIMES = 4.0  # of a shop's usual price: what can be sold again
PAUSE_S = (0.1, 0.4)


class Thieves:
    """Thieves who pay in `shops` (with the ids of their merchant accounts); `staff` finds out about it later."""

    def __init__(self, url: str, catcher: str, shops: dict[Shop, str], staff: Staff) -> None:
        self._url, self._catcher = url, catcher
        self._shops, self._staff = shops, staff
        self._emails: list[str] = []

    async def test_cards(self) -> None:
        """Try one card of a stolen list after another, each for the smallest amount, at one shop."""
        shop = random.choice(list(self._shops))
        async with self._thief() as thief, asyncio.TaskGroup() as tasks:
            for card in stolen_cards(random.randint(*TESTED_CARDS)):
                payment = await thief.pay(await thief.keep(card), shop, self._shops[shop], smallest(shop))
                tasks.create_task(self._tell(payment))

    async def use(self, stolen: KeptCard) -> None:
        """Buy what is dear with one card as long as it pays."""
        async with self._thief() as thief, asyncio.TaskGroup() as tasks:
            kept = await thief.keep(stolen.card)
            for _ in range(random.randint(*BURST_SIZE)):
                shop = random.choice(list(self._shops))
                payment = await thief.pay(kept, shop, self._shops[shop], price(shop, times=BURST_TIMES))
                tasks.create_task(self._tell(payment))
                await asyncio.sleep(random.uniform(*PAUSE_S))

    async def _tell(self, payment: PaymentDocument) -> None:
        await attempt(self._staff.label_later(payment["id"], "fraud"))

    @asynccontextmanager
    async def _thief(self) -> AsyncIterator[Shopper]:
        """Somebody with a new account; with an old one where the gateway makes no more of them for now."""
        async with AsyncExitStack() as opened:
            email = f"{new_id('mail')}@post.demo.example"
            try:
                thief = await opened.enter_async_context(self._at_a_hideout(email, registers=True))
                self._emails.append(email)
            except GatewayRefused:
                if not self._emails:
                    raise
                thief = await opened.enter_async_context(self._at_a_hideout(random.choice(self._emails)))
            yield thief

    def _at_a_hideout(self, email: str, registers: bool = False) -> Shopper:
        return Shopper(self._url, self._catcher, email, hideout(), registers=registers)
