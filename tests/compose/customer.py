"""What a customer and a merchant do with the running stack, and where each thing must be seen afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

from connectors.gateway import GatewayClient, PasswordLogin
from tests.compose.containers import ADDRESS, Containers
from tests.patience import eventually, until

URL = f"http://{ADDRESS}:8080"
PASSWORD = "sluice-demo-only"
PATIENCE_S = 90.0
EVENTS_OF = Path(__file__).with_name("events_of.py").read_text()
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
    print("reached")
except OSError:
    pass
"""
TILES = """
from connectors.warehouse import WarehouseReader
from dashboards.settings import DashboardSettings
from schemas.settings import load
print(WarehouseReader(load(DashboardSettings), "dashboard").query("SELECT count(*) FROM payments").rows[0][0])
"""


@asynccontextmanager
async def logged_in(name: str) -> AsyncIterator[GatewayClient]:
    """A client of the gateway that tries again while the gateway or its books are away."""
    login = PasswordLogin(f"{name}@example.com", PASSWORD)
    async with GatewayClient(URL, login, retry_for_s=PATIENCE_S) as client:
        yield client


async def order() -> dict[str, Any]:
    """The body of a payment of 19.99 to the demo's merchant, by a card that is tokenized for it."""
    async with logged_in("customer") as customer, logged_in("merchant") as merchant:
        body = {"number": "4111111111111111", "exp_month": 1, "exp_year": 2039}
        card = await customer.post("/v1/cards", body, uuid4().hex)
        seller = await merchant.get("/v1/me")
        method = {"type": "card", "card": card["id"], "cvc": "100"}
        return {"amount": 1999, "currency": "EUR", "merchant": seller["id"], "payment_method": method}


async def pay(body: dict[str, Any]) -> dict[str, Any]:
    """The payment, which must be captured."""
    async with logged_in("customer") as customer:
        payment: dict[str, Any] = await customer.post("/v1/payments", body, uuid4().hex)
    assert payment["state"] == "captured", payment
    return payment


async def refund(payment: dict[str, Any]) -> dict[str, Any]:
    """The refund of 5.00 of a payment, by its merchant; nothing where this gateway has no refunds yet."""
    async with logged_in("merchant") as merchant:
        if not any("refunds" in path for path in (await merchant.get("/openapi.json"))["paths"]):
            return {}
        path = f"/v1/payments/{payment['id']}/refunds"
        refunded: dict[str, Any] = await merchant.post(path, {"amount": 500, "reason": "test"}, uuid4().hex)
    assert refunded["status"] == "succeeded", refunded
    return refunded


def await_event(containers: Containers, payment_id: str, type: str) -> None:
    """Wait until Kafka has it."""

    def types() -> list[str]:
        return containers.inside("analytics", "python", "-", payment_id, given=EVENTS_OF).split()

    until(lambda: type in types(), PATIENCE_S)


def await_row(containers: Containers, payment_id: str, **wanted: Any) -> None:
    """Wait until SQL answers so of a payment."""
    query = f"SELECT {', '.join(wanted)} FROM payments WHERE id = '{payment_id}'"

    def rows() -> Any:
        return json.loads(containers.inside("sql", "sluice", "sql", "--json", query))

    until(lambda: rows() == [wanted], PATIENCE_S, rows)


def await_mail() -> None:
    """Wait until the catcher has a message to the customer."""

    def recipients() -> list[str]:
        return [message["to"] for message in json.loads(get(8025, "/messages"))["data"]]

    until(lambda: "customer@example.com" in recipients(), PATIENCE_S, recipients)


def look_at_the_dashboard(containers: Containers) -> int:
    """Open its page, and ask as its tiles do: how many payments there are."""
    assert get(8501, "/_stcore/health") == b"ok"
    assert b"<title>" in get(8501, "/")
    return int(containers.inside("dashboard", "python", "-c", TILES))


def is_reached(containers: Containers, service: str, host: str, port: int) -> bool:
    """Whether a connection can be opened out of a service's container."""
    return containers.inside(service, "python", "-", host, str(port), given=CONNECT) == "reached\n"


def get(port: int, path: str) -> bytes:
    """The body of a 200. Raises `URLError`."""
    with urlopen(f"http://{ADDRESS}:{port}{path}", timeout=10) as answer:
        return bytes(answer.read())


async def refused_for_now() -> None:
    """Wait until the gateway says that it is not ready."""
    await eventually(lambda: asyncio.to_thread(_readiness, 503), PATIENCE_S)


def _readiness(wanted: int) -> bool:
    try:
        get(8080, "/readyz")
    except HTTPError as error:
        return error.code == wanted
    return wanted == 200
