"""`python -m benchmarks.drill full-disk`, or `dead-task`: a fault on a running stack under load; prints JSON.

Payments are sent at a fixed rate, each once: what is refused or not answered counts as that. `during` begins with
the fault, `after` with its end: the space is given back, or the first payment after a death has gone through.
"""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Literal, assert_never, get_args

import click
import msgspec

from benchmarks import stack
from benchmarks.figures import Machine, Quantiles
from benchmarks.load import CARDS, transactions
from benchmarks.small_disk import ENTER, SmallDisk, small_disk
from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from sluice.dataset import DatasetTransaction
from sluice.freshness import quantiles
from sluice.replay import ReplayRun
from sluice.status import read

Fault = Literal["full-disk", "dead-task"]

INSIDE = "--inside"
REFILLED_EVERY_S = 0.2
PROGRAM = """
import sys
from sluice import processes
from sluice.cli import main
python = processes._python
hunted = [sys.executable, "-m", "benchmarks.assassin", {task!r}]
processes._python = lambda module: [*hunted, module] if module == "gateway" else python(module)
main()
"""


class SentPayment(msgspec.Struct, frozen=True):
    """A payment that was sent at `began` (monotonic, s); `said`: the HTTP status or what came instead."""

    began: float
    milliseconds: float
    said: str


class Phase(msgspec.Struct, frozen=True):
    """Answers by status, and the latency of those that are payments."""

    said: dict[str, int]
    latency_ms: Quantiles


class Drill(msgspec.Struct, frozen=True):
    """`first_payment_after_s`: from the end of a full disk, or from a death, to the first payment answered.

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
        return Phase(dict(Counter(a.said for a in some)), quantiles(paid))

    async def first_paid_since(self, moment: float) -> float:
        """When the first payment that was sent after a moment was answered; waits for it."""
        while not (paid := [a for a in self.attempts if a.said == "paid" and a.began >= moment]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return min(a.began + a.milliseconds / 1000 for a in paid)


@click.command()
@click.argument("fault", type=click.Choice(get_args(Fault)))
@click.option("--rate", default=20.0, help="Payments per second.")
@click.option("--seconds", default=15.0, help="How long each phase lasts; a death ends by itself.")
@click.option("--task", default="relay", help="The task or thread of the gateway that dies.")
@click.option("--megabytes", default=400, help="Of the disk.")
@click.option(INSIDE, is_flag=True, hidden=True)
def main(fault: Fault, rate: float, seconds: float, task: str, megabytes: int, inside: bool) -> None:
    """Drill one fault; takes a minute or two."""
    if fault == "full-disk" and not inside:
        os.execvp(ENTER[0], [*ENTER, sys.executable, "-m", "benchmarks.drill", *sys.argv[1:], INSIDE])
    with small_disk(megabytes) if fault == "full-disk" else nullcontext() as disk:
        program = PROGRAM.format(task=task)
        with stack.running("sqlite", disk.folder if disk else None, program) as drilled:
            drilled.await_ready()
            done = asyncio.run(_drill(drilled, fault, rate, seconds, disk))
    click.echo(msgspec.json.format(msgspec.json.encode(done)).decode())


async def _drill(drilled: stack.Stack, fault: Fault, rate: float, seconds: float, disk: SmallDisk | None) -> Drill:
    url, password = drilled.settings.url("gateway"), drilled.replay.seed_password
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", password), connections=1000) as payer,
        GatewayClient(url, PasswordLogin("admin@example.com", password)) as admin,
    ):
        run = ReplayRun(payer, admin, admin, "drill", "EUR")
        await run.prepare([t for t, _ in zip(transactions(), range(CARDS), strict=False)])
        load = SteadyLoad(run, rate)
        async with load.going_on():
            began = time.monotonic() + 2  # the first seconds warm it up
            await asyncio.sleep(2 + seconds)
            struck = time.monotonic()
            ended = await _strike(drilled, fault, seconds, disk)
            first = await load.first_paid_since(time.monotonic())
            over = ended if fault == "full-disk" else first
            all_ready = await _all_ready_within(drilled, over + seconds)
    return Drill(
        fault=fault,
        rate=rate,
        machine=Machine(os.cpu_count() or 1, sys.version.split()[0], round(os.getloadavg()[0], 2)),
        before=load.phase(began, struck),
        during=load.phase(struck, over),
        after=load.phase(over, time.monotonic()),
        first_payment_after_s=round(first - ended, 2),
        all_ready_after_s=round(all_ready - ended, 2) if all_ready else None,
        restarts={entry.name: entry.restarts for entry in read(drilled.settings) if entry.restarts},
    )


async def _all_ready_within(drilled: stack.Stack, until: float) -> float | None:
    """When every process was ready; goes on until the phase is over."""
    found: float | None = None
    while time.monotonic() < until:
        if found is None and all(entry.state == "ready" for entry in read(drilled.settings)):
            found = time.monotonic()
        await asyncio.sleep(0.05)
    return found


async def _strike(drilled: stack.Stack, fault: Fault, seconds: float, disk: SmallDisk | None) -> float:
    """Do it, and wait until it is over or the process has ended of it.

    Returns when (monotonic, s) the disk was freed, or the death asked for.
    """
    match fault:
        case "full-disk":
            assert disk is not None
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                disk.fill()
                await asyncio.sleep(REFILLED_EVERY_S)
            disk.free()
        case "dead-task":
            pid, began = drilled.pids()["gateway"], time.monotonic()
            os.kill(pid, signal.SIGUSR2)
            while drilled.pids().get("gateway") == pid:  # noqa: ASYNC110 - a process has no event to wait for
                await asyncio.sleep(0.02)
            return began
        case _:
            assert_never(fault)
    return time.monotonic()


if __name__ == "__main__":
    main()
