"""`python -m benchmarks.races`: many clients refund a tenth each of one payment, and try again while told to wait.

Each run pays and captures, at once or in parts, lets all clients ask at the same time until each has its refund or
is told that it is too large, and adds up what was given back, in the books and at the processor. Prints JSON, and
ends with 1 unless every sum is what was captured.
"""

import asyncio
import sys
from collections import Counter
from time import perf_counter
from typing import Any, get_args

import click
import msgspec

from benchmarks import stack
from benchmarks.load import APART, BEGAN
from connectors.gateway import RETRY_FOR_S, GatewayClient, GatewayRefused, PasswordLogin
from sluice.dataset import card_number
from sluice.reconcile.ledger import read_ledger

AMOUNT = 10_000  # minor units
TENTH = AMOUNT // 10
PARTS = (3_000, 4_500, 2_500)
AT_ONCE = 4  # runs


class RaceFigures(msgspec.Struct, frozen=True):
    """`told`: how often clients were told what, over all runs. `wrong`: payments whose sums were not exact."""

    runs: int
    clients: int
    exact: int
    exact_in_parts: int
    seconds: float
    told: dict[str, int]
    wrong: list[str]


class Race(msgspec.Struct, frozen=True):
    """One run. `calls`: the ids of the refund's calls to the processor."""

    payment_id: str
    in_parts: bool
    refunded: int
    calls: frozenset[str]
    told: Counter[str]


@click.command()
@click.option("--runs", default=100, help="Of each kind: captured at once, and in parts.")
@click.option("--clients", default=50, help="How many ask for a tenth each.")
@click.option("--database", type=click.Choice(get_args(stack.Database)), default="sqlite", help="Of the books.")
def main(runs: int, clients: int, database: stack.Database) -> None:
    """Race refunds on a stack of their own; takes some minutes."""
    with stack.running(database) as measured:
        measured.await_ready()
        began = perf_counter()
        races = asyncio.run(_race_all(measured, runs, clients))
        seconds = perf_counter() - began
        given_back = _given_back(measured)
    exact = [race for race in races if race.refunded == AMOUNT == sum(given_back[call] for call in race.calls)]
    figures = RaceFigures(
        runs=runs,
        clients=clients,
        exact=sum(not race.in_parts for race in exact),
        exact_in_parts=sum(race.in_parts for race in exact),
        seconds=round(seconds, 1),
        told=dict(sum((race.told for race in races), Counter[str]())),
        wrong=[race.payment_id for race in races if race not in exact],
    )
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(len(exact) != len(races))


async def _race_all(measured: stack.Stack, runs: int, clients: int) -> list[Race]:
    url, password = measured.settings.url("gateway"), measured.replay.seed_password
    slots, all_clients = asyncio.Semaphore(AT_ONCE), clients * AT_ONCE
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", password), retry_for_s=RETRY_FOR_S) as payer,
        GatewayClient(
            url, PasswordLogin("admin@example.com", password), retry_for_s=RETRY_FOR_S, connections=all_clients
        ) as admin,
    ):
        merchant = (await admin.post("/v1/merchants", {"name": "Raced for"}, "races-merchant"))["id"]

        async def one(number: int, in_parts: bool) -> Race:
            async with slots:
                payment = await _captured(payer, admin, merchant, number, in_parts)
                return await _race(admin, payment, clients, in_parts)

        return await asyncio.gather(
            *[one(number, in_parts) for number in range(runs) for in_parts in (False, True)]
        )


async def _captured(payer: GatewayClient, admin: GatewayClient, merchant: str, number: int, in_parts: bool) -> str:
    """The id of a payment of which all is captured, at Visa for an even number."""
    card = {"number": card_number(number), "exp_month": 1, "exp_year": 2039}
    token = (await payer.post("/v1/cards", card, f"races-card-{number}"))["id"]
    asked = {"amount": AMOUNT, "currency": "EUR", "merchant": merchant, "capture": "manual"}
    when = {"occurred_at": BEGAN + number * APART}
    by_card = {"payment_method": {"type": "card", "card": token, "cvc": "100"}}
    key = f"races-{number}-{in_parts}"
    payment = await payer.post("/v1/payments", asked | by_card | when, key)
    path = f"/v1/payments/{payment['id']}"
    for part in PARTS if in_parts else (AMOUNT,):
        await admin.post(f"{path}/capture", {"amount": part, "final": False}, f"{key}-{part}")
    return str(payment["id"])


async def _race(admin: GatewayClient, payment_id: str, clients: int, in_parts: bool) -> Race:
    path = f"/v1/payments/{payment_id}"

    async def ask(client: int) -> str:
        try:
            answer = await admin.post(f"{path}/refunds", {"amount": TENTH}, f"{payment_id}-{client}")
            return str(answer["status"])
        except GatewayRefused as refused:
            return refused.code

    told = Counter(await asyncio.gather(*[ask(client) for client in range(clients)]))
    payment: dict[str, Any] = await admin.get(path)
    operations = (await admin.get(f"{path}/operations"))["data"]
    calls = frozenset(operation["id"] for operation in operations if operation["kind"] == "refund")
    return Race(payment_id, in_parts, payment["amount_refunded"], calls, told)


def _given_back(measured: stack.Stack) -> Counter[str]:
    """What the processors gave back, by the id of our call."""
    given = Counter[str]()
    for row in read_ledger(measured.settings.url("sandbox")):
        if row.operation == "refund" and row.status == "applied":
            given[row.request_id] += row.amount
    return given


if __name__ == "__main__":
    main()
