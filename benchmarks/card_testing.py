"""`python -m benchmarks.card_testing`: a thief tests stolen cards on a stack of its own, among honest customers.

A few accounts try 1,000 cards of one BIN for 1 to 6 EUR at a few merchants; meanwhile honest newcomers pay as
little by their first card, and regulars what they usually pay. Everybody comes from one address; with more of them
(`--addresses`) the stolen cards come in turn from all, each in a network of its own, honest people from others.
All cards are alive, which is the harder case. Prints JSON, and ends with 1 where too many stolen cards reached an
issuer, or honest people were stopped.
"""

import asyncio
import random
import sys
from collections import Counter
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any, Literal

import click
import msgspec

from benchmarks import stack
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from sluice.dataset import card_number
from sluice.replay import gather

PASSWORD = "correct horse battery staple"
REACHED_MAX, HELD_MAX = 20, 2
REGULARS_FIRST = 3  # captured payments of a regular before the attack
TRIED_FIRST = 9  # at most: on a busy machine the stand-in holds some
HONEST_CARDS = 10_000_000  # ids from here on are cards of honest people

Who = Literal["thief", "newcomer", "regular"]


class TestingFigures(msgspec.Struct, frozen=True):
    """`reached`: stolen cards of which an issuer was asked. `outcomes`: verdicts by who paid, `who: outcome`."""

    cards: int
    accounts: int
    merchants: int
    addresses: int
    reached: int
    honest: int
    honest_refused: int
    honest_held: int
    seconds: float
    outcomes: dict[str, int]


class Purchase(msgspec.Struct, frozen=True):
    """A payment to make: by whom, from which account and address, by which card, `amount` in cents."""

    who: Who
    account: str
    card_id: int
    amount: int
    address: str = ""


@click.command()
@click.option("--cards", default=1_000, help="Stolen cards.")
@click.option("--accounts", default=10, help="Of the thief.")
@click.option("--merchants", default=5, help="Where everybody pays.")
@click.option("--addresses", default=1, help="Of the thief; with more than one, honest customers have theirs.")
@click.option("--honest", default=200, help="Honest customers; half of them are new.")
@click.option("--seed", default=1, help="Of the order and the amounts.")
def main(cards: int, accounts: int, merchants: int, addresses: int, honest: int, seed: int) -> None:
    """Test stolen cards on a stack of its own; takes about two minutes."""
    chance = random.Random(seed)
    stolen = [_stolen(number, accounts, addresses, chance) for number in range(cards)]
    others = [_honest(number, addresses > 1, chance) for number in range(honest)]
    with stack.running(settings={"SLUICE_PROXIES": "127.0.0.1"}) as measured:
        measured.await_ready()
        seen, seconds = asyncio.run(_attack(measured, stolen, others, merchants, chance))
    told = Counter((who != "thief", payment["risk"]["outcome"]) for who, payment in seen)
    figures = TestingFigures(
        cards=cards,
        accounts=accounts,
        merchants=merchants,
        addresses=addresses,
        reached=sum(who == "thief" and payment.get("processor") is not None for who, payment in seen),
        honest=honest,
        honest_refused=told[True, "block"],
        honest_held=told[True, "review"],
        seconds=round(seconds, 1),
        outcomes=dict(Counter(f"{who}: {_told(payment)}" for who, payment in seen)),
    )
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    stopped = figures.honest_refused or figures.honest_held > HELD_MAX
    sys.exit(bool(figures.reached > REACHED_MAX or stopped))


async def _attack(
    measured: stack.Stack, stolen: list[Purchase], others: list[Purchase], merchants: int, chance: random.Random
) -> tuple[list[tuple[Who, dict[str, Any]]], float]:
    """The payments by who made them, as staff sees them, and how many seconds all of them took."""
    mixed = stolen + others
    chance.shuffle(mixed)
    async with AsyncExitStack() as opened:
        town = Town(measured, opened, chance)
        await town.open(merchants, sorted({p.account for p in mixed}))
        for purchase in others:
            if purchase.who == "regular":
                await town.make_regular(purchase)
        began = perf_counter()
        found = await asyncio.gather(*[town.pay(purchase, f"now-{n}") for n, purchase in enumerate(mixed)])
        seconds = perf_counter() - began
    return [(purchase.who, payment) for purchase, payment in zip(mixed, found, strict=True)], seconds


