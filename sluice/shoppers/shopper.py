"""One customer of the demo: signs up, keeps cards, pays by card and by PayPal."""

import html
import re
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec

from connectors.gateway import RETRY_FOR_S, GatewayClient, GatewayRefused, PasswordLogin
from schemas.ids import new_id
from sluice.shoppers.shops import Card, Shop

FORM_ACTION = re.compile(r'<form[^>]* action="([^"]+)"')

Payment = dict[str, Any]


class Kept(msgspec.Struct, frozen=True):
    """A tokenized card with the device it is used from."""

    card: str
    device: dict[str, str]


class NoPayPalForm(Exception):
    """PayPal's page has no form to press a button of."""


class Shopper:
    """A customer's account at the gateway `url`; use it as `async with`."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self._url = url
        self._email = email
        self._password = password
        self.cards: list[Kept] = []

    async def __aenter__(self) -> "Shopper":
        async with AsyncExitStack() as opening:
            browser = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
            self._browser = await opening.enter_async_context(browser)
            await self._sign_up()
            login = PasswordLogin(self._email, self._password)
            client = GatewayClient(self._url, login, retry_for_s=RETRY_FOR_S, connections=8)
            self._client = await opening.enter_async_context(client)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def keep(self, card: Card) -> Kept:
        """Tokenize a card."""
        body = {"number": card.number, "exp_month": card.exp_month, "exp_year": card.exp_year}
        stored = await self._client.post("/v1/cards", body, new_id("demo"))
        return Kept(stored["id"], {"id": new_id("device"), "ip": card.ip})

    async def pay(self, kept: Kept, shop: Shop, merchant: str, amount: int, capture: str = "automatic") -> Payment:
        """Pay by card and return the payment as it was answered."""
        body = {
            "amount": amount,
            "currency": shop.currency,
            "merchant": merchant,
            "payment_method": {"type": "card", "card": kept.card, "cvc": "100"},
            "capture": capture,
            "device": kept.device,
        }
        return await self._pay(body)

    async def pay_by_paypal(self, shop: Shop, merchant: str, amount: int, decision: str) -> None:
        """Go to PayPal's page and press the button: `decision` is `approve` or `cancel`."""
        payment = await self._pay(
            {
                "amount": amount,
                "currency": shop.currency,
                "merchant": merchant,
                "payment_method": {"type": "paypal"},
                "return_url": f"{self._url}/healthz",
            }
        )
        if "next_action" in payment:
            await self._decide(payment["next_action"]["url"], decision)

    async def _pay(self, body: dict[str, Any]) -> Payment:
        payment: Payment = await self._client.post("/v1/payments", body, new_id("demo"))
        return payment

    async def _decide(self, url: str, decision: str) -> None:
        async with self._browser.get(url) as page:
            form = FORM_ACTION.search(await page.text())
        if form is None:
            raise NoPayPalForm(f"HTTP {page.status}")
        async with self._browser.post(urljoin(url, html.unescape(form[1])), data={"decision": decision}):
            pass  # the redirects lead through the gateway's return route, which finishes the payment

    async def _sign_up(self) -> None:
        body = {"email": self._email, "password": self._password, "name": "A shopper"}
        async with GatewayClient(self._url) as anonymous:
            try:
                await anonymous.post("/v1/accounts", body)
            except GatewayRefused as refused:
                if refused.status != 409:  # 409: signed up when the demo ran before
                    raise
