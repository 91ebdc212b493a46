"""Mails to an account's owner about the account, put into a queue of the confirmations' sender."""

import msgspec
from sqlalchemy import Connection

from gateway.books import caps, letters
from gateway.books.accounts import Account
from gateway.books.engine import announce
from gateway.books.letters import LetterKind, LetterRow
from gateway.identity.confirmations import ConfirmationAsked, ConfirmationRules
from gateway.policy import DAY_US
from schemas.ids import new_id
from schemas.times import from_micros, steady_micros

WORTH_US = DAY_US  # how long a letter without a link is worth sending


class LetterLink(msgspec.Struct, frozen=True):
    """What a link is made of, and until when it is good (steady clock)."""

    seed: bytes
    expires_at: int


def write_letter(
    conn: Connection, rules: ConfirmationRules, account: Account, kind: LetterKind, link: LetterLink | None = None
) -> None:
    """Have a letter sent to an account's address, once this is committed."""
    assert account.email is not None
    now = steady_micros()
    row = LetterRow(
        id=new_id("ltr"),
        account_id=account.id,
        kind=kind,
        seed=link.seed if link else None,
        recipient=rules.recipient("email", account.email),
        expires_at=link.expires_at if link else now + WORTH_US,
        due_at=now,
    )
    letters.put(conn, row)
    announce(conn, ConfirmationAsked("email"))


def tell_of_change(
    conn: Connection, rules: ConfirmationRules, account: Account, kind: LetterKind = "password_changed"
) -> None:
    """Tell an owner what became of the way they log in. Nothing goes to an address that nobody confirmed."""
    if account.email is not None and account.email_confirmed_at is not None:
        write_letter(conn, rules, account, kind)


def tell_of_registration(conn: Connection, rules: ConfirmationRules, account: Account) -> None:
    """Tell an owner that somebody wanted an account with the address, at most once a UTC day."""
    if account.email is None or account.email_confirmed_at is None or account.disabled_at is not None:
        return
    today = from_micros(steady_micros()).date()
    if caps.spend(conn, f"{caps.EMAIL_TAKEN}:{account.id}", today, 1, 1):
        write_letter(conn, rules, account, "email_taken")
