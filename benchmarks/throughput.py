"""`python -m benchmarks.throughput`: payments per second and what each costs, by what the stack is made of.

Each `--of` is a stack of its own, in one sitting: the books in SQLite, or in PostgreSQL behind one or two gateways
(`postgres`, `two`); Kafka without passwords (`plain`), or with TLS as well (`tls`), where the others have
passwords and rights alone; every span sent to a collector (`traced`); fifty rules live (`rules`). As many payments
in flight at each gateway as `sluice replay` has, or `--rate` of them a second. Prints JSON.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import perf_counter

import click
import msgspec

from benchmarks import stack
from benchmarks.figures import Cost, Load
from benchmarks.fleet import GATEWAYS
from benchmarks.fraud_speed import fifty_rules
from benchmarks.load import PaymentLoad
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin

APART = 1_000_000  # between the numbers of the payments of two gateways


class Made(msgspec.Struct, frozen=True):
    """What a stack is made of. `traced`: with a collector of spans. `rules`: fifty of them are live."""

    database: stack.Database = "sqlite"
    gateways: int = 1
    kafka: stack.KafkaKind = "scram"
    traced: bool = False
    rules: bool = False


STACKS = {
    "sqlite": Made(),
    "postgres": Made("postgres"),
    "two": Made("postgres", gateways=2),
    "plain": Made(kafka="plain"),
    "tls": Made(kafka="tls"),
    "traced": Made(traced=True),
    "rules": Made(rules=True),
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
@click.option("--rate", type=float, help="Payments a second; else as fast as answers come.")
def main(payments: int, names: tuple[str, ...], rounds: int, rate: float | None) -> None:
    """Measure stacks of several makes; a minute or two each."""
    found: dict[str, list[StackThroughput]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(_measured(STACKS[name], payments, rate))
            click.echo(f"{name}: {found[name][-1].per_second}/s, {found[name][-1].cpu_ms} ms", err=True)
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


def _measured(made: Made, payments: int, rate: float | None) -> StackThroughput:
    load = os.getloadavg()[0]
    settings = stack.OPEN_STAND_IN | {"SLUICE_GATEWAYS": str(made.gateways)}
    with ExitStack() as opened:
        if made.traced:
            settings |= {"SLUICE_TRACES": opened.enter_context(collector(len))}
        measured = opened.enter_context(stack.running(made.database, settings=settings, kafka=made.kafka))
        measured.await_ready()
        return asyncio.run(_paid(measured, made, payments, rate, load))


async def _paid(
    measured: stack.Stack, made: Made, payments: int, rate: float | None, load: float
) -> StackThroughput:
    if made.rules:
        await add_rules(measured)
    async with loads(measured, made.gateways) as each:
        await send(each, payments // 4, rate)
        meter, began = stack.Meter(measured.pids()), perf_counter()
        with meter.counting():
            sent = await send(each, payments, rate)
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


async def add_rules(measured: stack.Stack) -> None:
    """Make rules live until there are fifty; a new stack has the first of them."""
    login = PasswordLogin("analyst@example.com", measured.replay.seed_password)
    async with GatewayClient(measured.settings.url("gateway"), login, retry_for_s=RETRY_FOR_S) as analyst:
        known = {rule["id"] for rule in (await analyst.get("/v1/rules?limit=100"))["data"]}
        for rule in fifty_rules():
            asked = {name: getattr(rule, name) for name in ("id", "expression", "outcome", "reason", "mode")}
            if rule.id not in known:
                await analyst.post("/v1/rules", asked, f"rule-{rule.id}")


@contextmanager
def collector(take: Callable[[bytes], object]) -> Iterator[str]:
    """The address of a collector of spans, in this process; `take` gets the body of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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
