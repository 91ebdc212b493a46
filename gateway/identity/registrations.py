"""New accounts: customers make their own; admins, and whoever starts a gateway, make those of others."""

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts
from gateway.books.accounts import Account, EmailTaken
from gateway.books.audit import Act, record
from gateway.books.confirmations import ConfirmedChannel
from gateway.books.engine import Books
from gateway.identity import confirmations, contacts
from gateway.identity.account_events import tell_account
from gateway.identity.confirmations import ConfirmationRules, log_held_back
from gateway.identity.letters import tell_of_registration
from gateway.identity.links import invite, make_link
from gateway.identity.password_changes import spend_hour
from gateway.identity.password_rules import check_new
from gateway.identity.passwords import Passwords
from gateway.identity.profiles import CUSTOMER_PREFERENCES
from gateway.roles import Role
from schemas.accounts import ActKind
from schemas.ids import new_id
from schemas.times import now_micros

REGISTRATIONS_MAX = 20  # from one network (/64) in an hour

# Who made an account that nobody made for themselves: an admin's id, or the command that an operator gave.
COMMAND = "command"


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets an account: what was typed. `password`: None where a link is to set it."""

    email: str
    name: str
    password: str | None = None
    phone: str | None = None
    locale: str = "en"
    role: Role = "customer"


async def register(
    books: Books, passwords: Passwords, rules: ConfirmationRules, applicant: Applicant, network: str
) -> Account:
    """A new customer's account, which is asked to confirm its addresses.

    `network`: of whom it is counted, 20 an hour; empty: it is not. Raises `InvalidFields`, `TooOften`,
    `EmailTaken` and `PasswordsBusy`.
    """
    account = _checked(applicant)
    if network:
        await books.write(spend_hour, rules.key, "registrations", network, REGISTRATIONS_MAX)
    account = await _with_password(passwords, account, applicant)
    try:
        log_held_back(account.id, await books.write(_add, rules, account))
    except EmailTaken:
        await books.write(_tell_owner, rules, account)
        raise
    return account


async def make_account(
    books: Books, passwords: Passwords, rules: ConfirmationRules, applicant: Applicant, actor_id: str
) -> Account:
    """An account of any role that an admin makes for somebody; without a password they are mailed a link.

    Raises `InvalidFields`, `EmailTaken`, `ConfirmationsSpent` and `PasswordsBusy`.
    """
    account = await _with_password(passwords, _checked(applicant), applicant)
    return await books.write(_make, rules, account, actor_id)


async def make_admin(books: Books, rules: ConfirmationRules, email: str) -> str:
    """Make the first admin, or a further one; the token of a link to set their password.

    The address counts as confirmed: who may give the command vouches for it, and no mail may go out yet. An admin
    who has no password yet gets another link. Raises `InvalidFields`, and `EmailTaken` for any other account's
    address.
    """
    applicant = Applicant(email=email, name=email.partition("@")[0], role="admin")
    wanted = msgspec.structs.replace(_checked(applicant), email_confirmed_at=now_micros())
    return await books.write(_make_admin, rules, wanted)


def _checked(applicant: Applicant) -> Account:
    email, now = contacts.email(applicant.email), now_micros()
    account = Account(
        id=new_id("acc"),
        role=applicant.role,
        email=email,
        email_key=contacts.email_key(email),
        name=contacts.name(applicant.name),
        phone=None if applicant.phone is None else contacts.phone(applicant.phone),
        locale=contacts.locale(applicant.locale),
        preferences=CUSTOMER_PREFERENCES if applicant.role == "customer" else "{}",
        created_at=now,
        updated_at=now,
    )
    if applicant.password is not None:
        check_new(applicant.password, "$.password", email=account.email, name=account.name)
    return account


async def _with_password(passwords: Passwords, account: Account, applicant: Applicant) -> Account:
    if applicant.password is None:
        return account
    return msgspec.structs.replace(account, password_hash=await passwords.hash(applicant.password))


def _add(conn: Connection, rules: ConfirmationRules, account: Account) -> list[ConfirmedChannel]:
    accounts.add(conn, account)
    return confirmations.ask_what_is_new(conn, rules, None, account)


def _make(conn: Connection, rules: ConfirmationRules, account: Account, actor_id: str) -> Account:
    accounts.add(conn, account)
    if account.password_hash is None:
        invite(conn, rules, account, actor_id)
    else:
        confirmations.ask_what_is_new(conn, rules, None, account)
    _tell(conn, account, actor_id)
    return account


def _make_admin(conn: Connection, rules: ConfirmationRules, wanted: Account) -> str:
    assert wanted.email_key is not None
    account = accounts.bare_by_email(conn, wanted.email_key)
    if account is None:
        accounts.add(conn, account := wanted)
        _tell(conn, account, COMMAND)
    elif account.role != "admin" or account.password_hash is not None:
        raise EmailTaken
    return make_link(conn, rules, account.id, "invitation", COMMAND)


def _tell(conn: Connection, account: Account, actor_id: str) -> None:
    kind: ActKind = "merchant_created" if account.role == "merchant" else "account_created"
    record(conn, Act(kind, actor_id, account.id, {"role": account.role}))
    tell_account(conn, account)


def _tell_owner(conn: Connection, rules: ConfirmationRules, wanted: Account) -> None:
    assert wanted.email_key is not None
    if owner := accounts.by_email(conn, wanted.email_key):
        tell_of_registration(conn, rules, owner)
