"""What there is to do on a stack before `five_jobs` begins: payments that were declined, captured and held."""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from sqlalchemy import text

from benchmarks.canary.everywhere import frozen
from connectors.gateway import GatewayClient, PasswordLogin
from connectors.loop_thread import LoopThread
from connectors.warehouse import WarehouseReader
from gateway.books.opening import run_once
from schemas.ids import new_id
from schemas.settings import Settings

HELD = 10
CAPTURED = 9_000  # minor units, of the order that comes back in part
HELD_EACH = 60_000  # past the cap of a card while no verdict comes
NOTHING_LEFT = "No payment waits for a person."
READ_WITHIN_S = 60.0
FAILING_CALLS = 3  # fewer are no failure to the page
COUNT = text("SELECT count(*) FROM postings")
CUSTOMERS = "half of it back and ten held"
VISA, MASTERCARD, EMPTY = "4111111111111111", "5123450000000008", "4000000000009995"


class Order(NamedTuple):
    """What is bought by the card of that number; `amount`: minor units."""

    number: str
    amount: int
    currency: str = "EUR"
    reference: str | None = None


class JobsToDo:
    """Payments of a new customer at a stack. `fraud_pid`: of its fraud flow; `books_url`: of its books."""

    def __init__(self, settings: Settings, password: str, fraud_pid: int, books_url: str) -> None:
        self._settings, self._password = settings, password
        self._fraud_pid, self._books_url = fraud_pid, books_url
        self._calls = LoopThread()  # the browser has the loop of the thread that drives it
        name = new_id("job")[-8:]
        self.customer, self.order = f"{name}@people.example", f"order-{name}"

    def prepare(self) -> None:
        """One payment declined, some captured by two processors in two currencies, and ten held."""
        self._calls.run(self._register())
        self._pay(Order(VISA, CAPTURED, reference=self.order), Order(VISA, 2_500, "USD"))
        self._pay(Order(MASTERCARD, 2_500), Order(MASTERCARD, 2_500, "USD"))
        with frozen([self._fraud_pid]):  # the stand-in rules hold what is large
            held = self._pay(*[Order(VISA, HELD_EACH)] * HELD)
        declined = self._pay(Order(EMPTY, 4_200))
        assert [one["state"] for one in held + declined] == ["in_review"] * HELD + ["declined"]

    def break_visa(self) -> None:
        """Visa refuses all calls; payments go by another processor meanwhile."""
        self._order_fault("POST", {"processor": "visa", "fault": "refuse"})
        self._pay(*[Order(VISA, 1_500)] * FAILING_CALLS)

    def mend_visa(self) -> None:
        """No processor fails any more."""
        self._order_fault("DELETE", {})

    def await_warehouse(self) -> None:
        """Wait until the warehouse has each posting of the books. Raises `TimeoutError`."""
        reader, until = WarehouseReader(self._settings, "bench"), time.monotonic() + READ_WITHIN_S
        while self._postings_missing(reader):
            if time.monotonic() > until:
                raise TimeoutError("the warehouse lacks postings of the books")
            time.sleep(0.2)

    def _postings_missing(self, reader: WarehouseReader) -> int:
        booked = run_once(self._books_url, lambda conn: conn.execute(COUNT).scalar_one(), readonly=True)
        [(there,)] = reader.query("SELECT count(*) FROM ledger").rows
        return int(booked) - int(there)

    async def _register(self) -> None:
        async with GatewayClient(self._settings.url("gateway")) as anonymous:
            account = {"email": self.customer, "password": CUSTOMERS, "name": "Robin"}
            await anonymous.post("/v1/accounts", account)

    def _pay(self, *orders: Order) -> list[Any]:
        """The payments as they were answered."""
        paid: list[Any] = self._calls.run(self._buy(orders))
        return paid

    async def _buy(self, orders: Sequence[Order]) -> list[Any]:
        url, login = self._settings.url("gateway"), PasswordLogin(self.customer, CUSTOMERS)
        merchant = PasswordLogin("merchant@example.com", self._password)
        async with GatewayClient(url, merchant) as seller, GatewayClient(url, login, retry_for_s=30) as payer:
            merchant_id = (await seller.get("/v1/me"))["id"]
            return [await _payment(payer, merchant_id, order) for order in orders]

    def _order_fault(self, method: str, body: dict[str, str]) -> None:
        url = f"{self._settings.url('sandbox')}/_sandbox/faults"
        sent = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        with urlopen(sent, timeout=30):
            pass


async def _payment(payer: GatewayClient, merchant_id: str, order: Order) -> Any:
    number = {"number": order.number, "exp_month": 1, "exp_year": 2039}
    card = await payer.post("/v1/cards", number, new_id("key"))
    body = {
        "amount": order.amount,
        "currency": order.currency,
        "merchant": merchant_id,
        "payment_method": {"type": "card", "card": card["id"], "cvc": "100"},
    }
    named = {"reference": order.reference} if order.reference else {}
    return await payer.post("/v1/payments", body | named, new_id("key"))
