"""A gateway with the processors' twins beside it, and shoppers to pay with."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest

from benchmarks.machine.told import mistold
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.faults import Fault
from connectors.sandbox.sandbox import Sandbox
from gateway.app import create_app
from gateway.books.cards import select_card
from gateway.books.idempotency import KeyedRequest
from gateway.books.opening import SQLITE, run_once
from gateway.books.payments import PaymentRow, select_payment
from gateway.payments.create import ByCard, NewPayment, Payer, row_of
from gateway.payments.recovery_pools import sweep
from gateway.settings import GatewaySettings
from schemas.fraud import Counterfactual, Hold, Outcome, Verdict
from schemas.times import now
from tests.gateway.conftest import Answer, Gateway

RequestOf = Callable[..., Awaitable[tuple[KeyedRequest, PaymentRow]]]

VISA = "4111111111111111"
MASTERCARD = "5555555555554444"
SILENCE_S = 0.2


def verdict(payment: str, outcome: Outcome, hold: Hold = "authorized") -> Verdict:
    """What the fraud flow says of a payment."""
    return Verdict(
        payment=payment,
        instrument="fp",
        merchant="acc",
        outcome=outcome,
        source="rules",
        score=0.9,
        reasons=["because"],
        features={"amount": 1.0},
        model="m1",
        rules="r1",
        flow_sequence=1,
        input_partition=0,
        input_offset=0,
        latency_ms=1.0,
        occurred_at=now(),
        recorded_at=now(),
        hold=hold,
        counterfactual=Counterfactual(399, "EUR") if outcome == "block" else None,
    )


class Shop:
    """One customer, one merchant, and the books and ledgers they leave behind."""

    def __init__(self, gateway: Gateway, sandbox: Sandbox) -> None:
        self.gateway = gateway
        self.sandbox = sandbox
        self.told = True  # whether the topics tell what the books have: not of rows that a test made up
        self._ids: dict[str, str] = {}

    async def pay(self, amount: int = 1000, *, who: str = "customer", key: str = "", **fields: Any) -> Answer:
        """Pay the merchant by card, in EUR unless `fields` say otherwise."""
        body = {"amount": amount, "currency": "EUR", "merchant": await self.account("merchant")} | fields
        if "payment_method" not in body:
            body["payment_method"] = {"type": "card", "card": await self.card(who=who), "cvc": "100"}
        return await self.post("/v1/payments", body, who=who, key=key)

    async def post(self, path: str, body: Any, *, who: str, key: str = "") -> Answer:
        """POST with an Idempotency-Key."""
        return await self.gateway.ask("POST", path, body, who, idempotency_key=key or uuid4().hex)

    async def get(self, path: str, who: str = "admin") -> Any:
        """The decoded answer of a GET."""
        return (await self.gateway.ask("GET", path, who=who)).json

    async def account(self, who: str) -> str:
        """The id of one of the demo's accounts."""
        if who not in self._ids:
            self._ids[who] = (await self.gateway.ask("GET", "/v1/me", who=who)).json["id"]
        return self._ids[who]

    async def card(self, number: str = VISA, who: str = "customer", exp: tuple[int, int] = (1, 2039)) -> str:
        """The token of a card."""
        body = {"number": number, "exp_month": exp[0], "exp_year": exp[1]}
        return str((await self.gateway.ask("POST", "/v1/cards", body, who)).json["id"])

    def fault(self, processor: str, fault: str, **settings: Any) -> None:
        """Make a processor misbehave from now on. It hangs up after `SILENCE_S`, long before it is given up."""
        if fault in ("silence", "apply_then_silence"):
            settings = {"seconds": SILENCE_S} | settings
        self.sandbox.order(msgspec.convert({"processor": processor, "fault": fault, **settings}, Fault))

    def ledger(self, operation: str | None = None) -> list[Any]:
        """What the processors applied."""
        rows = [row for row in self.sandbox.rows_after(0, 1000) if row.status == "applied"]
        return [row for row in rows if operation is None or row.operation == operation]

    async def expire(self) -> None:
        """Let every lease and every window run out now, and recovery look once."""
        await self.gateway.runtime.books.write(_expire)
        await sweep(self.gateway.runtime)

    async def state(self, payment: str) -> str:
        """The state of a payment as an admin sees it."""
        return str((await self.get(f"/v1/payments/{payment}"))["state"])

    async def press_at_paypal(self, url: str, button: str = "approve") -> str:
        """Press a button of PayPal's page as a browser without JavaScript would; where it sends the payer."""
        async with aiohttp.ClientSession() as browser:
            posted = browser.post(url, data={"decision": button}, allow_redirects=False)
            async with posted as answer:
                return str(answer.headers["Location"])

    async def come_back(self, location: str) -> Answer:
        """Follow a redirect back to the gateway."""
        path = location.removeprefix(self.gateway.runtime.settings.public_url)
        return await self.gateway.ask("GET", path)

    async def nonce(self, payment: str) -> str:
        """What only PayPal and the payer know of a return address."""
        row = await self.gateway.runtime.books.read(select_payment, payment)
        assert row is not None
        return str(row.return_nonce)

    async def balance(self) -> dict[str, int]:
        """The sum of all postings per account (minor units), without those at zero."""
        rows = await self.gateway.runtime.books.read(_balance)
        return {account: total for account, total in rows if total}


