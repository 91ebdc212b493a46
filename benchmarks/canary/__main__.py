"""`python -m benchmarks.canary`: card numbers, codes and persons through everything, then looked for; prints JSON.

A stack of its own. A customer with canaries for names, numbers and codes pays in every way, under every fault of
the sandbox, and while each process is killed; the canaries are typed into each field, path, parameter and header
of each route of the OpenAPI document. Then every file, row, record, page and, as root, live memory is looked
through, in clear and in disguises. Each look is tried on a number that is planted for it. Ends with 1 where a
number or a code is found anywhere, a person outside of the catcher, or a plant is not found.
"""

import asyncio
import os
import random
import signal
import sys
import time
from contextlib import suppress

import click
import msgspec
import structlog

from benchmarks import stack
from benchmarks.canary.canaries import LIKELY, Canaries, Suspect, canaries, card_data, texts
from benchmarks.canary.everywhere import CATCHER, Everywhere, Look, LookFigures, searched
from benchmarks.canary.payments import CanaryPayer, PaymentFigures
from benchmarks.canary.plants import every_plant
from benchmarks.canary.sends import RouteFigures, RouteSender, typed
from benchmarks.described import Tokens
from connectors.warehouse import WarehouseError, WarehouseReader
from gateway.seed import SERVICES
from schemas.times import now
from sluice.processes import NAMES


class CanaryFigures(msgspec.Struct, frozen=True):
    """`found`: by kind and look. `planted`: whether each look finds its plant."""

    seed: int
    seconds: float
    routes: RouteFigures
    payments: PaymentFigures
    killed: list[str]
    planted: dict[str, bool]
    found: dict[str, dict[str, LookFigures]]

    def hits(self) -> int:
        """How many places hold what they must not, and how many answers showed it."""
        looked = [look for looks in self.found.values() for look in looks.values()]
        return sum(len(look.hits) for look in looked) + len(self.routes.shown)


@click.command()
@click.option("--seed", type=int, default=None, help="Of the canaries; a new one unless given.")
@click.option("--texts", "most", default=13, help="How many ways to type a number into each place.")
def main(seed: int | None, most: int) -> None:
    """Send canaries through a stack of its own, and look for them; takes some minutes."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    began = time.monotonic()
    with stack.running() as measured:
        measured.await_ready()
        figures = _measure(measured, seed, most, began)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(bool(figures.hits() or not all(figures.planted.values())))


def _measure(measured: stack.Stack, seed: int, most: int, began: float) -> CanaryFigures:
    birds = canaries(seed)
    routes, payments, killed, tokens = asyncio.run(_send(measured, birds, most))
    places = Everywhere(measured.settings, measured.pids)
    suspects: dict[str, tuple[Suspect, tuple[str, ...]]] = {
        "card data": (card_data(birds.numbers, birds.codes), ()),
        "persons": (texts((*birds.persons(), birds.words)), CATCHER),
        "secrets": (texts((birds.password, *tokens)), ()),
    }
    found = {kind: _look(kind, places.places(), *suspect) for kind, suspect in suspects.items()}
    if os.geteuid() == 0:
        likely = card_data(birds.numbers, birds.codes, LIKELY)
        found["card data"] |= _look("card data", {"live memory": places.memory}, likely, ())
    _say("what is planted")
    planted = every_plant(measured.kafka(), measured.settings.data / "kafka")
    seconds = round(time.monotonic() - began, 1)
    return CanaryFigures(seed, seconds, routes, payments, killed, planted, found)


def _look(
    kind: str, places: dict[str, Look], suspect: Suspect, allowed: tuple[str, ...]
) -> dict[str, LookFigures]:
    found = {}
    for name, look in places.items():
        _say(f"{kind} in {name}")
        found[name] = searched(look, suspect, allowed)
    return found


async def _send(
    measured: stack.Stack, birds: Canaries, most: int
) -> tuple[RouteFigures, PaymentFigures, list[str], tuple[str, ...]]:
    url = measured.settings.url("gateway")
    secrets = {name: (measured.settings.secrets() / f"{name}.secret").read_text().strip() for name in SERVICES}
    tokens = Tokens(url, measured.replay.seed_password, secrets)
    payer = CanaryPayer(measured.settings, birds, await tokens.of("merchant"))
    try:
        _say("payments in every way, and under every fault")
        await payer.join()
        await payer.pay_in_every_way()
        await payer.pay_under_faults()
        tokens.keep("customer", payer.token())
        sender = RouteSender(url, birds, tokens, await payer.known())
        _say("every place of every route")
        await sender.send_everywhere(typed(birds)[:most])
        _say("the death of each process")
        killed = await _kill_each(measured, payer)
        await asyncio.to_thread(_ask_the_warehouse, measured, birds)
        await payer.pay(0)
        await asyncio.sleep(3)  # until the flows have it
    finally:
        await payer.close()
    return sender.figures, payer.figures, killed, (payer.token(),)


async def _kill_each(measured: stack.Stack, payer: CanaryPayer) -> list[str]:
    """Kill each process in the middle of payments; all of them come back."""
    for name in NAMES:
        ended = asyncio.Event()
        paying = asyncio.create_task(payer.pay_until(ended))
        await asyncio.sleep(0.5)
        os.kill(measured.pids()[name], signal.SIGKILL)
        await asyncio.sleep(2)
        await asyncio.to_thread(measured.await_ready)
        ended.set()
        await paying
    return list(NAMES)


def _ask_the_warehouse(measured: stack.Stack, birds: Canaries) -> None:
    """Type a number into a statement that would fail, and into one that would not."""
    reader, card = WarehouseReader(measured.settings, "sql"), birds.numbers[0]
    for sql in (f"SELECT '{card}' || no_such_column", f"SELECT count(*) FROM payments WHERE id = '{card}'"):
        with suppress(WarehouseError):
            reader.query(sql)


def _say(text: str) -> None:
    click.echo(f"{now():%H:%M:%S} {text}", err=True)


if __name__ == "__main__":
    main()
