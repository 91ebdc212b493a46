"""Canaries where they belong: an account, its cards and payments, under faults and deaths."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, get_args
from uuid import uuid4

import aiohttp
import msgspec

from benchmarks.canary.canaries import Canaries
from connectors.sandbox.faults import FaultName
from sluice.settings import StackSettings
from sluice.shoppers.people import CONFIRMATION

FAULTS: tuple[FaultName, ...] = get_args(FaultName)
AT_ONCE: tuple[FaultName, ...] = ("garbage", "half_body", "apply_then_500", "apply_then_reset")  # nobody waits
MAIL_WITHIN_S = 30
FAULT_S = 2.0  # of a port that is closed, or an answer that takes long
TIMEOUT = aiohttp.ClientTimeout(total=60)


class PaymentFigures(msgspec.Struct):
    """`states`: of the payments that were made, by state or the code of the refusal."""

    payments: int = 0
    states: dict[str, int] = msgspec.field(default_factory=dict)


class CanaryPayer:
    """The person of the canaries, who pays by every card of theirs, from their own address."""

    def __init__(self, settings: StackSettings, canaries: Canaries, merchant_token: str) -> None:
        self._settings = settings
        self._canaries = canaries
        self._merchant_token = merchant_token
        self._token = ""
        self._merchant = ""
        self._cards: list[str] = []
        self._session = aiohttp.ClientSession(
            f"http://127.0.0.1:{settings.port('gateway')}",
            connector=aiohttp.TCPConnector(local_addr=(canaries.ip, 0)),
            timeout=TIMEOUT,
        )
        self.figures = PaymentFigures()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def join(self) -> None:
        """Open the account, log in, and store the cards."""
        who = self._canaries
        new = {"email": who.email, "password": who.password, "name": who.name, "phone": who.phone}
        await self._ask("POST", "/v1/accounts", new)
        login = await self._ask("POST", "/v1/login", {"email": who.email, "password": who.password})
        self._token = login["access_token"]
        await self._confirm()
        everything = {"preferences": {"transaction_completed": ["email", "sms"]}}
        await self._ask("PUT", "/v1/me/notifications", everything)
        self._merchant = (await self._ask("GET", "/v1/me", token=self._merchant_token))["id"]
        for number in who.numbers:
            card = {"number": number, "exp_month": 1, "exp_year": 2039, "name": who.name}
            self._cards.append((await self._ask("POST", "/v1/cards", card))["id"])

    async def _confirm(self) -> None:
        """Paste the token from the mail: nothing else goes to an address that is not confirmed."""
        async with asyncio.timeout(MAIL_WITHIN_S), aiohttp.ClientSession() as browser:
            while True:
                async with browser.get(f"{self._settings.url('catcher')}/messages") as answer:
                    messages = (await answer.json())["data"]
                texts = [message["text"] for message in messages if message["to"] == self._canaries.email]
                if token := next((found[1] for text in texts if (found := CONFIRMATION.search(text))), None):
                    await self._ask("POST", "/v1/email/confirm", {"token": token})
                    return
                await asyncio.sleep(0.1)

    def token(self) -> str:
        """The access token, which nobody keeps."""
        return self._token

    async def known(self) -> dict[str, str]:
        """What is there, by the names that routes and bodies have for it: whatever is sent with these is valid."""
        paid = await self.pay(0)
        return {
            "merchant": self._merchant,
            "card": self._cards[0],
            "payment": paid["id"],
            "account": paid["customer"],
        }

    async def pay(self, card: int, **fields: Any) -> dict[str, Any]:
        """Pay by the n-th card; its answer, or that of a refusal."""
        by = {"type": "card", "card": self._cards[card % len(self._cards)], "cvc": self._canaries.codes[card % 2]}
        return await self._pay({"payment_method": by} | fields)

    async def pay_in_every_way(self) -> None:
        """Take at once, hold and capture, hold and void, refund, decline, and begin at PayPal."""
        for card in range(len(self._cards)):
            await self.pay(card)
        for end in ("capture", "void"):
            held = await self.pay(0, capture="manual")
            await self._act(held, end)
        await self._act(await self.pay(3), "refunds")
        await self._pay({"payment_method": {"type": "paypal"}})

    async def pay_under_faults(self, faults: Iterable[FaultName] = FAULTS) -> None:
        """Pay by a card of each brand while its processor has each fault, and begin at PayPal under it."""
        for fault in faults:
            for processor, operation in (("visa", "authorize"), ("mastercard", "authorize"), ("paypal", "order")):
                await self._set(processor, fault, operation)
            await asyncio.gather(self.pay(0), self.pay(1), self._pay({"payment_method": {"type": "paypal"}}))
            await self._control("DELETE", None)

    async def pay_until(self, ended: asyncio.Event) -> None:
        """Keep paying, whatever is answered or not."""
        card = 0
        while not ended.is_set():
            with suppress(aiohttp.ClientError, TimeoutError):
                await self.pay(card)
            card += 1
            await asyncio.sleep(0.1)

    async def _set(self, processor: str, fault: FaultName, operation: str) -> None:
        order: dict[str, Any] = {"processor": processor, "fault": fault}
        match fault:
            case "refuse":
                order["seconds"] = FAULT_S
            case "slow":
                order |= {"operation": operation, "times": 1, "seconds": FAULT_S}
            case _:
                order |= {"operation": operation, "times": 1}
        await self._control("POST", order)

    async def _control(self, method: str, body: Any) -> None:
        url = f"{self._settings.url('sandbox')}/_sandbox/faults"
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.request(method, url, json=body)

    async def _pay(self, fields: dict[str, Any]) -> dict[str, Any]:
        order = {"amount": 1_234, "currency": "EUR", "merchant": self._merchant} | fields
        words = {"description": self._canaries.words, "metadata": {"note": self._canaries.words}}
        paid: dict[str, Any] = await self._ask("POST", "/v1/payments", order | words)
        self.figures.payments += 1
        said = paid.get("state") or paid.get("code") or "?"
        self.figures.states[said] = self.figures.states.get(said, 0) + 1
        return paid

    async def _act(self, payment: dict[str, Any], what: str) -> None:
        if payment.get("id"):
            await self._ask("POST", f"/v1/payments/{payment['id']}/{what}", {}, token=self._merchant_token)

    async def _ask(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        bearer = token or self._token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        keyed = headers | ({"Idempotency-Key": uuid4().hex} if method == "POST" else {})
        async with self._session.request(method, path, json=body, headers=keyed) as answer:
            return await answer.json(content_type=None)
