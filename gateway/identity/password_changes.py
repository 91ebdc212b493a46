"""Somebody sets a password: who knows the old one, or who has a one-time link."""

from typing import NoReturn

from sqlalchemy import Connection
from structlog import get_logger

from gateway.books import accounts, recipients, sessions
from gateway.books.accounts import Account, AccountGone
from gateway.books.audit import Act
from gateway.books.engine import Books
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.contacts import invalid_field
from gateway.identity.links import ask_reset, holder, redeem, set_password
from gateway.identity.logins import LoginParts
from gateway.identity.password_rules import check_new, normal
from gateway.identity.passwords import Passwords
from gateway.keyed_hashes import keyed_hash
from gateway.refusals import Refusal
from schemas.times import steady_micros

OLD_TRIED_MAX = 10  # an hour: whoever has somebody's token guesses no faster than at a login (PCI DSS 8.3.4)
RESETS_MAX = 30  # asked for from one network (/64) in an hour

log = get_logger()


class TooOften(Refusal):
    """It was asked for so often within the hour that it is not done now."""


async def change_password(
    books: Books, passwords: Passwords, rules: ConfirmationRules, session: tuple[str, str], old: str, new: str
) -> None:
    """Set the password of one's own account; every session but one's own ends.

    `session`: the ids of the account and of that session. Raises `InvalidFields`, `TooOften` after ten tries in an
    hour, and `PasswordsBusy`.
    """
    account_id, session_id = session
    account = await books.read(accounts.by_id, account_id)
    if account is None:  # erased since the caller was identified
        raise AccountGone
    check_new(new, "$.new", email=account.email, name=account.name)
    if normal(new) == normal(old):
        raise invalid_field("$.new", "It is the old one.")
    await books.write(spend_hour, rules.key, "old password", account_id, OLD_TRIED_MAX)
    is_customer = account.role == "customer"
    if not await passwords.verify(account.password_hash, old, known=True, customer=is_customer):
        _refuse_old()
    await books.write(_change, rules, account, session_id, await passwords.hash(new))


async def accept_link(
    books: Books, passwords: Passwords, rules: ConfirmationRules, token: str, password: str
) -> Account:
    """Set the password that whoever has a one-time link chose; whose it is. Nobody is logged in by it.

    Raises `LinkInvalid`, `InvalidFields` at `$.password`, and `PasswordsBusy`.
    """
    account = await books.read(holder, rules, token)
    check_new(password, "$.password", email=account.email, name=account.name)
    return await books.write(redeem, rules, token, await passwords.hash(password))


async def request_reset(parts: LoginParts, network: str, address: str) -> None:
    """Have a link mailed to whoever has an address. Nobody waits for it: that would tell that there is an account.

    `network`: of whom it is counted, 30 an hour; empty: it is not. Raises `TooOften`.
    """
    books, rules = parts.books, parts.confirmation_rules
    if network:
        await books.write(spend_hour, rules.key, "password resets", network, RESETS_MAX)
    parts.go_on(_mail_reset(books, rules, address.strip()))


async def _mail_reset(books: Books, rules: ConfirmationRules, address: str) -> None:
    try:
        await books.write(ask_reset, rules, address)
    except Exception:
        log.exception("password_reset.failed")


def spend_hour(conn: Connection, key: bytes, what: str, whose: str, most: int) -> None:
    """Count what somebody asks for, `most` times in an hour at most. Raises `TooOften`."""
    wait_s = recipients.spend(conn, keyed_hash(key, what, whose), steady_micros(), most)
    if wait_s:
        raise TooOften(retry_after_s=wait_s)


def _change(
    conn: Connection, rules: ConfirmationRules, seen: Account, session_id: str, password_hash: str
) -> None:
    account = accounts.to_change(conn, seen.id)
    if account is None:
        raise AccountGone
    if account.password_hash != seen.password_hash:  # by somebody else, since the old one was right
        _refuse_old()
    set_password(conn, rules, account.id, password_hash, Act("password_changed", account.id, account.id))
    sessions.revoke_others(conn, account.id, session_id)


def _refuse_old() -> NoReturn:
    raise invalid_field("$.old", "Not the password of this account.")
