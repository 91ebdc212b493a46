"""`python -m benchmarks`: starts a stack of its own, measures it, and prints one JSON document."""

import asyncio
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import get_args

import click
import msgspec

from benchmarks import hop, stack
from benchmarks.figures import Figures, Machine, Quantiles, Round
from benchmarks.load import PaymentLoad, post_bare
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from schemas.times import now
from sluice.freshness import quantiles

ROUNDS = 3
BARE_PER_PAYMENT = 2  # a bare POST is so much faster that a round of as many would be over at once
PACE = 50.0  # per second: no queue forms


@click.command()
@click.option("--payments", default=2_000, help="Payments per round; a quarter of it at a gentle pace.")
@click.option("--database", type=click.Choice(get_args(stack.Database)), default="sqlite", help="Of the books.")
@click.option("--kafka", type=click.Choice(get_args(stack.KafkaKind)), default="scram", help="How we come to it.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the document here as well.")
def main(payments: int, database: stack.Database, kafka: stack.KafkaKind, out: Path | None) -> None:
    """Measure the whole of Sluice on this machine; takes some minutes."""
    began_at, load = now(), os.getloadavg()[0]
    machine = Machine(os.cpu_count() or 1, platform.python_version(), round(load, 2))
    with stack.running(database, kafka=kafka) as measured:
        figures = asyncio.run(_measure(measured, payments, machine, began_at))
    document = msgspec.json.format(msgspec.json.encode(figures)).decode()
    click.echo(document)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(document + "\n")


async def _measure(measured: stack.Stack, number: int, machine: Machine, began_at: datetime) -> Figures:
    measured.await_ready("gateway")
    url, password = measured.settings.url("gateway"), measured.replay.seed_password
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", password), retry_for_s=RETRY_FOR_S) as payer,
        GatewayClient(url, PasswordLogin("admin@example.com", password), retry_for_s=RETRY_FOR_S) as admin,
    ):
        payments = PaymentLoad(measured.replay, payer, admin)
        await payments.first()
        first_s = time.monotonic() - measured.began
        measured.await_ready()
        await payments.prepare()
        _say("warm-up")
        await payments.send(number)
        meter = stack.Meter(measured.pids())
        rounds = [await _round(payments, number, n, meter) for n in range(ROUNDS)]
        _say("at a gentle pace")
        paced = await payments.send(max(number // 4, 50), PACE)
    processes = meter.per(ROUNDS * number)
    hop_ms = _hop(measured, paced.number)
    return Figures(
        began_at=began_at,
        machine=machine,
        start_to_first_payment_s=round(first_s, 1),
        rounds=rounds,
        payments_per_second=median(r.payments.per_second for r in rounds),
        per_second_of_bare=round(median(r.per_second_ratio() for r in rounds), 3),
        p99_of_bare=round(median(r.p99_ratio() for r in rounds), 1),
        paced=paced,
        hop_ms=hop_ms,
        verdict_of_hop={name: round(paced.verdict_ms[name] / hop_ms[name], 2) for name in paced.verdict_ms},
        processes=processes,
    )


async def _round(payments: PaymentLoad, number: int, round_: int, meter: stack.Meter) -> Round:
    _say(f"round {round_ + 1} of {ROUNDS}")
    with _bare() as url:
        bare = await post_bare(url, number * BARE_PER_PAYMENT)
    with meter.counting():
        return Round(bare, await payments.send(number))


@contextmanager
def _bare() -> Iterator[str]:
    port = stack.free_port()
    with subprocess.Popen([sys.executable, "-m", "benchmarks.bare", str(port)]) as server:
        try:
            yield f"http://localhost:{port}"
        finally:
            server.terminate()


def _hop(measured: stack.Stack, number: int) -> Quantiles:
    _say("the empty hop")
    with hop.running(measured) as empty:
        return quantiles(empty.measure(number, 1 / PACE))


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
