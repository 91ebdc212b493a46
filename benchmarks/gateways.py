"""`python -m benchmarks.gateways`: two gateways on PostgreSQL, each payment made at one and captured at the other.

A tenth of them is refunded at the first one again. `--file` has payments of public data, as `sluice replay` reads
it, instead of made-up ones. While they go on, `--kills` by SIGKILL of either gateway, with `--all-over` by turns
of a fraud worker, PostgreSQL, Kafka and the vault, too; or `--freezes` of one gateway beyond its `--lease`.

In the end there is one payment for each key, each captured one was charged once, the books, the processors, Kafka
and the warehouse agree, and the events of each subject are in order on Kafka; without a fault each is there once.
Prints JSON, and ends with 1 unless all of that holds.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import click
import msgspec

from benchmarks import stack
from benchmarks.canary.looks import all_records
from benchmarks.fleet import (
    FROZEN_S,
    GATEWAYS,
    LEASE_S,
    PAUSE_S,
    POSTGRES,
    PROCESSES,
    SETTINGS,
    ProcessFault,
    Sides,
    by_turns,
    charges,
    connected,
    in_the_books,
    strike,
)
from benchmarks.load import transactions
from connectors.gateway import GatewayRefused
from connectors.heartbeat import process_name
from connectors.kafka_login import Bootstrap
from connectors.records import read as read_event
from schemas.events import Event
from schemas.topics import ACCOUNTS, CONTROLS, LABELS, OPERATIONS, PAYMENTS, REVIEWS
from sluice.dataset import DatasetTransaction, card_number, open_transactions
from sluice.freshness import quantiles

OURS = (PAYMENTS, OPERATIONS, REVIEWS, LABELS, ACCOUNTS, CONTROLS)  # what gateways write
ALL = (*GATEWAYS, "fraud_2", POSTGRES, "kafka", "vault")
DECIDED_WITHIN_S = 60.0
READ = 50_000  # payments of the file, or made-up ones: more than any run needs


class TurnFigures(msgspec.Struct, frozen=True):
    """`in_the_books`: payments of this run by state in the end, as many as keys. `faults`: by process. `caught`:
    payments that a gateway had in hand when it was killed or frozen. `ended`: payments by what their payer saw.
    `charges`: captured ones by how often, those of before, too. `inversions`, `repeats`: events on Kafka after a
    later one, or once more.
    """

    payments: int
    in_the_books: dict[str, int]
    faults: dict[str, int]
    caught: int
    ended: dict[str, int]
    charges: dict[str, int]
    seconds: float
    call_ms: dict[str, float]
    events: int
    inversions: int
    repeats: int
    reconciled: bool

    def holds(self) -> bool:
        """Whether all is as it must be."""
        once = sum(self.in_the_books.values()) == self.payments and self.charges.keys() <= {"1"}
        return self.reconciled and once and not self.inversions and (bool(self.faults) or not self.repeats)


@click.command()
@click.option("--payments", default=2_000, help="At least: they go on until the last fault is over.")
@click.option("--file", type=click.Path(path_type=Path, exists=True), help="Transactions, in Parquet.")
@click.option("--workers", default=1, type=click.IntRange(1, 4), help="Of the fraud flow.")
@click.option("--at-once", default=32, help="Payments.")
@click.option("--kills", default=0, help="By turns.")
@click.option("--all-over", is_flag=True, help="Kills of everything that holds a payment; needs two workers.")
@click.option("--freezes", default=0, help="Of a gateway by turns, each longer than its lease.")
@click.option("--lease", default=LEASE_S, help="Seconds.")
def main(
    payments: int,
    file: Path | None,
    workers: int,
    at_once: int,
    kills: int,
    all_over: bool,
    freezes: int,
    lease: float,
) -> None:
    """Run payments over two gateways of one stack; some minutes."""
    if all_over and workers < 2:
        raise click.UsageError("--all-over kills the second fraud worker: give --workers 2")
    faults = by_turns(kills, signal.SIGKILL, ALL if all_over else GATEWAYS) + by_turns(freezes, signal.SIGSTOP)
    purchases = purchases_of(file)
    with shared(workers, lease) as measured:
        figures = asyncio.run(by_sides(measured, purchases, payments, at_once, faults, frozen_s=lease + 2))
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not figures.holds())


@contextmanager
def shared(workers: int, lease: float) -> Iterator[stack.Stack]:
    """A stack of two gateways and so many fraud workers that is ready; `lease`: of a gateway, in seconds."""
    times = {"SLUICE_LEASE": str(lease), "SLUICE_CALL_TIMEOUT": str(min(4.0, lease * 0.8))}
    settings = SETTINGS | times | {"SLUICE_FRAUD_WORKERS": str(workers)}
    only = (*PROCESSES, *(process_name("fraud", number) for number in range(2, workers + 1)))
    with stack.running("postgres", settings=settings, only=only) as measured:
        measured.await_ready()
        yield measured


def purchases_of(file: Path | None) -> list[DatasetTransaction]:
    """Those of the file, in order of time, or made-up ones."""
    if file is None:
        return list(islice(transactions(), READ))
    with open_transactions(file, "EUR") as found:
        return [each for each in found.transactions(limit=READ) if each.amount]


async def by_sides(
    measured: stack.Stack,
    purchases: list[DatasetTransaction],
    payments: int,
    at_once: int,
    faults: list[ProcessFault],
    *,
    pause_s: float = PAUSE_S,
    frozen_s: float = FROZEN_S,
) -> TurnFigures:
    """Make so many payments, and as many more as the faults last; payments of before count in `charges` alone."""
    assert measured.server
    before = in_the_books(measured.server)
    began = time.monotonic()
    async with (
        connected(measured, "replay@example.com") as payers,
        connected(measured, "admin@example.com") as admins,
    ):
        faulted = asyncio.create_task(strike(measured, faults, pause_s, frozen_s))
        turns = TurnPayer(payers, admins)
        paying = [_pay_on(turns, numbered, payments, faulted) for numbered in [enumerate(purchases)] * at_once]
        await asyncio.gather(*paying)
        caught = await faulted
    seconds = time.monotonic() - began
    reconciled = await asyncio.to_thread(measured.reconciles)
    events, inversions, repeats = await asyncio.to_thread(_on_kafka, measured.kafka())
    return TurnFigures(
        payments=turns.ended.total(),
        in_the_books=dict(in_the_books(measured.server) - before),
        faults=dict(Counter(fault.name for fault in faults)),
        caught=caught,
        ended=dict(turns.ended),
        charges=await asyncio.to_thread(charges, measured),
        seconds=round(seconds, 1),
        call_ms=quantiles(payers.milliseconds + admins.milliseconds),
        events=events,
        inversions=inversions,
        repeats=repeats,
        reconciled=reconciled,
    )


async def _pay_on(
    turns: "TurnPayer",
    numbered: "enumerate[DatasetTransaction]",
    payments: int,
    faulted: "asyncio.Task[int]",
) -> None:
    """One payment after the other: so many in all, and on until the faults are over."""
    for number, purchase in numbered:
        if number >= payments and faulted.done():
            return
        await turns.pay(number, purchase)


class TurnPayer:
    """Payments by turns at the two sides; cards and merchants are made when they are first needed."""

    def __init__(self, payers: Sides, admins: Sides) -> None:
        self._payers, self._admins = payers, admins
        self._made = dict[str, "asyncio.Task[str]"]()
        self.ended = Counter[str]()

    async def pay(self, number: int, purchase: DatasetTransaction) -> None:
        """Pay at one side, capture at the other, refund every tenth at the first; notes its state then."""
        card_id, merchant_id = purchase.card_id, purchase.merchant_id
        card = await self._once(f"turns-card-{card_id}", lambda key: self._card(number, card_id, key))
        merchant = await self._once(f"turns-merchant-{merchant_id}", lambda key: self._merchant(number, key))
        try:
            self.ended[await self._pay(number, purchase, card, merchant)] += 1
        except GatewayRefused as refused:  # such as one that its processor declined
            self.ended[refused.code] += 1

    async def _pay(self, number: int, purchase: DatasetTransaction, card: str, merchant: str) -> str:
        side, key = number % 2, f"turns-{number}"
        method = {"type": "card", "card": card, "cvc": "100"}
        asked = {"amount": purchase.amount, "currency": "EUR", "merchant": merchant, "capture": "manual"}
        payment = await self._payers.post(
            side, "/v1/payments", asked | {"payment_method": method, "occurred_at": purchase.ts}, key
        )
        payment = await self._decided(side, payment)
        if payment["state"] == "authorized":
            path = f"/v1/payments/{payment['id']}/capture"
            payment = await self._admins.post(side + 1, path, {}, f"{key}-capture")
            payment = await self._decided(side + 1, payment, "authorized")
        if payment["state"] == "captured" and number % 10 == 0:
            await self._admins.post(side, f"/v1/payments/{payment['id']}/refunds", {}, f"{key}-refund")
        return str(payment["state"])

    async def _decided(self, side: int, payment: dict[str, object], *open_in: str) -> dict[str, object]:
        """The payment once a processor's word is there, or it is not for too long."""
        until = time.monotonic() + DECIDED_WITHIN_S
        while payment["state"] in ("unknown", "processing", *open_in) and time.monotonic() < until:
            await asyncio.sleep(1)
            payment = await self._payers.get(side, f"/v1/payments/{payment['id']}")
        return payment

    async def _once(self, key: str, make: Callable[[str], Awaitable[str]]) -> str:
        if key not in self._made:
            self._made[key] = asyncio.ensure_future(make(key))
        return await self._made[key]

    async def _card(self, side: int, card_id: int, key: str) -> str:
        card = {"number": card_number(card_id), "exp_month": 1, "exp_year": 2039}
        return str((await self._payers.post(side, "/v1/cards", card, key))["id"])

    async def _merchant(self, side: int, key: str) -> str:
        return str((await self._admins.post(side, "/v1/merchants", {"name": key}, key))["id"])


def _on_kafka(bootstrap: Bootstrap) -> tuple[int, int, int]:
    """How many events there are, how many of them after a later one of their subject, and how many once more."""
    seen, newest = set[str](), dict[tuple[str, str], int]()
    events = inversions = repeats = 0
    for record in all_records(bootstrap, [topic.name for topic in OURS]):
        event = read_event(record, "/gateway")
        if not isinstance(event, Event):
            continue
        events += 1
        if event.id in seen:
            repeats += 1
        elif sequence := getattr(event.data, "sequence", None):
            inversions += sequence < newest.get((record.topic, event.subject), 0)
            newest[record.topic, event.subject] = sequence
        seen.add(event.id)
    return events, inversions, repeats


if __name__ == "__main__":
    main()
