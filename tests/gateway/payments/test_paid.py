"""Payments in `GET /v1/me/export`: with every text of theirs, a page at a time."""

from typing import Any

import pytest

from gateway.payments import paid
from tests.gateway.payments.conftest import Shop

CANARY = "Wilhelmina"
PAYPAL: dict[str, Any] = {"payment_method": {"type": "paypal"}, "return_url": f"http://localhost/?who={CANARY}"}


async def exported(shop: Shop, who: str = "customer") -> list[Any]:
    """The payments of an export."""
    document = await shop.get("/v1/me/export", who)
    return list(document["payments"])


async def test_a_payer_gets_what_they_wrote_and_what_was_written_of_them(shop: Shop) -> None:
    texts = {"description": f"for {CANARY}", "metadata": {"gift": f"to {CANARY}"}}
    bought = (await shop.pay(5_000, **texts)).json
    reason = {"amount": 100, "reason": f"{CANARY} sent it back"}
    await shop.post(f"/v1/payments/{bought['id']}/refunds", reason, who="merchant")
    ordered = (await shop.pay(700, **texts, **PAYPAL)).json
    newest, oldest = await exported(shop)
    assert newest["payment"] == ordered | {"updated_at": newest["payment"]["updated_at"]}
    assert newest["return_url"].endswith(CANARY)
    assert {name: oldest["payment"][name] for name in texts} == texts
    assert [refund["reason"] for refund in oldest["refunds"]] == [reason["reason"]]
    assert "risk" not in oldest["payment"]
    assert await exported(shop, "merchant") == []  # what it sold is no payment of its own


async def test_payments_come_page_by_page(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paid, "AT_ONCE", 2)
    made = [(await shop.pay(amount)).json["id"] for amount in range(100, 105)]
    assert [each["payment"]["id"] for each in await exported(shop)] == made[::-1]
