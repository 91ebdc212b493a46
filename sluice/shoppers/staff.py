"""The other side of the counter: shops are opened, reviews decided, payments labelled, captured and voided."""

import asyncio
from typing import Any

from connectors.gateway import GatewayClient
from schemas.ids import new_id
from sluice.shoppers.shops import SHOPS, Shop, random

REVIEWS_EVERY_S = 10.0
LABEL_AFTER_S = 30.0  # how long it takes until somebody knows what a payment was


class Staff:
    """An admin and an analyst, both logged in."""

    def __init__(self, admin: GatewayClient, analyst: GatewayClient) -> None:
        self._admin = admin
        self._analyst = analyst

    async def open_shops(self) -> dict[Shop, str]:
        """The merchant account of each shop."""
        return {shop: await self._open(shop) for shop in SHOPS}

    async def label_later(self, payment: str, label: str) -> None:
        """Say what a payment was, 30 s from now."""
        await asyncio.sleep(LABEL_AFTER_S)
        body = {"label": label, "source": "demo"}
        await self._analyst.post(f"/v1/payments/{payment}/labels", body, new_id("demo"))

    async def finish(self, payment: str) -> None:
        """Capture an authorized payment after a while, or in one case of four void it."""
        await asyncio.sleep(random.uniform(2, 6))
        verb = "void" if random.random() < 0.25 else "capture"
        await self._admin.post(f"/v1/payments/{payment}/{verb}", {}, new_id("demo"))

    async def decide_reviews(self) -> None:
        """Decide what is held for review, a few at a time."""
        answer = await self._analyst.get("/v1/reviews?limit=20")
        for review in [review for review in answer["data"] if not review.get("decision")]:
            await self._decide(review)

    async def _decide(self, review: dict[str, Any]) -> None:
        decision = "approve" if random.random() < 0.7 else "reject"
        body = {"decision": decision, "reason": "demo"}
        await self._analyst.post(f"/v1/reviews/{review['id']}/decision", body, new_id("demo"))

    async def _open(self, shop: Shop) -> str:
        # Always the same key: a second demo on the same data finds the shops of the first.
        answer = await self._admin.post("/v1/merchants", {"name": shop.name}, f"demo-shop-{SHOPS.index(shop)}")
        return str(answer["id"])
