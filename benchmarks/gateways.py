"""`python -m benchmarks.gateways`: two gateways on PostgreSQL, each payment made at one and captured at the other.

A tenth of them is refunded at the first one again. While they go on, `--kills` of either gateway by SIGKILL, or
`--freezes` of one for longer than its lease, one after the other. In the end the books, the processors, Kafka and
the warehouse must agree, and the events of each subject must be in order on Kafka; without a kill or a freeze each
must be there once. Prints JSON, and ends with 1 unless all of that holds.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count

import click
import msgspec

from benchmarks import stack
from benchmarks.load import APART, BEGAN
from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from connectors.kafka_login import Bootstrap
from connectors.record_reader import RecordReader, places
from connectors.records import read as read_event
from schemas.events import Event
from schemas.topics import ACCOUNTS, CONTROLS, LABELS, OPERATIONS, PAYMENTS, REVIEWS
from sluice.dataset import card_number
from sluice.freshness import quantiles
from sluice.status import read

GATEWAYS = ("gateway", "gateway_2")
OURS = (PAYMENTS, OPERATIONS, REVIEWS, LABELS, ACCOUNTS, CONTROLS)  # what gateways write
AMOUNT = 1_000  # minor units
CARDS = 50
AT_ONCE = 32
LEASE_S = 11.0
FROZEN_S = LEASE_S + 2
PAUSE_S = 5.0  # between two faults, once both gateways are back
AGAIN_S = 0.2
GIVEN_UP_S = 120.0
SETTINGS = stack.OPEN_STAND_IN | {
    "SLUICE_GATEWAYS": "2",
    "SLUICE_LEASE": str(LEASE_S),
    "SLUICE_CALL_TIMEOUT": "4",
    "SLUICE_UNKNOWN_WINDOW": "1",
    "SLUICE_VERDICT_BUDGET_MS": "1000",
}


class TurnFigures(msgspec.Struct, frozen=True):
    """`ended`: payments by state. `inversions`, `repeats`: events on Kafka after a later one, or once more."""

    payments: int
    faults: int
    ended: dict[str, int]
    seconds: float
    call_ms: dict[str, float]
    events: int
    inversions: int
    repeats: int
    reconciled: bool

    def holds(self) -> bool:
        """Whether all is as it must be."""
        return self.reconciled and not self.inversions and (self.faults > 0 or not self.repeats)


class Sides:
    """The two gateways as a client sees them, which goes to the other one where one does not answer."""

    def __init__(self, clients: list[GatewayClient]) -> None:
        self._clients = clients
        self.milliseconds: list[float] = []

    async def post(self, side: int, path: str, body: object, key: str) -> dict[str, object]:
        """The answer to a request that is sent until it has one, with its key, here and then there.

        Raises `GatewayRefused`, `GatewayUnavailable` once it was tried for long enough.
        """
        began = time.monotonic()
        for number in count(side):
            try:
                answer: dict[str, object] = await self._clients[number % 2].post(path, body, key)
            except (GatewayRefused, GatewayUnavailable) as error:
                if not _passes(error) or time.monotonic() > began + GIVEN_UP_S:
                    raise
                await asyncio.sleep(AGAIN_S)
            else:
                self.milliseconds.append((time.monotonic() - began) * 1000)
                return answer
        raise AssertionError("it counts without end")


def _passes(error: GatewayRefused | GatewayUnavailable) -> bool:
    """Whether it is worth another try: work in hand, or nobody there."""
    return isinstance(error, GatewayUnavailable) or error.status in (409, 425, 429) or error.status >= 500


@click.command()
@click.option("--payments", default=2_000)
@click.option("--kills", default=0, help="Of a gateway, by turns.")
@click.option("--freezes", default=0, help="Of a gateway by turns, each longer than its lease.")
def main(payments: int, kills: int, freezes: int) -> None:
    """Run payments over two gateways of one stack; some minutes."""
    with stack.running("postgres", settings=SETTINGS) as measured:
        measured.await_ready()
        figures = asyncio.run(_run(measured, payments, [signal.SIGKILL] * kills + [signal.SIGSTOP] * freezes))
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not figures.holds())


async def _run(measured: stack.Stack, payments: int, faults: list[signal.Signals]) -> TurnFigures:
    began = time.monotonic()
    async with (
        connected(measured, "replay@example.com") as payers,
        connected(measured, "admin@example.com") as admins,
    ):
        ended, faulted = Counter[str](), asyncio.create_task(strike(measured, faults))
        merchant = str((await admins.post(0, "/v1/merchants", {"name": "By turns"}, "turns-merchant"))["id"])
        cards = [await _card(payers, number) for number in range(CARDS)]
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                ended[await _pay(payers, admins, merchant, cards[number % CARDS], number)] += 1

        numbers = count()
        await asyncio.gather(*[one(next(numbers)) for _ in range(payments)])
        while not faulted.done():  # the faults meet payments, however many it takes
            await asyncio.gather(*[one(next(numbers)) for _ in range(AT_ONCE)])
        await faulted
    seconds = time.monotonic() - began
    reconciled = await asyncio.to_thread(measured.reconciles)
    events, inversions, repeats = await asyncio.to_thread(_on_kafka, measured.kafka())
    latencies = quantiles(payers.milliseconds + admins.milliseconds)
    return TurnFigures(
        payments=sum(ended.values()),
        faults=len(faults),
        ended=dict(ended),
        seconds=round(seconds, 1),
        call_ms=latencies,
        events=events,
        inversions=inversions,
        repeats=repeats,
        reconciled=reconciled,
    )


@asynccontextmanager
async def connected(measured: stack.Stack, email: str) -> AsyncIterator[Sides]:
    """A seeded person at both gateways."""
    login = PasswordLogin(email, measured.replay.seed_password)
    urls = [measured.settings.url(name) for name in GATEWAYS]
    async with (
        GatewayClient(urls[0], login, connections=100) as one,
        GatewayClient(urls[1], login, connections=100) as two,
    ):
        yield Sides([one, two])


async def _card(payers: Sides, number: int) -> str:
    card = {"number": card_number(number), "exp_month": 1, "exp_year": 2039}
    return str((await payers.post(number, "/v1/cards", card, f"turns-card-{number}"))["id"])


async def _pay(payers: Sides, admins: Sides, merchant: str, card: str, number: int) -> str:
    """Pay at one side, capture at the other, refund every tenth at the first; the state it is in then."""
    side, key = number % 2, f"turns-{number}"
    asked = {"amount": AMOUNT, "currency": "EUR", "merchant": merchant, "capture": "manual"}
    by_card = {
        "payment_method": {"type": "card", "card": card, "cvc": "100"},
        "occurred_at": BEGAN + number * APART,
    }
    try:
        payment = await payers.post(side, "/v1/payments", asked | by_card, key)
        if payment["state"] == "authorized":
            payment = await admins.post(side + 1, f"/v1/payments/{payment['id']}/capture", {}, f"{key}-capture")
        if payment["state"] == "captured" and number % 10 == 0:
            await admins.post(side, f"/v1/payments/{payment['id']}/refunds", {}, f"{key}-refund")
    except GatewayRefused as refused:  # such as one that its processor declined
        return refused.code
    return str(payment["state"])


async def strike(measured: stack.Stack, faults: Iterable[signal.Signals]) -> None:
    """Each fault at the other gateway, once both are ready; one that is frozen goes on later."""
    for number, fault in enumerate(faults):
        await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
        pid = measured.pids()[GATEWAYS[number % 2]]
        os.kill(pid, fault)
        if fault == signal.SIGSTOP:
            await asyncio.sleep(FROZEN_S)
            os.kill(pid, signal.SIGCONT)
        else:
            await _until_restarted(measured, GATEWAYS[number % 2], pid)


async def _until_restarted(measured: stack.Stack, name: str, before: int) -> None:
    while True:
        now = {entry.name: entry for entry in await asyncio.to_thread(read, measured.settings)}[name]
        if now.pid != before and now.state == "ready":
            return
        await asyncio.sleep(AGAIN_S)


def _on_kafka(bootstrap: Bootstrap) -> tuple[int, int, int]:
    """How many events there are, how many of them after a later one of their subject, and how many once more."""
    reader, seen, newest = RecordReader(bootstrap), set[str](), dict[tuple[str, str], int]()
    events = inversions = repeats = 0
    try:
        for place in places(bootstrap, [topic.name for topic in OURS]):
            reader.add(place)
        while not reader.at_end():
            for record in reader.poll():
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
    finally:
        reader.close()


if __name__ == "__main__":
    main()
