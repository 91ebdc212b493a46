"""The customers of the demo, who sign up, keep cards and pay; some of them with cards that are not theirs."""

import asyncio
import html
import re
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec
import structlog

from connectors.gateway import RETRY_FOR_S, GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from schemas.ids import new_id
from sluice.shoppers.cards import DemoCard, Desk, home
from sluice.shoppers.shops import Shop, random

log = structlog.get_logger()

MAIL_WITHIN_S = 10.0
ORDERS = 10_000, 99_999  # what shops number them from and to
CVC, WRONG_CVC = "100", "102"  # the wrong one is Mastercard's
PASSWORD = "buys all day and sends half of it back"  # noqa: S105 - of people whom the local profile makes up
CONFIRMATION = re.compile(r"^Confirmation: (\S+)", re.MULTILINE)
FORM_ACTION = re.compile(r'<form[^>]* action="([^"]+)"')

PaymentDocument = dict[str, Any]


class KeptCard(msgspec.Struct, frozen=True):
    """A card that its owner tokenized."""

    card_id: str
    card: DemoCard


class NoPayPalForm(Exception):
    """PayPal's page has no form to press a button of."""


class Shopper:
    """A customer's account at the gateway `url`, with mails at `catcher`; use it as `async with`.

    They pay from `desk`. `cards` are those that they pay with. Who `registers` has no account yet, and confirms
    none.
    """

    def __init__(
        self, url: str, catcher: str, email: str, desk: Desk | None = None, *, registers: bool = False
    ) -> None:
        self._url, self._catcher = url, catcher
        self._email = email
        self.desk = desk or home()
        self._registers = registers
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
        return KeptCard(stored["id"], card)

    async def pay(
        self,
        kept: KeptCard,
        shop: Shop,
        merchant_id: str,
        amount: int,
        capture: str = "automatic",
        cvc: str = CVC,
    ) -> PaymentDocument:
        """Pay by card; the payment as the gateway answered it."""
        method = {"type": "card", "card": kept.card_id, "cvc": cvc}
        return await self._pay(shop, merchant_id, amount, {"payment_method": method, "capture": capture})

    async def pay_by_paypal(self, shop: Shop, merchant_id: str, amount: int, decision: str) -> PaymentDocument:
        """Pay by PayPal and press a button of PayPal's page: `decision` is `approve` or `cancel`.

        Returns the payment as it then stands.
        """
        paypal = {"payment_method": {"type": "paypal"}, "return_url": f"{self._url}/healthz"}
        payment = await self._pay(shop, merchant_id, amount, paypal)
        if "next_action" in payment:
            await self._decide(payment["next_action"]["url"], decision)
            payment = await self._client.get(f"/v1/payments/{payment['id']}")
        return payment

    async def _pay(self, shop: Shop, merchant_id: str, amount: int, how: Mapping[str, Any]) -> PaymentDocument:
        """As a shop's app does, which tells the device and the address that it sees."""
        device = {"id": self.desk.device_id, "ip": self.desk.ip}
        order = {"reference": f"order {random.randint(*ORDERS)}", "device": device}
        body = {"amount": amount, "currency": shop.currency, "merchant": merchant_id, **order, **how}
        headers = {"X-Forwarded-For": self.desk.ip}
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
        async with GatewayClient(self._url) as anonymous:
            if self._registers:
                await self._register(anonymous)
            elif not await self._has_account(anonymous):
                await self._register(anonymous)
                await self._confirm()

    async def _has_account(self, anonymous: GatewayClient) -> bool:
        try:
            await anonymous.post("/v1/login", {"email": self._email, "password": PASSWORD})
        except GatewayRefused as refused:
            if refused.status != 401:
                raise
            return False
        return True

    async def _register(self, anonymous: GatewayClient) -> None:
        account = {"email": self._email, "password": PASSWORD, "name": "Somebody"}
        await anonymous.post("/v1/accounts", account, headers={"X-Forwarded-For": self.desk.ip})

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


async def attempt(work: Awaitable[None]) -> None:
    """Await what may go wrong: one purchase that does is no matter, and a processor that refuses is none."""
    try:
        await work
    except (GatewayRefused, GatewayUnavailable, NoPayPalForm, aiohttp.ClientError, TimeoutError) as error:
        if not (isinstance(error, GatewayRefused) and error.code == "processor_declined"):
            log.warning("errand.failed", reason=f"{type(error).__name__}: {error}")
