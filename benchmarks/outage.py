"""`python -m benchmarks.outage FAULT`: a fault on a running stack under load; prints JSON.

`full-disk`: of the whole stack; `dead-task`: of the gateway; `postgres`: killed and away; `postgres-full`: its
disk; `kafka`: killed and away; `open-transaction`: one that reads in PostgreSQL and stays open.

Payments are sent at a fixed rate, each once: what is refused or not answered counts as that. `during` begins with
the fault, `after` with its end: the space is given back, or the first payment after a death has gone through. In
the end all must agree, and each captured payment be charged once.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import get_args

import click
import msgspec

from benchmarks import stack
from benchmarks.figures import Machine, Quantiles
from benchmarks.fleet import charges
from benchmarks.load import CARDS, transactions
from benchmarks.outage_faults import FILL, ON_POSTGRES, Fault, strike
from benchmarks.small_disk import ENTER, SmallDisk, small_disk
from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from connectors.warehouse import WarehouseReader
from sluice.dataset import DatasetTransaction
from sluice.freshness import quantiles
from sluice.replay import ReplayRun
from sluice.status import read

INSIDE = "--inside"
WAITED = """
    SELECT quantile_cont(waited_ms, 0.5), quantile_cont(waited_ms, 0.99) FROM risk WHERE waited_ms IS NOT NULL
      AND recorded_at BETWEEN TIMESTAMP '{first:%Y-%m-%d %H:%M:%S.%f}' AND TIMESTAMP '{last:%Y-%m-%d %H:%M:%S.%f}'
