"""`python -m benchmarks.same_keys`: each payment is asked for many times at once, under one key, at two gateways.

While that goes on, `--kills` of either gateway by SIGKILL, by turns. In the end each key must have one payment,
and the processors one charge of each that was captured. Prints JSON, and ends with 1 unless that holds.
"""

import asyncio
import signal
import sys
import time
from typing import Any

import click
import msgspec

from benchmarks import stack
from benchmarks.fleet import PROCESSES, SETTINGS, Sides, by_turns, charges, connected, in_the_books, strike
from benchmarks.load import APART, BEGAN
from sluice.dataset import card_number
from sluice.freshness import quantiles

AMOUNT = 1_000  # minor units
KEYS_PER_CARD = 4  # in the payments' own time these lie far apart
KEYS_AT_ONCE = 8


class KeyFigures(msgspec.Struct, frozen=True):
    """`payments`: those that were made of the keys. `caught`: those that a gateway had in hand when it was killed.
    `of_several`: keys whose callers were told of several payments. `charges`: captured ones by how often.
    """

    keys: int
    payments: int
    callers: int
    faults: int
    caught: int
    of_several: int
    charges: dict[str, int]
    call_ms: dict[str, float]
    seconds: float
    reconciled: bool

    def holds(self) -> bool:
        """Whether each key came to one payment, and each that was captured to one charge."""
        one_each = self.payments == self.keys and not self.of_several
        return one_each and self.charges.keys() == {"1"} and self.reconciled


@click.command()
@click.option("--keys", default=1_000)
@click.option("--callers", default=16, help="How many ask at once under each key, half of them at either gateway.")
@click.option("--kills", default=0, help="Of a gateway, by turns.")
def main(keys: int, callers: int, kills: int) -> None:
    """Ask under the same keys at both gateways of one stack; some minutes."""
    with stack.running("postgres", settings=SETTINGS, only=PROCESSES) as measured:
        measured.await_ready()
        figures = by_keys(measured, keys, callers, kills)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not figures.holds())


def by_keys(measured: stack.Stack, keys: int, callers: int, kills: int) -> KeyFigures:
    """Ask under so many keys; `charges` are those of all payments that the stack has."""
    assert measured.server
    before, began = in_the_books(measured.server).total(), time.monotonic()
    paid, latencies, caught = asyncio.run(_ask_all(measured, keys, callers, kills))
    return KeyFigures(
        keys=keys,
        payments=in_the_books(measured.server).total() - before,
        callers=callers,
        faults=kills,
        caught=caught,
        of_several=sum(len(ids) != 1 for ids in paid),
        charges=charges(measured),
        call_ms=quantiles(latencies),
        seconds=round(time.monotonic() - began, 1),
        reconciled=measured.reconciles(),
    )


async def _ask_all(
    measured: stack.Stack, keys: int, callers: int, kills: int
) -> tuple[list[frozenset[str]], list[float], int]:
    """The payments that the callers of each key were told of, how long each call took, and who was caught."""
    async with (
        connected(measured, "replay@example.com") as payers,
        connected(measured, "admin@example.com") as admins,
    ):
        merchant = str((await admins.post(0, "/v1/merchants", {"name": "Once"}, "same-merchant"))["id"])
        slots = asyncio.Semaphore(KEYS_AT_ONCE)
        faulted = asyncio.create_task(strike(measured, by_turns(kills, signal.SIGKILL)))

        async def one(number: int) -> frozenset[str]:
            async with slots:
                return await _ask(payers, await _purchase(payers, merchant, number), number, callers)

        paid = await asyncio.gather(*[one(number) for number in range(keys)])
        return list(paid), payers.milliseconds, await faulted


async def _purchase(payers: Sides, merchant: str, number: int) -> dict[str, Any]:
    card_id = number // KEYS_PER_CARD
    card = {"number": card_number(card_id), "exp_month": 1, "exp_year": 2039}
    token = (await payers.post(number, "/v1/cards", card, f"same-card-{card_id}"))["id"]
    by_card = {"payment_method": {"type": "card", "card": token, "cvc": "100"}}
    asked = {"amount": AMOUNT, "currency": "EUR", "merchant": merchant, "occurred_at": BEGAN + number * APART}
    return asked | by_card


async def _ask(payers: Sides, purchase: dict[str, Any], number: int, callers: int) -> frozenset[str]:
    calls = [payers.post(side, "/v1/payments", purchase, f"same-{number}") for side in range(callers)]
    return frozenset(str(answer["id"]) for answer in await asyncio.gather(*calls))


if __name__ == "__main__":
    main()
