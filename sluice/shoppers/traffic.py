"""The traffic of the demo: ordinary purchases, declines, PayPal, refunds, and now and then stolen cards."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from math import ceil
from typing import Any

from sluice.shoppers.cards import FAILS_OVER, NO_REFUND, SLOW_TO_TELL, DemoCard, declined_card, new_card
from sluice.shoppers.people import WRONG_CVC, KeptCard, PaymentDocument, Shopper, attempt
from sluice.shoppers.shops import Shop, price, random
from sluice.shoppers.staff import PastSales, Staff
from sluice.shoppers.thieves import Thieves

PAYS_EVERY_S = 40.0  # one card, on average: few pay so often within a minute that it is flagged
STOLEN_EVERY_S = (20.0, 50.0)
TESTS_EVERY_S = (20.0, 60.0)
REVIEWS_EVERY_S = (5.0, 15.0)
LABELLED_GOOD = 0.5  # the share of ordinary purchases that is labelled
CANCELLED = 0.15  # of those by PayPal
MISTYPED = 0.5  # of what issuers decline
AT_ONCE_MAX = 200

Behaviour = Callable[[Shopper, Shop], Awaitable[None]]


class Traffic:
    """Those of `shoppers` who are there by then pay in `shops` (with the ids of their merchant accounts).

    `rate`: purchases per second, all together. `wallet`: how many cards each shopper has.
    """

    def __init__(
        self, shoppers: list[Shopper], wallet: int, shops: dict[Shop, str], staff: Staff, past_sales: PastSales
    ) -> None:
        self._shoppers, self._wallet = shoppers, wallet
        self._shops, self._staff, self._past_sales = shops, staff, past_sales
        self._owners: dict[DemoCard, Shopper] = {}
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._mix: dict[Behaviour, float] = {
            self._buy: 0.82,
            self._buy_later_captured: 0.06,
            self._be_declined: 0.04,
            self._buy_by_paypal: 0.07,
            self._meet_trouble: 0.01,
        }

    async def flow(self, rate: float, thieves: Thieves) -> None:
        """Pay until cancelled, `rate` purchases per second beside those of `thieves`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(STOLEN_EVERY_S, lambda: self._be_stolen_from(thieves)))
            tasks.create_task(self._every(TESTS_EVERY_S, thieves.test_cards))
            tasks.create_task(self._every(REVIEWS_EVERY_S, self._staff.decide_reviews))
            while True:
                await asyncio.sleep(random.expovariate(rate))
                (behaviour,) = random.choices(list(self._mix), list(self._mix.values()))
                await self._slots.acquire()
                errand = tasks.create_task(attempt(behaviour(*self._draw())))
                errand.add_done_callback(lambda _done: self._slots.release())

    async def _every(self, pause_s: tuple[float, float], work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(random.uniform(*pause_s))
            await attempt(work())

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
        """By one of the cards that always are, or by a wrong CVC, which only Mastercard's issuers look at."""
        mistypable = [kept for kept in shopper.cards if kept.card.number.startswith("5")]
        if mistypable and random.random() < MISTYPED:
            kept = random.choice(mistypable)
            await shopper.pay(kept, shop, self._shops[shop], price(shop), cvc=WRONG_CVC)
        else:
            await self._pay_by(declined_card(), shop)

    async def _buy_by_paypal(self, shopper: Shopper, shop: Shop) -> None:
        decision = "cancel" if random.random() < CANCELLED else "approve"
        payment = await shopper.pay_by_paypal(shop, self._shops[shop], price(shop), decision)
        await self._maybe_give_back(payment, shop)

    async def _meet_trouble(self, _shopper: Shopper, shop: Shop) -> None:
        """A processor that fails, one that tells late, or a refund that the issuer refuses."""
        card = random.choice((FAILS_OVER, SLOW_TO_TELL, NO_REFUND))
        payment = await self._pay_by(card, shop)
        if card == NO_REFUND:
            await self._staff.give_back_later(payment)

    async def _pay_by(self, card: DemoCard, shop: Shop) -> PaymentDocument:
        """Pay by a card of the sandbox's. There are few, so each is of one shopper."""
        shopper = self._owners.get(card) or random.choice(self._shoppers)
        return await shopper.pay(await self._keep(shopper, card), shop, self._shops[shop], price(shop))

    async def _maybe_give_back(self, payment: PaymentDocument, shop: Shop) -> None:
        if payment["state"] == "captured" and random.random() < shop.refunded:
            await self._staff.give_back_later(payment)

    async def _be_stolen_from(self, thieves: Thieves) -> None:
        """Somebody notices after a while that a card is gone, and gets another one."""
        shopper = random.choice(self._shoppers)
        stolen = await self._card_of(shopper)
        await thieves.use(stolen)
        shopper.cards = [*(kept for kept in shopper.cards if kept != stolen), await shopper.keep(new_card())]

    async def _card_of(self, shopper: Shopper) -> KeptCard:
        """One of a shopper's cards, of which there are more and more."""
        chosen = random.randrange(self._wallet)
        if chosen < len(shopper.cards):
            return shopper.cards[chosen]
        kept = await self._keep(shopper, new_card())
        shopper.cards.append(kept)
        return kept

    async def _keep(self, shopper: Shopper, card: DemoCard) -> KeptCard:
        """Tokenize a card that its owner has used for long."""
        if card not in self._owners:
            self._owners[card] = shopper
            await self._past_sales.remember(card, shopper.desk)
        return await shopper.keep(card)


def wallet_of(rate: float, people: int) -> int:
    """How many cards each of the `people` has who buy `rate` times per second together."""
    return ceil(rate * PAYS_EVERY_S / people)