"""
PROGRAM = """
import sys
from sluice import processes
from sluice.cli import main
python = processes.python
hunted = [sys.executable, "-m", "benchmarks.assassin", {task!r}]
processes.python = lambda module: [*hunted, module] if module == "gateway" else python(module)
main()
"""


class SentPayment(msgspec.Struct, frozen=True):
    """A payment that was sent at `began` (monotonic, s); `said`: the HTTP status or what came instead."""

    began: float
    milliseconds: float
    said: str


class Phase(msgspec.Struct, frozen=True):
    """Answers by status, the latency of those that are payments, and how long these waited for their verdicts."""

    said: dict[str, int]
    latency_ms: Quantiles
    longest_ms: float
    verdict_ms: Quantiles = {}


class Outage(msgspec.Struct, frozen=True):
    """`first_payment_after_s`: from the end of the fault, or from a death, to the first payment answered.

    `all_ready_after_s`: from then until every process is, or null. `restarts`: of each since the start.
    """

    fault: Fault
    rate: float
    machine: Machine
    before: Phase
    during: Phase
    after: Phase
    first_payment_after_s: float
    all_ready_after_s: float | None
    restarts: dict[str, int]
    charges: dict[str, int]
    reconciled: bool

    def holds(self) -> bool:
        """Whether nothing was lost, and nothing charged twice."""
        return self.reconciled and self.charges.keys() <= {"1"}


class SteadyLoad:
    """Payments at a fixed rate, in the background."""

    def __init__(self, run: ReplayRun, rate: float) -> None:
        self._run, self._rate = run, rate
        self._payments = transactions()
        self.attempts: list[SentPayment] = []

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Send until the end of the `with` block, and wait for the last answers."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(group, over))
            try:
                yield
            finally:
                over.set()

    async def _send(self, group: asyncio.TaskGroup, over: asyncio.Event) -> None:
        began = time.monotonic()
        for number, payment in enumerate(self._payments):
            await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))
            if over.is_set():
                return
            group.create_task(self._pay(payment))

    async def _pay(self, payment: DatasetTransaction) -> None:
        began = time.monotonic()
        try:
            await self._run.pay(payment)
            said = "paid"
        except GatewayRefused as refused:
            said = f"{refused.status} {refused.code}"
        except GatewayUnavailable:
            said = "no answer"
        self.attempts.append(SentPayment(began, (time.monotonic() - began) * 1000, said))

    def phase(self, since: float, until: float) -> Phase:
        """What was sent between two moments."""
        some = [a for a in self.attempts if since <= a.began < until]
        paid = [a.milliseconds for a in some if a.said == "paid"]
        longest = max((a.milliseconds for a in some), default=0.0)
        return Phase(dict(Counter(a.said for a in some)), quantiles(paid), round(longest, 1))

    async def first_paid_since(self, moment: float) -> float:
        """When the first payment that was sent after a moment was answered; waits for it."""
        while not (paid := [a for a in self.attempts if a.said == "paid" and a.began >= moment]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return min(a.began + a.milliseconds / 1000 for a in paid)


class VerdictWaits:
    """How long payments waited for their verdicts, as the warehouse tells."""

    def __init__(self, measured: stack.Stack) -> None:
        self._reader, self._began = WarehouseReader(measured.replay, "replay"), time.time() - time.monotonic()

    def of(self, phase: Phase, since: float, until: float) -> Phase:
        """The phase between two moments (monotonic, s), with them."""
        first, last = (datetime.fromtimestamp(self._began + moment, UTC) for moment in (since, until))
        asked = WAITED.format(first=first, last=last)
        p50, p99 = self._reader.query(asked).rows[0]
        waits = {} if p50 is None else {"p50": round(float(str(p50)), 1), "p99": round(float(str(p99)), 1)}
        return msgspec.structs.replace(phase, verdict_ms=waits)


@click.command()
@click.argument("fault", type=click.Choice(get_args(Fault)))
@click.option("--rate", default=20.0, help="Payments per second.")
@click.option("--seconds", default=15.0, help="How long each phase lasts; a death ends by itself.")
@click.option("--task", default="relay", help="The task or thread of the gateway that dies.")
@click.option("--megabytes", default=400, help="Of the disk.")
@click.option(INSIDE, is_flag=True, hidden=True)
def main(fault: Fault, rate: float, seconds: float, task: str, megabytes: int, inside: bool) -> None:
    """Measure one fault; takes a minute or two."""
    if fault in FILL and not inside:
        os.execvp(ENTER[0], [*ENTER, sys.executable, "-m", "benchmarks.outage", *sys.argv[1:], INSIDE])
    with small_disk(megabytes) if fault in FILL else nullcontext() as disk, _stack(fault, task, disk) as measured:
        measured.await_ready()
        done = asyncio.run(_measure(measured, fault, rate, seconds, disk))
    click.echo(msgspec.json.format(msgspec.json.encode(done)).decode())
    sys.exit(not done.holds())


def _stack(fault: Fault, task: str, disk: SmallDisk | None) -> AbstractContextManager[stack.Stack]:
    if fault in ON_POSTGRES:
        return stack.running("postgres", settings=stack.OPEN_STAND_IN, server_in=disk.folder if disk else None)
    program = PROGRAM.format(task=task) if fault == "dead-task" else stack.PROGRAM
    return stack.running("sqlite", disk.folder if disk else None, program, stack.OPEN_STAND_IN)


async def _measure(
    measured: stack.Stack, fault: Fault, rate: float, seconds: float, disk: SmallDisk | None
) -> Outage:
    url, password = measured.settings.url("gateway"), measured.replay.seed_password
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", password), connections=1000) as payer,
        GatewayClient(url, PasswordLogin("admin@example.com", password)) as admin,
    ):
        run = ReplayRun(payer, admin, admin, "outage", "EUR")
        await run.prepare([t for t, _ in zip(transactions(), range(CARDS), strict=False)])
        load = SteadyLoad(run, rate)
        async with load.going_on():
            began = time.monotonic() + 2  # the first seconds warm it up
            await asyncio.sleep(2 + seconds)
            struck = time.monotonic()
            ended = await strike(measured, fault, seconds, disk)
            first = await load.first_paid_since(time.monotonic())
            over = first if fault == "dead-task" else ended
            all_ready = await _all_ready_within(measured, over + seconds)
        end = time.monotonic()
    reconciled = await asyncio.to_thread(measured.reconciles)
    verdicts = VerdictWaits(measured)
    return Outage(
        fault=fault,
        rate=rate,
        machine=Machine(os.cpu_count() or 1, sys.version.split()[0], round(os.getloadavg()[0], 2)),
        before=verdicts.of(load.phase(began, struck), began, struck),
        during=verdicts.of(load.phase(struck, over), struck, over),
        after=verdicts.of(load.phase(over, end), over, end),
        first_payment_after_s=round(first - ended, 2),
        all_ready_after_s=round(all_ready - ended, 2) if all_ready else None,
        restarts={entry.name: entry.restarts for entry in read(measured.settings) if entry.restarts},
        charges=await asyncio.to_thread(charges, measured),
        reconciled=reconciled,
    )


async def _all_ready_within(measured: stack.Stack, until: float) -> float | None:
    """When every process was ready; goes on until the phase is over."""
    found: float | None = None
    while time.monotonic() < until:
        if found is None and all(entry.state == "ready" for entry in read(measured.settings)):
            found = time.monotonic()
        await asyncio.sleep(0.05)
    return found


if __name__ == "__main__":
    main()
