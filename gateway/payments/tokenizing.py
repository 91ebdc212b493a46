"""A card number before it becomes a token: how many that look like it may be tried.

Whoever sees BIN and last four of somebody's card has 100,000 candidates for the rest, and would learn the one by
what tokenizing it answers, here or beside a payment. So a few distinct ones a day are taken (docs/decisions/0033).
"""

import msgspec

from gateway.books.lookalikes import Scope, ScopeKind, admit
from gateway.policy import Policy, seconds_left
from gateway.refusals import Refusal
from gateway.runtime import Runtime
from schemas.times import from_micros, steady_micros

TOO_MANY = "Too many different numbers with these first six and last four digits today."


class TooManyLookalikes(Refusal):
    """This number, and every one that looks like it, is taken of this account on another day."""


class Sender(msgspec.Struct, frozen=True):
    """Who sends a number: an account, and where from; empty where its address does not count."""

    account_id: str
    network: str


async def admit_number(runtime: Runtime, number: str, sender: Sender) -> None:
    """Count a number on its way to the vault, which makes what it is counted by.

    It comes before everything that could tell whether the number is known: its token, and what an Idempotency-Key
    was answered. Raises `TooManyLookalikes` until the day ends, and `VaultAway`.
    """
    digest = await runtime.vault.digest(b"number\0" + number.encode())
    account, others = scopes_of(runtime.policy, digest.hex(), sender)
    bin, last4, moment = number[:6], number[-4:], steady_micros()
    day = from_micros(moment).date().isoformat()
    refusing: ScopeKind | None = await runtime.books.write(admit, day, bin + last4, account, others)
    if refusing is not None:
        runtime.lookalike_metrics.refuse(refusing, sender.account_id, bin, last4)
        raise TooManyLookalikes(TOO_MANY, seconds_left(moment))


def scopes_of(policy: Policy, digest: str, sender: Sender) -> tuple[Scope, list[Scope]]:
    """Where a number counts: for its account, and for the address and all together."""
    most, prints = policy.lookalikes, policy.prints
    own = prints.of_try(sender.account_id, digest)
    number = prints.of_try("", digest) if most.are_shared else own
    others = [Scope("all", "all", number, most.overall)]
    if sender.network:
        address = prints.of_try("address", sender.network)
        others.insert(0, Scope("address", address, number, most.per_address))
    return Scope("account", sender.account_id, own, most.per_account), others
