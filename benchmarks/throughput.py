"""`python -m benchmarks.throughput`: payments per second and what each costs, by what the stack is made of.

Each `--of` is a stack of its own, in one sitting: the books in SQLite, or in PostgreSQL behind one or two gateways
(`postgres`, `two`); Kafka without passwords (`plain`), or with TLS as well (`tls`), where the others have
passwords and rights alone. As many payments in flight at each gateway as `sluice replay` has. Prints JSON.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import click
import msgspec

from benchmarks import stack
from benchmarks.figures import Cost, Load
from benchmarks.fleet import GATEWAYS
from benchmarks.load import PaymentLoad
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin

APART = 1_000_000  # between the numbers of the payments of two gateways


class Made(msgspec.Struct, frozen=True):
    """What a stack is made of."""

    database: stack.Database
    gateways: int
    kafka: stack.KafkaKind


STACKS = {
    "sqlite": Made("sqlite", 1, "scram"),
    "postgres": Made("postgres", 1, "scram"),
    "two": Made("postgres", 2, "scram"),
    "plain": Made("sqlite", 1, "plain"),
    "tls": Made("sqlite", 1, "tls"),
}


class StackThroughput(msgspec.Struct, frozen=True):
    """`cpu_ms`: per payment, of all processes but the load generator. `load`: the load average before it began."""

    load: float
    payments: int
    per_second: float
    latency_ms: list[dict[str, float]]
    verdict_ms: dict[str, float]
    cpu_ms: float
    processes: dict[str, Cost]


@click.command()
@click.option("--payments", default=2_000, help="Of each stack, after a quarter as many to warm up.")
@click.option("--of", "names", multiple=True, type=click.Choice(list(STACKS)), default=list(STACKS))
@click.option("--rounds", default=1, help="Of all of them, one after the other.")
def main(payments: int, names: tuple[str, ...], rounds: int) -> None:
    """Measure stacks of several makes; a minute or two each."""
    found: dict[str, list[StackThroughput]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(_measured(STACKS[name], payments))
            click.echo(f"{name}: {found[name][-1].per_second}/s, {found[name][-1].cpu_ms} ms", err=True)
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


def _measured(made: Made, payments: int) -> StackThroughput:
    load = os.getloadavg()[0]
    settings = stack.OPEN_STAND_IN | {"SLUICE_GATEWAYS": str(made.gateways)}
    with stack.running(made.database, settings=settings, kafka=made.kafka) as measured:
        measured.await_ready()
        return asyncio.run(_paid(measured, made.gateways, payments, load))


async def _paid(measured: stack.Stack, gateways: int, payments: int, load: float) -> StackThroughput:
    async with loads(measured, gateways) as each:
        await send(each, payments // 4)
        meter, began = stack.Meter(measured.pids()), perf_counter()
        with meter.counting():
            sent = await send(each, payments)
        seconds = perf_counter() - began
    processes = meter.per(payments)
    ours = sum(cost.cpu_ms for name, cost in processes.items() if name != "load generator")
    return StackThroughput(
        load=round(load, 1),
        payments=payments,
        per_second=round(payments / seconds, 1),
        latency_ms=[one.latency_ms for one in sent],
        verdict_ms=sent[0].verdict_ms,
        cpu_ms=round(ours, 2),
        processes=processes,
    )


@asynccontextmanager
async def loads(measured: stack.Stack, gateways: int) -> AsyncIterator[list[PaymentLoad]]:
    """One at each gateway, with its cards and merchants."""
    password, made = measured.replay.seed_password, list[PaymentLoad]()
    clients = [
        GatewayClient(measured.settings.url(name), PasswordLogin(who, password), retry_for_s=RETRY_FOR_S)
        for name in GATEWAYS[:gateways]
        for who in ("replay@example.com", "admin@example.com")
    ]
    try:
        for number in range(gateways):
            payer, admin = clients[2 * number : 2 * number + 2]
            made.append(PaymentLoad(measured.replay, payer, admin, number * APART))
            await made[-1].prepare()
        yield made
    finally:
        for client in clients:
            await client.close()


async def send(each: list[PaymentLoad], payments: int, rate: float | None = None) -> list[Load]:
    """So many payments, shared by the gateways; as fast as answers come, or so many a second together."""
    share = rate / len(each) if rate else None
    return list(await asyncio.gather(*[one.send(payments // len(each), share) for one in each]))


if __name__ == "__main__":
    main()
