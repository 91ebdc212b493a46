"""What happens while it is recorded: a few hundred payments, and each thing that a topic may tell of."""

import asyncio
import random
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from connectors.gateway import GatewayClient, GatewayRefused, PasswordLogin
from schemas.ids import new_id
from sluice.shoppers.cards import NO_REFUND, DemoCard, declined_card, new_card
from sluice.shoppers.people import PASSWORD, KeptCard, PaymentDocument, Shopper
from sluice.shoppers.shops import SHOPS, Shop, price, smallest
from sluice.shoppers.staff import Staff

BOOKS = SHOPS[1]  # in euro: PayPal's magic amounts are
AT_ONCE = 6
CARDS = 4  # of each shopper

# Number, month and year of expiry: see "Test cards" in the README.
NO_CAPTURE = DemoCard("4000000000000341", 12, 2031)
NO_VOID = DemoCard("4000000000000606", 12, 2031)
NOBODY_KNOWS = DemoCard("5123450000000008", 5, 2037)
OUT_OF_ORDER = DemoCard("4000000000000119", 1, 2037)  # a technical no of either network
CAPTURE_FAILS, REFUND_FAILS, REFUND_WAITS = 5140, 5142, 5144  # PayPal's amounts, in cents


class Scenes:
    """Shoppers who pay, and staff who captures, refunds, decides and labels."""

    def __init__(
        self, shoppers: list[Shopper], thief: Shopper, staff: Staff, admin: GatewayClient, analyst: GatewayClient
    ) -> None:
        self._shoppers, self._thief, self._staff = shoppers, thief, staff
        self._admin, self._analyst = admin, analyst
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._shops: dict[Shop, str] = {}

    async def play(self, purchases: int) -> None:
        """All of it, with so many plain purchases."""
        self._shops = await self._staff.open_shops()
        for shopper in self._shoppers:
            shopper.cards += [await shopper.keep(new_card()) for _ in range(CARDS)]
        await self._refuse_follow_ups()
        await self._all([self._buy(n) for n in range(purchases)])
        await self._all([self._hold(n) for n in range(purchases // 8)])
        await self._all([self._be_declined() for _ in range(purchases // 16)])
        await self._all([self._pay_by_paypal(n) for n in range(purchases // 16)])
        await self._steal()

    async def _all(self, errands: list[Awaitable[None]]) -> None:
        async def run(errand: Awaitable[None]) -> None:
            async with self._slots:
                with suppress(GatewayRefused):  # what a processor refuses is on the topics: 402
                    await errand

        await asyncio.gather(*(run(errand) for errand in errands))

    async def _buy(self, number: int) -> None:
        shopper, shop = self._shoppers[number % len(self._shoppers)], SHOPS[number % len(SHOPS)]
        payment = await self._pay(shopper, random.choice(shopper.cards), shop)
        if number % 6 == 0:
            await self._act(payment, "refunds", {})
        elif number % 6 == 1:
            for _ in range(2):
                await self._act(payment, "refunds", {"amount": payment["amount"] // 3})
        if number % 4 == 0:
            await self._label(payment, "good")

    async def _hold(self, number: int) -> None:
        """A manual capture: in parts, whole, not at all, or left as it is."""
        shopper, shop = self._shoppers[number % len(self._shoppers)], BOOKS
        payment = await self._pay(shopper, random.choice(shopper.cards), shop, capture="manual")
        part = payment["amount"] // 3
        match number % 5:
            case 0:
                await self._act(payment, "capture", {"amount": part, "final": False})
                await self._act(payment, "capture", {"amount": part, "final": False})
                await self._act(payment, "capture", {"amount": part, "final": True})
                await self._act(payment, "refunds", {"amount": 2 * part})  # two calls: each part is given back
            case 1:
                await self._act(payment, "capture", {"amount": part, "final": False})
                await self._act(payment, "void", {})
            case 2:
                await self._act(payment, "capture", {})
            case 3:
                await self._act(payment, "void", {})

    async def _be_declined(self) -> None:
        shopper, shop = random.choice(self._shoppers), random.choice(SHOPS)
        await self._pay(shopper, await shopper.keep(declined_card()), shop)

    async def _pay_by_paypal(self, number: int) -> None:
        shopper = self._shoppers[number % len(self._shoppers)]
        decision = "cancel" if number % 5 == 0 else "approve"
        await shopper.pay_by_paypal(BOOKS, self._shops[BOOKS], price(BOOKS), decision)

    async def _refuse_follow_ups(self) -> None:
        """Each later call that a processor refuses, does not decide, or does not answer."""
        shopper = self._shoppers[0]
        await self._all([self._hold_on(0, NO_CAPTURE, "capture"), self._hold_on(1, NO_VOID, "void")])
        await self._all([self._give_back(NO_REFUND), self._pay_with(NOBODY_KNOWS), self._pay_with(OUT_OF_ORDER)])
        for amount in (CAPTURE_FAILS, REFUND_FAILS, REFUND_WAITS):
            payment = await shopper.pay_by_paypal(BOOKS, self._shops[BOOKS], amount, "approve")
            await self._all([self._act(payment, "refunds", {})])

    async def _hold_on(self, number: int, card: DemoCard, verb: str) -> None:
        shopper = self._shoppers[number]
        payment = await self._pay(shopper, await shopper.keep(card), BOOKS, capture="manual")
        await self._act(payment, verb, {})

    async def _give_back(self, card: DemoCard) -> None:
        shopper = self._shoppers[2]
        await self._act(await self._pay(shopper, await shopper.keep(card), BOOKS), "refunds", {})

    async def _pay_with(self, card: DemoCard) -> None:
        shopper = self._shoppers[3]
        await self._pay(shopper, await shopper.keep(card), BOOKS)

    async def _steal(self) -> None:
        """Stolen cards are tested, until payments are held and blocked; some of those are decided."""
        for _ in range(14):
            card = await self._thief.keep(new_card())
            payment = await self._pay(self._thief, card, SHOPS[0], smallest(SHOPS[0]))
            await self._label(payment, "fraud")
        reviews = (await self._analyst.get("/v1/reviews?limit=20"))["data"]
        undecided = [review for review in reviews if not review.get("decision")]
        for review, decision in zip(undecided[::2], ["approve", "reject", "approve", "reject"], strict=False):
            body = {"decision": decision, "reason": "recorded"}
            await self._all([self._analyst.post(f"/v1/reviews/{review['id']}/decision", body, new_id("rec"))])

    async def _pay(
        self, shopper: Shopper, card: KeptCard, shop: Shop, amount: int = 0, capture: str = "automatic"
    ) -> PaymentDocument:
        return await shopper.pay(card, shop, self._shops[shop], amount or price(shop), capture)

    async def _act(self, payment: PaymentDocument, verb: str, body: dict[str, Any]) -> None:
        await self._admin.post(f"/v1/payments/{payment['id']}/{verb}", body, new_id("rec"))

    async def _label(self, payment: PaymentDocument, label: str) -> None:
        body = {"label": label, "source": "recorded"}
        await self._analyst.post(f"/v1/payments/{payment['id']}/labels", body, new_id("rec"))


async def leave(url: str, email: str) -> None:
    """A customer erases the account."""
    async with GatewayClient(url, PasswordLogin(email, PASSWORD)) as leaving:
        await leaving.delete("/v1/me")