def _told(payment: dict[str, Any]) -> str:
    """The verdict; where the machine is too busy for the flow to answer in time, it is the stand-in's."""
    risk = payment["risk"]
    return f"{risk['outcome']} by the stand-in" if risk["source"] == "stand_in" else str(risk["outcome"])


def _stolen(number: int, accounts: int, addresses: int, chance: random.Random) -> Purchase:
    address = f"198.18.{number % addresses}.7" if addresses > 1 else ""
    return Purchase("thief", f"thief-{number % accounts}", 2 * number, chance.randint(100, 600), address)


def _honest(number: int, has_address: bool, chance: random.Random) -> Purchase:
    """Every second one is new. One card in ten is of the attacked BIN: even ids are Visa's."""
    card_id = HONEST_CARDS + 2 * number + (number % 10 > 0)
    address = f"198.19.{number}.7" if has_address else ""
    if number % 2:
        return Purchase("regular", f"regular-{number}", card_id, chance.randint(1_500, 9_000), address)
    return Purchase("newcomer", f"newcomer-{number}", card_id, chance.randint(100, 600), address)


class Town:
    """The merchants and everybody who pays there, at the gateway of `measured`."""

    def __init__(self, measured: stack.Stack, opened: AsyncExitStack, chance: random.Random) -> None:
        self._url, self._opened, self._chance = measured.settings.url("gateway"), opened, chance
        self._staff_login = PasswordLogin("admin@example.com", measured.replay.seed_password)
        self._clients: dict[str, GatewayClient] = {}
        self._cards: dict[tuple[str, int], str] = {}
        self._merchants: list[str] = []
        self._slots = asyncio.Semaphore(16)

    async def open(self, merchants: int, accounts: list[str]) -> None:
        """Open the merchants and sign everybody up."""
        self._staff = await self._client(self._staff_login)
        for number in range(merchants):
            body = {"name": f"Merchant {number}"}
            self._merchants.append((await self._staff.post("/v1/merchants", body, f"town-{number}"))["id"])
        nobody = await self._client(None)
        await gather([self._sign_up(nobody, account) for account in accounts])

    async def make_regular(self, purchase: Purchase) -> None:
        """Have a customer pay, one payment after the other, until some were captured. Raises `RuntimeError`."""
        captured = 0
        for number in range(TRIED_FIRST):
            payment = await self.pay(purchase, f"past-{purchase.account}-{number}")
            captured += payment["state"] == "captured"
            if captured == REGULARS_FIRST:
                return
        raise RuntimeError(f"{purchase.account} could not pay {REGULARS_FIRST} times")

    async def pay(self, purchase: Purchase, key: str) -> dict[str, Any]:
        """Pay, in this order but for 16 at once; the payment as staff sees it."""
        async with self._slots:
            client = self._clients[purchase.account]
            body = {
                "amount": purchase.amount,
                "currency": "EUR",
                "merchant": self._chance.choice(self._merchants),
                "payment_method": {"type": "card", "card": await self._card(purchase), "cvc": "100"},
            }
            headers = {"X-Forwarded-For": purchase.address} if purchase.address else {}
            payment = await client.post("/v1/payments", body, key, headers)
            seen: dict[str, Any] = await self._staff.get(f"/v1/payments/{payment['id']}")
            return seen

    async def _card(self, purchase: Purchase) -> str:
        known = (purchase.account, purchase.card_id)
        if known not in self._cards:
            body = {"number": card_number(purchase.card_id), "exp_month": 1, "exp_year": 2039}
            answer = await self._clients[purchase.account].post("/v1/cards", body, f"card-{purchase.card_id}")
            self._cards[known] = answer["id"]
        return self._cards[known]

    async def _sign_up(self, nobody: GatewayClient, account: str) -> None:
        login = PasswordLogin(f"{account}@example.com", PASSWORD)
        await nobody.post("/v1/accounts", {"email": login.email, "password": PASSWORD, "name": account})
        self._clients[account] = await self._client(login)

    async def _client(self, login: PasswordLogin | None) -> GatewayClient:
        client = GatewayClient(self._url, login, retry_for_s=RETRY_FOR_S, connections=16)
        return await self._opened.enter_async_context(client)


if __name__ == "__main__":
    main()
