"""Many who ask for a tenth each, and again while another operation is open: together they get what there is."""

import asyncio
from collections import Counter
from uuid import uuid4

import pytest

from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.test_refunds import BY_CARD, due, given_back, paid, paid_in_parts

CLIENTS = 20
TENTH = 100
PAUSE_S = 0.01


async def until_answered(shop: Shop, path: str, body: dict[str, object]) -> Answer:
    """The answer of one client, who tries again with the same key while it is told to."""
    key = uuid4().hex
    while True:
        answer = await shop.post(path, body, who="merchant", key=key)
        if answer.code not in ("operation_in_progress", "request_in_progress"):
            return answer
        await asyncio.sleep(PAUSE_S)


async def race(shop: Shop, path: str, body: dict[str, object]) -> Counter[str]:
    """What so many clients are told at the same time: a status, or a problem's code."""
    answers = await asyncio.gather(*[until_answered(shop, path, body) for _ in range(CLIENTS)])
    return Counter(answer.code or str(answer.status) for answer in answers)


@pytest.mark.each_on_postgres
@pytest.mark.parametrize("processor", BY_CARD)
@pytest.mark.parametrize("parts", [(1000,), (300, 450, 250)])
async def test_together_they_get_back_what_was_captured(
    shop: Shop, processor: str, parts: tuple[int, ...]
) -> None:
    payment = await paid_in_parts(shop, processor, *parts)
    told = await race(shop, f"/v1/payments/{payment}/refunds", {"amount": TENTH})
    assert told == {"201": 10, "amount_too_large": CLIENTS - 10}
    assert (await shop.get(f"/v1/payments/{payment}"))["amount_refunded"] == sum(given_back(shop)) == 1000
    assert await shop.balance() == {}


@pytest.mark.each_on_postgres
@pytest.mark.parametrize("processor", BY_CARD)
async def test_together_they_capture_what_is_held(shop: Shop, processor: str) -> None:
    payment = await paid(shop, processor, capture="manual")
    told = await race(shop, f"/v1/payments/{payment}/capture", {"amount": TENTH, "final": False})
    assert told == {"200": 10, "amount_too_large": CLIENTS - 10}
    assert sum(row.amount for row in shop.ledger("capture")) == 1000
    assert await shop.balance() == await due(shop, processor, 1000)
