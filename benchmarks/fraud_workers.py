"""`python -m benchmarks.fraud_workers`: payments through several workers of the fraud flow, which are killed.

While payments go on, `--kills` by SIGKILL: of each worker by turns, and then of all at once. In the end each
payment must have its verdict, all that were written for one must be the same event, `sluice fraud replay` must
come to the same scores bit by bit, and the books, the processors, Kafka and the warehouse must agree. Prints JSON,
and ends with 1 unless all of that holds.

With `--backlog N` no stack runs: a broker alone, and how many payments a second one worker, and then `--workers`,
judge of N that wait.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import psutil

from benchmarks import open_kafka, payment_events, stack
from benchmarks.canary.looks import all_records
from benchmarks.load import PaymentLoad
from connectors.gateway import GatewayClient, PasswordLogin
from connectors.heartbeat import process_name
from connectors.kafka import create_topics
from connectors.kafka_login import Bootstrap
from connectors.record_reader import RecordReader, places
from connectors.records import read as read_event
from schemas.events import Event
from schemas.topics import PAYMENTS, RISK, TOPICS
from sluice.processes import fraud_workers, settings_classes
from sluice.settings import StackSettings, environment
from sluice.status import read

AT_A_TIME = 100  # payments
PAUSE_S = 3.0  # between two kills, once all are back
AGAIN_S = 0.2
JUDGED_WITHIN_S = 300.0
SETTINGS = stack.OPEN_STAND_IN | {"SLUICE_VERDICT_BUDGET_MS": "1000"}


class WorkerFigures(msgspec.Struct, frozen=True):
    """`unjudged`: payments without a verdict. `of_several`: with verdicts that are several events. `repeats`: of
    the same event, as after a kill. `compared`, `differing`: verdicts judged again.
    """

    payments: int
    workers: int
    kills: int
    seconds: float
    unjudged: int
    of_several: int
    repeats: int
    compared: int
    differing: int
    reconciled: bool

    def holds(self) -> bool:
        """Whether each payment has its one verdict, and all agree."""
        return self.reconciled and not (self.unjudged or self.of_several or self.differing)


class BacklogFigures(msgspec.Struct, frozen=True):
    """Payments per second and CPU milliseconds per payment of each process, by how many workers there were."""

    backlog: int
    per_second: dict[int, float]
    cpu_ms: dict[int, list[float]]


@click.command()
@click.option("--payments", default=2_000)
@click.option("--workers", default=2, type=click.IntRange(2, 4))
@click.option("--kills", default=0, help="Of each worker by turns, then of all at once, and again.")
@click.option("--backlog", default=0, help="Measure how fast so many payments are judged instead.")
def main(payments: int, workers: int, kills: int, backlog: int) -> None:
    """Run payments over several workers, or measure them; some minutes."""
    if backlog:
        click.echo(msgspec.json.format(msgspec.json.encode(_measured(backlog, workers))).decode())
        return
    with stack.running(settings=SETTINGS | {"SLUICE_FRAUD_WORKERS": str(workers)}) as measured:
        measured.await_ready()
        figures = asyncio.run(_run(measured, payments, workers, kills))
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not figures.holds())


async def _run(measured: stack.Stack, payments: int, workers: int, kills: int) -> WorkerFigures:
    began, password, url = time.monotonic(), measured.replay.seed_password, measured.settings.url("gateway")
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", password)) as payer,
        GatewayClient(url, PasswordLogin("admin@example.com", password)) as admin,
    ):
        load, sent = PaymentLoad(measured.replay, payer, admin), 0
        await load.prepare()
        struck = asyncio.create_task(_strike(measured, workers, kills))
        while sent < payments or not struck.done():
            await load.send(AT_A_TIME)
            sent += AT_A_TIME
        await struck
    reconciled = await asyncio.to_thread(measured.reconciles)
    unjudged, of_several, repeats = _verdicts_of(measured.kafka())
    ran = measured.sluice("fraud", "replay", "--json")
    if not ran.stdout:
        raise click.ClickException(ran.stderr)
    replayed = msgspec.json.decode(ran.stdout)
    return WorkerFigures(
        payments=sent,
        workers=workers,
        kills=kills,
        seconds=round(time.monotonic() - began, 1),
        unjudged=unjudged,
        of_several=of_several,
        repeats=repeats,
        compared=replayed["verdicts"],
        differing=replayed["differing"],
        reconciled=reconciled,
    )


async def _strike(measured: stack.Stack, workers: int, kills: int) -> None:
    """Kill one worker after the other, then all, and so on; each time once all are ready again."""
    names = [process_name("fraud", number + 1) for number in range(workers)]
    for kill in range(kills):
        await asyncio.sleep(PAUSE_S)
        turn, pids = kill % (workers + 1), measured.pids()
        for name in names if turn == workers else [names[turn]]:
            os.kill(pids[name], signal.SIGKILL)
        while not await asyncio.to_thread(_are_back, measured, {name: pids[name] for name in names}):  # noqa: ASYNC110
            await asyncio.sleep(AGAIN_S)


def _are_back(measured: stack.Stack, before: dict[str, int]) -> bool:
    found = {entry.name: entry for entry in read(measured.settings)}
    return all(found[name].state == "ready" and found[name].pid != pid for name, pid in before.items())


def _verdicts_of(bootstrap: Bootstrap) -> tuple[int, int, int]:
    """How many payments have no verdict, how many several, and how many verdicts are there once more."""
    paid = {event.subject for event in _events(bootstrap, PAYMENTS.name) if event.type == "payment.initiated"}
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for event in _events(bootstrap, RISK.name):
        verdicts[event.subject][event.id] += 1
    repeats = sum(times - 1 for ids in verdicts.values() for times in ids.values())
    return len(paid - verdicts.keys()), sum(len(ids) > 1 for ids in verdicts.values()), repeats


def _events(bootstrap: Bootstrap, topic: str) -> Iterator[Event]:
    for record in all_records(bootstrap, [topic]):
        if isinstance(event := read_event(record, "/bench"), Event):
            yield event


def _measured(backlog: int, workers: int) -> BacklogFigures:
    per_second, cpu_ms = dict[int, float](), dict[int, list[float]]()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder, _broker(Path(folder)) as settings:
        outs = payment_events.lives(backlog)
        payment_events.send(settings.bootstrap(), (each for each in outs if each.topic == PAYMENTS.name))
        for count in (1, workers):
            one = msgspec.structs.replace(settings, data=Path(folder) / f"{count}", fraud_workers=count)
            per_second[count], cpu_ms[count] = _judge(one, backlog)
    return BacklogFigures(backlog, per_second, cpu_ms)


@contextmanager
def _broker(folder: Path) -> Iterator[StackSettings]:
    """The settings of a stack of which only the broker runs."""
    settings = StackSettings(data=folder, port_offset=stack.free_offset())
    with open_kafka.running(folder, settings.port_offset) as kafka:
        create_topics(kafka.bootstrap, TOPICS)
        yield settings


def _judge(settings: StackSettings, backlog: int) -> tuple[float, list[float]]:
    """Payments per second from the first verdict to the last, and what each process used meanwhile."""
    before = sum(1 for _ in all_records(settings.bootstrap(), [RISK.name]))
    with _flow(settings) as processes:
        reader, judged, began, used = RecordReader(settings.bootstrap()), 0, 0.0, list[float]()
        for place in places(settings.bootstrap(), [RISK.name]):
            reader.add(place)
        until = time.monotonic() + JUDGED_WITHIN_S
        while judged < before + backlog:
            found = len(reader.poll())
            judged += found
            if judged > before and not began:
                began, first, used = time.monotonic(), judged - before, list(map(_cpu_s, processes))
            assert time.monotonic() < until, f"{judged - before} of {backlog} were judged"
        seconds, measured = time.monotonic() - began, backlog - first
        reader.close()
        costs = [(_cpu_s(one) - earlier) * 1000 / measured for one, earlier in zip(processes, used, strict=True)]
        return round(measured / seconds, 1), [round(cost, 3) for cost in costs]


@contextmanager
def _flow(settings: StackSettings) -> Iterator[list["subprocess.Popen[bytes]"]]:
    settings.data.mkdir(mode=0o700)
    running = []
    with (settings.data / "log").open("wb") as log:
        for process in fraud_workers(settings):
            assert process.prepare
            process.prepare()
            own = {"SLUICE_FRAUD_WORKERS": str(settings.fraud_workers), "SLUICE_KAFKA": settings.bootstrap()}
            known: dict[str, Any] = environment(settings_classes(process), settings.data) | process.given | own
            running.append(subprocess.Popen(process.command, env=known, stdout=log, stderr=log))
    try:
        yield running
    finally:
        for one in running:
            one.kill()
            one.wait()


def _cpu_s(process: "subprocess.Popen[bytes]") -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
