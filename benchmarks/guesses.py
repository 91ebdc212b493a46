"""`python -m benchmarks.guesses`: how many of the numbers behind a BIN and last four digits can be tried out.

They are 100,000. Somebody who sees that much of a card tries them in order, with as many accounts and addresses as
the way names, against the count that stands before the vault, on books of its own. Prints JSON: by way, how many
are taken on a first and a second day, and how many days all of them need. What is taken on a day may be taken
within an hour.
"""

import sys
import tempfile
from collections.abc import Iterator
from itertools import count, islice, product
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from gateway.addresses import network_of
from gateway.books.lookalikes import admit
from gateway.books.opening import migrate, run_once
from gateway.euro_rates import EuroRates
from gateway.payments.tokenizing import Sender, scopes_of
from gateway.policy import Policy
from gateway.prints import Prints
from schemas.cards import luhn_valid

CANDIDATES = 100_000
GIVES_UP = 200  # tries that were refused one after the other
BIN, LAST4 = "411111", "1111"
POLICY = Policy("wrk", 15, 10, 60, (100,), 1000, 1, 1, 1, 1, EuroRates(), Prints(bytes(32)))


class Way(msgspec.Struct, frozen=True):
    """With how many accounts, and from how many addresses; `imports`: by the scope `payments:import`."""

    accounts: int
    addresses: int
    imports: bool = False

    def senders(self) -> Iterator[Sender]:
        """Who sends one number after the other, each from each address."""
        lines = [network_of(f"203.0.113.{number}") for number in range(self.addresses)]
        places = [""] if self.imports else lines
        accounts = [f"acc_{number}" for number in range(self.accounts)]
        while True:
            yield from (Sender(account, place) for place, account in product(places, accounts))


class Tried(msgspec.Struct, frozen=True):
    """How many candidates were taken on two days, and how many days all of them need."""

    first_day: int
    second_day: int
    days_for_all: int


WAYS = {
    "one account, one address": Way(1, 1),
    "one account, many addresses": Way(1, 100),
    "many accounts, one address": Way(100, 1),
    "many accounts, many addresses": Way(100, 100),
    "one account that imports": Way(1, 1, imports=True),
}


def candidates(bin: str = BIN, last4: str = LAST4) -> Iterator[str]:
    """The card numbers of 16 digits with this BIN and last four, in order."""
    return (number for n in range(10**6) if luhn_valid(number := f"{bin}{n:06}{last4}"))


def tries(conn: Connection, way: Way, policy: Policy = POLICY) -> Tried:
    """Go one way on two days, each day until nothing more is taken."""
    numbers = candidates()
    first, second = (_taken_on(conn, f"2026-11-{day}", way, numbers, policy) for day in (27, 28))
    return Tried(first, second, days_for_all=-(-CANDIDATES // max(first, second)))


def _taken_on(conn: Connection, day: str, way: Way, numbers: Iterator[str], policy: Policy) -> int:
    taken, refused = 0, 0
    for sender, number in zip(way.senders(), numbers, strict=False):
        account, others = scopes_of(policy, number, sender)
        is_taken = admit(conn, day, BIN + LAST4, account, others) is None
        taken, refused = taken + is_taken, 0 if is_taken else refused + 1
        if refused == GIVES_UP:
            return taken
    return taken


def main() -> None:
    """Go every way, and print what it came to."""
    assert len(list(islice(candidates(), CANDIDATES + 1))) == CANDIDATES
    found = {}
    for number, (name, way) in zip(count(), WAYS.items(), strict=False):
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / f'{number}.sqlite3'}"
            migrate(url)
            found[name] = run_once(url, lambda conn, way=way: tries(conn, way))  # type: ignore[misc]
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


if __name__ == "__main__":
    main()