def _expire(conn: Any) -> None:
    for table in ("payments", "operations", "idempotency_keys"):
        conn.exec_driver_sql(f"UPDATE {table} SET lease_until = 0 WHERE lease_until IS NOT NULL")


def _all_mistold(conn: Any) -> list[str]:
    payment_ids = [row.id for row in conn.exec_driver_sql("SELECT id FROM payments")]
    return [line for payment_id in payment_ids for line in mistold(conn, payment_id)]


def _balance(conn: Any) -> list[tuple[str, int]]:
    found = conn.exec_driver_sql("SELECT account, sum(amount) FROM postings GROUP BY account")
    return [tuple(row) for row in found]


@pytest.fixture
def processor_settings(gateway_settings: GatewaySettings, free_offset: Callable[[], int]) -> ProcessorSettings:
    """Where the twins of this test listen."""
    return ProcessorSettings(data=gateway_settings.data, port_offset=free_offset())


@pytest.fixture
def hurried(gateway_settings: GatewaySettings, kafka: str) -> GatewaySettings:
    """Settings with a real broker, and a slow processor is given up after 2 s, half of it to connect."""
    return msgspec.structs.replace(
        gateway_settings, kafka=kafka, call_timeout_s=2.0, verdict_budget_ms=20, stand_in_new_cards=100
    )


@pytest.fixture
async def shop(
    hurried: GatewaySettings, processor_settings: ProcessorSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shop]:
    """A running gateway with its own processors; nobody judges, so the stand-in does."""
    # Recovery looks when a test says so: whoever takes a lease beside it is not waited for.
    monkeypatch.setattr("gateway.payments.recovery_pools.EVERY_S", 3600.0)
    sandbox, url = Sandbox(processor_settings), hurried.books_url()
    await sandbox.open()
    app = create_app(hurried, processor_settings)
    async with app.test_app():
        shop = Shop(Gateway(app), sandbox)
        yield shop
        await sandbox.clear()
    sandbox.close()
    if shop.told and url.startswith(SQLITE):  # the machine and `Life` look at either database
        assert run_once(url, _all_mistold, readonly=True) == []


@pytest.fixture
async def request_of(shop: Shop) -> RequestOf:
    """Makes a row as the route would, and the request it belongs to."""

    async def make(number: str = VISA, **fields: Any) -> tuple[KeyedRequest, PaymentRow]:
        runtime, customer = shop.gateway.runtime, await shop.account("customer")
        card = await runtime.books.read(select_card, await shop.card(number), customer)
        merchant = await shop.account("merchant")
        by_card = ByCard(card="x")
        asked = NewPayment(amount=1000, currency="EUR", merchant=merchant, payment_method=by_card, **fields)
        row = row_of(asked, Payer(customer, None, ""), card, runtime.key, runtime.policy.prints)
        return KeyedRequest(customer, uuid4().hex, b"same", "customer"), row

    return make
