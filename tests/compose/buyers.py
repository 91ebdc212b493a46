"""Customers who pay through the proxy, by TLS, while processes are killed; each answer is counted."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec

from connectors.gateway import NOT_KNOWN, RETRIED_STATUSES
from tests.compose.containers import ADDRESS

URL = f"https://{ADDRESS}:8443"
NAMED = "gateway.localhost"  # in the certificate
PASSWORD = "sluice-demo-only"
PAUSE_S = 0.4  # between two payments: 2.5 a second
PATIENCE_S = 60.0
ANSWERED = {201, 202}  # 202: it is held for review
AGAIN = RETRIED_STATUSES | NOT_KNOWN  # by the key a payment is made once, also where nobody knows whether it was


class Paid(msgspec.Struct, frozen=True):
    """A payment that was answered: after how many tries and seconds."""

    id: str
    state: str
    tries: int
    seconds: float


class Buyer:
    """Pays one merchant by one card. What is not answered for good is sent again with the same key."""

    def __init__(self, session: aiohttp.ClientSession, order: dict[str, Any]) -> None:
        self._session, self._order = session, order
        self.again = Counter[str]()

    async def pay_for(self, seconds: float) -> list[Paid]:
        """Payments one after another. Raises `AssertionError` where one has no good end."""
        until, paid = monotonic() + seconds, list[Paid]()
        while monotonic() < until:
            paid.append(await self.pay())
            await asyncio.sleep(PAUSE_S)
        return paid

    async def pay(self) -> Paid:
        """One payment, which must be answered."""
        key, began, tries = {"Idempotency-Key": uuid4().hex}, monotonic(), 0
        while True:
            tries += 1
            status, body = await self._send(key)
            if status in ANSWERED:
                return Paid(body["id"], body["state"], tries, round(monotonic() - began, 2))
            assert status in AGAIN or status == 0, (status, body)
            assert monotonic() - began < PATIENCE_S, (status, body)
            self.again[f"{status} {body['code']}"] += 1
            await asyncio.sleep(1 if status in AGAIN else 0)

    async def _send(self, key: dict[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            path, given = f"{URL}/v1/payments", {"json": self._order, "headers": key}
            async with self._session.post(path, **given, server_hostname=NAMED) as answer:
                return answer.status, json.loads(await answer.read())
        except aiohttp.ClientConnectionError as error:
            return 0, {"code": type(error).__name__}


@asynccontextmanager
async def buyer(authority: Path) -> AsyncIterator[Buyer]:
    """The demo's customer with a card, who trusts the certificates of `authority` (a file) alone."""
    context = ssl.create_default_context(cafile=authority)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        me = await _post(session, "/v1/login", {"email": "merchant@example.com", "password": PASSWORD})
        bearer = {"Authorization": f"Bearer {me['access_token']}"}
        async with session.get(f"{URL}/v1/me", headers=bearer, server_hostname=NAMED) as answer:
            seller = (await answer.json())["id"]
        me = await _post(session, "/v1/login", {"email": "customer@example.com", "password": PASSWORD})
        session.headers["Authorization"] = f"Bearer {me['access_token']}"
        number = {"number": "4111111111111111", "exp_month": 1, "exp_year": 2039}
        card = await _post(session, "/v1/cards", number)
        method = {"type": "card", "card": card["id"], "cvc": "100"}
        yield Buyer(session, {"amount": 1999, "currency": "EUR", "merchant": seller, "payment_method": method})


async def refused(path: str) -> int:
    """The status that somebody gets who trusts the certificate, whoever signed it."""
    async with aiohttp.ClientSession() as session, session.get(f"{URL}{path}", ssl=False) as answer:
        return answer.status


async def _post(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> Any:
    key = {"Idempotency-Key": uuid4().hex}
    async with session.post(f"{URL}{path}", json=body, headers=key, server_hostname=NAMED) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()
