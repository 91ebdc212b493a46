"""Those who work for the demo's gateway and shops: they decide, label, capture, void, refund and import."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from connectors.gateway import GatewayClient
from schemas.ids import new_id
from schemas.times import now
from sluice.shoppers.cards import DemoCard, Desk
from sluice.shoppers.people import CVC, PaymentDocument
from sluice.shoppers.shops import ORDINARY, SHOPS, Shop, random

LABEL_AFTER_S = 30.0  # how long it takes until somebody knows whether a payment was fraud
SHIP_AFTER_S = (2.0, 6.0)  # how long it takes until something that was ordered is sent, or the next part of it
RETURN_AFTER_S = (5.0, 20.0)
REVIEW_AFTER = timedelta(seconds=60)
PAST_DAYS = (2.0, 60.0)


class Staff:
    """An admin and an analyst: they open shops, decide reviews, label, capture, void and refund payments."""

    def __init__(self, admin: GatewayClient, analyst: GatewayClient) -> None:
        self._admin = admin
        self._analyst = analyst

    async def open_shops(self) -> dict[Shop, str]:
        """The id of each shop's merchant account."""
        return {shop: await self._open(shop) for shop in SHOPS}

    async def label_later(self, payment_id: str, label: str) -> None:
        """Label a payment `LABEL_AFTER_S` from now."""
        await asyncio.sleep(LABEL_AFTER_S)
        body = {"label": label, "source": "demo"}
        await self._analyst.post(f"/v1/payments/{payment_id}/labels", body, new_id("demo"))

    async def finish(self, payment: PaymentDocument, shop: Shop) -> None:
        """Capture an authorized payment after a while, whole or in parts, or in one case of four void it."""
        await asyncio.sleep(random.uniform(*SHIP_AFTER_S))
        if random.random() < 0.25:
            await self._act(payment, "void", {})
        elif random.random() < shop.in_parts:
            await self._capture_in_parts(payment)
        else:
            await self._act(payment, "capture", {})

    async def give_back_later(self, payment: PaymentDocument) -> None:
        """Refund a payment after a while, in one case of two a part of it."""
        await asyncio.sleep(random.uniform(*RETURN_AFTER_S))
        body = {"amount": random.randint(1, payment["amount"])} if random.random() < 0.5 else {}
        await self._act(payment, "refunds", body)

    async def decide_reviews(self) -> None:
        """Decide what has been held for review for a while."""
        answer = await self._analyst.get("/v1/reviews?open=true&limit=100")
        for review in answer["data"]:
            if datetime.fromisoformat(review["opened_at"]) < now() - REVIEW_AFTER:
                await self._decide(review)

    async def _capture_in_parts(self, payment: PaymentDocument) -> None:
        """Two parts; what was not sent with the second one is released by it."""
        first = max(1, payment["amount"] // 2)
        await self._act(payment, "capture", {"amount": first, "final": False})
        await asyncio.sleep(random.uniform(*SHIP_AFTER_S))
        left = payment["amount"] - first
        if left:
            await self._act(payment, "capture", {"amount": random.randint(1, left), "final": True})

    async def _act(self, payment: PaymentDocument, verb: str, body: dict[str, Any]) -> None:
        await self._admin.post(f"/v1/payments/{payment['id']}/{verb}", body, new_id("demo"))

    async def _decide(self, review: dict[str, Any]) -> None:
        """Somebody who tests cards is told apart at a glance; of the others most have ordered it."""
        if any("tested" in reason for reason in review["reasons"]):
            body = {"decision": "reject", "reason": "One card after another, each for a trifle."}
        elif random.random() < 0.8:
            body = {"decision": "approve", "reason": "The customer ordered it."}
        else:
            body = {"decision": "reject", "reason": "The customer does not know of it."}
        await self._analyst.post(f"/v1/reviews/{review['id']}/decision", body, new_id("demo"))

    async def _open(self, shop: Shop) -> str:
        # The key is always the same: a second demo on the same data directory finds the shops of the first.
        answer = await self._admin.post("/v1/merchants", {"name": shop.name}, f"demo-shop-{SHOPS.index(shop)}")
        return str(answer["id"])


class PastSales:
    """The account that brings in the past of shops that were open before they came to Sluice."""

    def __init__(self, client: GatewayClient, shops: dict[Shop, str]) -> None:
        self._client = client
        self._shops = shops

    async def remember(self, card: DemoCard, desk: Desk) -> None:
        """One payment by this card some weeks ago: on its first day a card counts as new."""
        body = {"number": card.number, "exp_month": card.exp_month, "exp_year": card.exp_year}
        stored = await self._client.post("/v1/cards", body, new_id("demo"))
        shop = random.choice([shop for shop in SHOPS if shop.usual > ORDINARY])
        past = {
            "amount": random.randint(shop.usual, 2 * shop.usual),
            "currency": shop.currency,
            "merchant": self._shops[shop],
            "payment_method": {"type": "card", "card": stored["id"], "cvc": CVC},
            "device": {"id": desk.device_id, "ip": desk.ip},
            "occurred_at": now() - timedelta(days=random.uniform(*PAST_DAYS)),
        }
        await self._client.post("/v1/payments", past, new_id("demo"))
