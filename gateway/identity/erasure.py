"""Erasure: what the books know of a person goes; what was paid stays, under an id that leads to nobody any more.

What stays has to: amounts, states and postings are the merchant's and our own accounts, and the processors'
records name the same payments; verdicts and labels hold keyed hashes and numbers. What others wrote about a
decision of theirs (of a review, a task) stays with the decision. Copies of the books that were made before do not
open any more once the person's key is destroyed (`person_chores`). `docs/operators.md` tells it of every store.
"""

import msgspec
import structlog
from sqlalchemy import Connection

from gateway.books import (
    accounts,
    cards,
    confirmations,
    consents,
    destructions,
    idempotency,
    known_callers,
    letters,
    links,
    merchant_people,
    payments,
    refunds,
    saved,
    second_factors,
    sessions,
    sql_tokens,
)
from gateway.books.accounts import Account
from gateway.books.audit import Act, record
from gateway.books.engine import Books, overwrite
from gateway.books.key_ring import KeyRing
from gateway.identity.account_events import tell_erased
from gateway.identity.merchant_people import check_may_go
from gateway.identity.person_chores import destroy_key
from gateway.refusals import Refusal
from gateway.roles import Role
from gateway.vault.client import VaultAway, VaultClient
from schemas.times import now_micros

AT_ONCE = 100  # payments per transaction, which no payment waits long for

log = structlog.get_logger()


class MayNotVanish(Refusal):
    """Others depend on the account."""


class Erased(msgspec.Struct, frozen=True):
    """How far an erasure has come: to the payment `reached_id`; `done`: nothing is left."""

    reached_id: str = ""
    done: bool = False


def check_may_vanish(conn: Connection, account_id: str) -> None:
    """Raises `MayNotVanish` for a merchant who was paid, and the only admin; `LastOwner` for a merchant's last."""
    account = accounts.to_erase(conn, account_id)
    if account is not None:
        _check(conn, account)


async def erase_account(
    books: Books, vault: VaultClient, ring: KeyRing, account_id: str, *, actor_id: str
) -> None:
    """Take everything of a person out of books and vault. Raises `MayNotVanish` and `VaultAway`.

    `actor_id`: who asked for it, empty where nobody did. Killed on the way, it is asked for again: the account is
    there until nothing else is left of it.
    """
    so_far = Erased()
    while not so_far.done:
        # By its owner, and after the books: then the vault keeps nothing that the books do not know of either.
        await books.write(cards.forget_cards, account_id)
        await vault.delete_all(account_id)
        so_far = await books.write(erase_some, account_id, so_far, actor_id)
    try:
        await destroy_key(books, vault, ring, account_id)
    except VaultAway:  # it answered just now; the books know what is due
        log.warning("persons.postponed", reason="VaultAway")


def erase_some(conn: Connection, account_id: str, so_far: Erased, actor_id: str) -> Erased:
    """Take a person out of their next payments, and with the last ones out of everything else.

    Then, in the same transaction, `account.erased` is written. It is not done where a card was stored meanwhile:
    the vault has to forget that one first; nor where a payment came in behind, whose id is of before: then it
    begins anew. Raises `MayNotVanish`.
    """
    account = accounts.to_erase(conn, account_id)
    if account is None:
        return Erased(so_far.reached_id, done=True)
    _check(conn, account)
    some = payments.forget_texts(conn, account_id, so_far.reached_id, AT_ONCE)
    idempotency.forget_texts(conn, some)
    reached_id = some[-1] if some else so_far.reached_id
    if len(some) == AT_ONCE or cards.select_cards(conn, None, 1, account_id):
        return Erased(reached_id)
    if payments.newest_have_texts(conn, account_id):
        return Erased()
    _erase(conn, account, actor_id)
    return Erased(reached_id, done=True)


def erase_again(conn: Connection, account_id: str, now: int) -> None:
    """Erase a person once more in books from before, all in this transaction. `now`: UTC, microseconds."""
    reached_id = ""
    while some := payments.forget_texts(conn, account_id, reached_id, AT_ONCE):
        idempotency.forget_texts(conn, some)
        reached_id = some[-1]
    _forget(conn, account_id, now)


def _erase(conn: Connection, account: Account, actor_id: str) -> None:
    _forget(conn, account.id, now_micros())
    record(conn, Act("account_erased", actor_id, account.id, {"role": account.role}))
    tell_erased(conn, account)


def _forget(conn: Connection, account_id: str, now: int) -> None:
    """Take a person out of all but what they paid; with their key goes what is sealed under it elsewhere."""
    overwrite(conn)
    idempotency.forget_texts(conn, refunds.forget_reasons(conn, account_id))  # some may have been made meanwhile
    cards.forget_cards(conn, account_id)  # those that were stored and deleted meanwhile
    idempotency.forget_answers(conn, account_id)
    sessions.revoke_all(conn, account_id)
    known_callers.forget_all(conn, account_id)
    merchant_people.remove(conn, account_id, now)
    confirmations.forget_all(conn, account_id)
    consents.forget(conn, account_id)
    second_factors.forget(conn, account_id)
    letters.forget_all(conn, account_id)
    links.forget(conn, account_id)
    sql_tokens.forget(conn, account_id)
    saved.forget(conn, account_id)
    accounts.erase(conn, account_id, now)
    destructions.ask(conn, account_id, now)


def _check(conn: Connection, account: Account) -> None:
    role: Role = account.role
    if role == "merchant":
        check_may_go(conn, account.id)
    if role == "merchant" and payments.was_paid(conn, account.id):
        raise MayNotVanish("Payments were made to this merchant: its payers' refunds and disputes need it.")
    if role == "admin" and accounts.admins(conn) == [account.id]:
        raise MayNotVanish("It is the only admin.")
