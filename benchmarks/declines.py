"""`python -m benchmarks.declines`: can a payer tell a decline of our gate from one of an issuer?

Two cards pay in turn: one that its issuer declines, on the allow list, and one on the block list. Prints JSON: the
fields, list rows and events in which the two differ, and what a Kolmogorov-Smirnov test says of their times.
"""

import asyncio
import sys
from pathlib import Path
from sqlite3 import connect
from statistics import median
from time import perf_counter
from typing import Any, Literal

import click
import msgspec
from scipy.stats import ks_2samp

from benchmarks import stack
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from connectors.kafka import producer
from schemas.events import encode, new_event
from schemas.fraud import ListEntry
from schemas.ids import new_id
from schemas.times import now
from schemas.topics import CONTROLS

ISSUER_DECLINES = "4000000000000002"
GATE_DECLINES = "4000002760003184"
OWN = {"id", "created_at", "updated_at", "recorded_at", "payment_method", "amount"}
IN_FORCE_WITHIN_S = 30.0
SIGNIFICANT = 0.01


class Declines(msgspec.Struct, frozen=True):
    """`differ`: what is not the same in the two kinds of decline. Times in milliseconds; `p` of equal times."""

    each: int
    issuer_p50_ms: float
    gate_p50_ms: float
    statistic: float
    p: float
    differ: list[str]


@click.command()
@click.option("--each", default=500, help="Declines of each kind.")
def main(each: int) -> None:
    """Compare both kinds of decline on a stack of their own; ends with 1 where a payer can tell them apart."""
    with stack.running() as measured:
        measured.await_ready()
        found = asyncio.run(_compare(measured, each))
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    sys.exit(bool(found.differ) or found.p < SIGNIFICANT)


async def _compare(measured: stack.Stack, each: int) -> Declines:
    url, password = measured.settings.url("gateway"), measured.replay.seed_password
    payer_login, admin_login = [PasswordLogin(f"{who}@example.com", password) for who in ("customer", "admin")]
    async with (
        GatewayClient(url, payer_login, retry_for_s=RETRY_FOR_S) as payer,
        GatewayClient(url, admin_login, retry_for_s=RETRY_FOR_S) as admin,
    ):
        till = Till(payer, (await admin.post("/v1/merchants", {"name": "Compared"}, "declines-merchant"))["id"])
        by_issuer, by_gate = await till.card(ISSUER_DECLINES), await till.card(GATE_DECLINES)
        await _listed(measured, till, by_issuer, "allow")
        await _listed(measured, till, by_gate, "block")
        times: dict[str, list[float]] = {by_issuer: [], by_gate: []}
        for _ in range(each):
            for card, took in times.items():
                began = perf_counter()
                await till.pay(card)
                took.append((perf_counter() - began) * 1000)
        differ = await _differences(till, by_issuer, by_gate)
    return _declines(times[by_issuer], times[by_gate], differ)


class Till:
    """A customer who pays one merchant by several cards."""

    def __init__(self, payer: GatewayClient, merchant_id: str) -> None:
        self.payer = payer
        self._merchant_id = merchant_id

    async def card(self, number: str) -> str:
        """The token of a card."""
        body = {"number": number, "exp_month": 1, "exp_year": 2039}
        return str((await self.payer.post("/v1/cards", body, new_id("key")))["id"])

    async def pay(self, card: str) -> dict[str, Any]:
        """A payment of 5.00 EUR as it was answered."""
        method = {"type": "card", "card": card, "cvc": "100"}
        body = {"amount": 500, "currency": "EUR", "merchant": self._merchant_id, "payment_method": method}
        payment: dict[str, Any] = await self.payer.post("/v1/payments", body, new_id("key"))
        return payment


async def _listed(measured: stack.Stack, till: Till, card: str, decision: Literal["allow", "block"]) -> None:
    """Put a card on a list, and wait until the flow obeys."""
    first = await till.pay(card)
    instrument = str(_of_payment(measured, first["id"], "stream_key"))
    entry = ListEntry(new_id("lst"), decision, "instrument", instrument, "compared", None, now())
    headers, value = encode(new_event("control.list_entry", "/benchmarks", entry.id, entry, now()))
    writer = producer(measured.kafka())
    writer.produce(CONTROLS.name, value, entry.id, headers=headers)
    writer.flush()
    until = perf_counter() + IN_FORCE_WITHIN_S
    while _reasons(measured, (await till.pay(card))["id"]) != [f"{decision}_list", entry.id]:
        if perf_counter() > until:
            raise click.ClickException(f"the {decision} entry is not obeyed")


def _reasons(measured: stack.Stack, payment_id: str) -> list[str]:
    reasons: list[str] = msgspec.json.decode(_of_payment(measured, payment_id, "risk"))["reasons"]
    return reasons


def _of_payment(measured: stack.Stack, payment_id: str, column: str) -> Any:
    books = Path(measured.settings.data / "books.sqlite3")
    with connect(f"file:{books}?mode=ro", uri=True) as conn:
        query = f"SELECT {column} FROM payments WHERE id = ?"
        return conn.execute(query, (payment_id,)).fetchone()[0]


async def _differences(till: Till, by_issuer: str, by_gate: str) -> list[str]:
    """The fields in which two declines differ: as answered, as listed under each filter, and in their events."""
    one, other = await till.pay(by_issuer), await till.pay(by_gate)
    differ = _fields("payment", one, other)
    for query in ("state=declined", "processor=visa", "state=declined&processor=visa"):
        rows = (await till.payer.get(f"/v1/payments?limit=100&{query}"))["data"]
        listed = [[row for row in rows if row["id"] == payment["id"]] for payment in (one, other)]
        if len(listed[0]) != len(listed[1]):
            differ.append(f"listed by {query}")
    events = [(await till.payer.get(f"/v1/payments/{payment['id']}/events"))["data"] for payment in (one, other)]
    if len(events[0]) != len(events[1]):
        differ.append("number of events")
    for first, second in zip(*events, strict=False):
        differ += _fields(first["type"], first, second)
    return differ


def _fields(name: str, one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [f"{name}.{key}" for key in sorted({*one, *other} - OWN) if one.get(key) != other.get(key)]


def _declines(issuer: list[float], gate: list[float], differ: list[str]) -> Declines:
    test = ks_2samp(issuer, gate)
    by_issuer, by_gate = round(median(issuer), 2), round(median(gate), 2)
    return Declines(
        len(issuer), by_issuer, by_gate, round(float(test.statistic), 4), round(float(test.pvalue), 4), differ
    )


if __name__ == "__main__":
    main()
