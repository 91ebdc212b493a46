"""The people of the demo: customers who sign up, keep cards and pay, and the staff of the gateway."""

import asyncio
import html
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec

from connectors.gateway import RETRY_FOR_S, GatewayClient, GatewayRefused, PasswordLogin
from schemas.ids import new_id
from sluice.shoppers.shops import SHOPS, DemoCard, Shop, random

LABEL_AFTER_S = 30.0  # how long it takes until somebody knows whether a payment was fraud
SHIP_AFTER_S = (2.0, 6.0)  # how long it takes until something that was ordered is sent, or the next part of it
RETURN_AFTER_S = (5.0, 20.0)
MAIL_WITHIN_S = 10.0
PASSWORD = "buys all day and sends half of it back"  # noqa: S105 - of people whom the local profile makes up
CONFIRMATION = re.compile(r"^Confirmation: (\S+)", re.MULTILINE)
FORM_ACTION = re.compile(r'<form[^>]* action="([^"]+)"')

PaymentDocument = dict[str, Any]


class KeptCard(msgspec.Struct, frozen=True):
    """A tokenized card with the device and the address (IP) it is used from."""

    card_id: str
    device_id: str
    ip: str


class NoPayPalForm(Exception):
    """PayPal's page has no form to press a button of."""


class Shopper:
    """A customer's account at the gateway `url`, with mails at `catcher`; use it as `async with`."""

    def __init__(self, url: str, catcher: str, email: str) -> None:
        self._url, self._catcher = url, catcher
        self._email = email
        self.cards: list[KeptCard] = []

    async def __aenter__(self) -> "Shopper":
        async with AsyncExitStack() as opening:
            browser = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
            self._browser = await opening.enter_async_context(browser)
            await self._sign_up()
            login = PasswordLogin(self._email, PASSWORD)
            client = GatewayClient(self._url, login, retry_for_s=RETRY_FOR_S, connections=8)
            self._client = await opening.enter_async_context(client)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def keep(self, card: DemoCard) -> KeptCard:
        """Tokenize a card."""
        body = {"number": card.number, "exp_month": card.exp_month, "exp_year": card.exp_year}
        stored = await self._client.post("/v1/cards", body, new_id("demo"))
        return KeptCard(stored["id"], new_id("device"), card.ip)

    async def pay(
        self, kept: KeptCard, shop: Shop, merchant_id: str, amount: int, capture: str = "automatic"
    ) -> PaymentDocument:
        """Pay by card; the payment as the gateway answered it."""
        body = {
            "amount": amount,
            "currency": shop.currency,
            "merchant": merchant_id,
            "payment_method": {"type": "card", "card": kept.card_id, "cvc": "100"},
            "capture": capture,
            "device": {"id": kept.device_id},
        }
        return await self._pay(body, {"X-Forwarded-For": kept.ip})

    async def pay_by_paypal(self, shop: Shop, merchant_id: str, amount: int, decision: str) -> PaymentDocument:
        """Pay by PayPal and press a button of PayPal's page: `decision` is `approve` or `cancel`.

        Returns the payment as it then stands.
        """
        payment = await self._pay(
            {
                "amount": amount,
                "currency": shop.currency,
                "merchant": merchant_id,
                "payment_method": {"type": "paypal"},
                "return_url": f"{self._url}/healthz",
            }
        )
        if "next_action" in payment:
            await self._decide(payment["next_action"]["url"], decision)
            payment = await self._client.get(f"/v1/payments/{payment['id']}")
        return payment

    async def _pay(self, body: dict[str, Any], headers: Mapping[str, str] = {}) -> PaymentDocument:
        payment: PaymentDocument = await self._client.post("/v1/payments", body, new_id("demo"), headers)
        return payment

    async def _decide(self, url: str, decision: str) -> None:
        async with self._browser.get(url) as page:
            form = FORM_ACTION.search(await page.text())
        if form is None:
            raise NoPayPalForm(f"HTTP {page.status}")
        async with self._browser.post(urljoin(url, html.unescape(form[1])), data={"decision": decision}):
            pass  # the redirects lead through the gateway's return route, which finishes the payment

    async def _sign_up(self) -> None:
        """Who did so when the demo ran before does not again: a network registers so many an hour."""
        credentials = {"email": self._email, "password": PASSWORD}
        async with GatewayClient(self._url) as anonymous:
            try:
                await anonymous.post("/v1/login", credentials)
            except GatewayRefused as refused:
                if refused.status != 401:
                    raise
                await anonymous.post("/v1/accounts", credentials | {"name": "Somebody"})
                await self._confirm()

    async def _confirm(self) -> None:
        """Paste the token from the mail. Whose mail does not come in time pays on, and gets no messages."""
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(MAIL_WITHIN_S):
                while not (token := await self._mailed_token()):  # noqa: ASYNC110 - the catcher calls nobody
                    await asyncio.sleep(0.1)
                confirm = self._browser.post(f"{self._url}/v1/email/confirm", json={"token": token})
                async with confirm:
                    pass

    async def _mailed_token(self) -> str | None:
        async with self._browser.get(f"{self._catcher}/messages") as answer:
            messages = (await answer.json())["data"]
        found = [CONFIRMATION.search(message["text"]) for message in messages if message["to"] == self._email]
        return next((token[1] for token in found if token), None)


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
        """Decide what is held for review, a few at a time."""
        answer = await self._analyst.get("/v1/reviews?limit=20")
        for review in [review for review in answer["data"] if not review.get("decision")]:
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
        decision = "approve" if random.random() < 0.7 else "reject"
        body = {"decision": decision, "reason": "demo"}
        await self._analyst.post(f"/v1/reviews/{review['id']}/decision", body, new_id("demo"))

    async def _open(self, shop: Shop) -> str:
        # The key is always the same: a second demo on the same data directory finds the shops of the first.
        answer = await self._admin.post("/v1/merchants", {"name": shop.name}, f"demo-shop-{SHOPS.index(shop)}")
        return str(answer["id"])
