"""Who acts for a merchant: people are invited by mail, act as viewer, operator or owner, and are taken out."""

from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, audit, merchant_people, merchants, persons, sessions
from gateway.books.accounts import Account, EmailTaken
from gateway.books.audit import Act
from gateway.books.merchant_people import MerchantPerson
from gateway.identity import contacts
from gateway.identity.account_events import tell_account
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.links import invite
from gateway.refusals import NoSuchObject, Refusal
from gateway.roles import MerchantRole
from schemas.times import from_micros, now_micros


class LastOwner(Refusal):
    """A merchant keeps an owner who can log in."""


PersonStatus = Literal["invited", "active"]


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """A person who acts for a merchant. `status`: `invited` until they set a password."""

    id: str
    object: Literal["person"] = "person"
    email: str
    name: str
    role: MerchantRole
    status: PersonStatus
    created_at: datetime


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to act for a merchant. `email`, `name`: already checked. `new_id`: of an account they may need."""

    new_id: str
    merchant_id: str
    email: str
    name: str
    role: MerchantRole
    invited_by: str


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """What a person acts as from now on. Nothing personal: it is kept as the answer to a repeat."""

    id: str
    object: Literal["person"] = "person"
    role: MerchantRole
    status: PersonStatus


def add(conn: Connection, rules: ConfirmationRules, asked: Invitation) -> Acting:
    """Have a person act for a merchant, or as something else; who never set a password is invited by mail.

    An address that has an account already is refused (`EmailTaken`), but for one that acted for a merchant before
    and was taken out: that account is taken up again. Raises `NoSuchObject`, `LastOwner` where the last one would
    be none any more, and `ConfirmationsSpent` where too many mails went there.
    """
    account = _account_of(conn, _merchant(conn, asked.merchant_id), asked)
    if account.password_hash is None:
        invite(conn, rules, account, asked.invited_by)
    return Acting(id=account.id, role=asked.role, status=_status(account))


def _account_of(conn: Connection, merchant: Account, asked: Invitation) -> Account:
    """The account of a person who acts for the merchant now."""
    account = accounts.by_email(conn, contacts.email_key(asked.email))
    if account is None:
        account = _new_account(asked)
        accounts.add(conn, account)
        return _put(conn, asked, account)
    acted = merchant_people.by_account(conn, account.id)
    if acted is not None and _was_taken_out(account, acted):
        merchant_people.set_disabled(conn, account.id, None)
        return _put(conn, asked, msgspec.structs.replace(account, disabled_at=None))
    if acted is None or acted.removed_at is not None or acted.merchant_id != asked.merchant_id:
        raise EmailTaken("An account with this e-mail address exists: they need another one for this merchant.")
    _change_role(conn, merchant, asked, acted)
    return account


def remove(conn: Connection, merchant_id: str, person_id: str, removed_by: str) -> None:
    """Take a person out: their sessions end, and nobody logs in with their account any more.

    Raises `NoSuchObject`, and `LastOwner` for the last owner who can log in.
    """
    merchant, acts = _merchant(conn, merchant_id), merchant_people.by_account(conn, person_id)
    account = accounts.by_id(conn, person_id)
    if person_id == merchant.id:
        raise LastOwner("That is the merchant's own account.")
    if account is None or acts is None or acts.merchant_id != merchant_id or acts.removed_at is not None:
        raise NoSuchObject("There is no such person.")
    _check_owners(conn, merchant, acts)
    now = now_micros()
    merchant_people.remove(conn, person_id, now)
    merchant_people.set_disabled(conn, person_id, now)
    sessions.revoke_all(conn, person_id)
    audit.record(conn, Act("person_removed", removed_by, person_id, {"merchant": merchant_id, "role": acts.role}))
    tell_account(conn, msgspec.structs.replace(account, disabled_at=now))


def find(conn: Connection, merchant_id: str, email: str) -> str:
    """The account of a merchant's person with an address. Raises `NoSuchObject`."""
    found = accounts.by_email(conn, contacts.email_key(email))
    acts = None if found is None else merchant_people.by_account(conn, found.id)
    if found is None or merchant_id not in (found.id, acts.merchant_id if acts else None):
        raise NoSuchObject("There is no such person.")
    return found.id


def list_people(conn: Connection, merchant_id: str, after_id: str | None, most: int) -> list[PersonView]:
    """Up to `most` people of a merchant after the account `after_id`; its own account, where it logs in, is first.

    Raises `NoSuchObject`.
    """
    merchant = merchants.by_id(conn, merchant_id)
    if merchant is None:
        raise NoSuchObject("There is no such merchant.")
    itself = MerchantPerson(merchant.id, merchant.id, "owner", merchant.created_at)
    own = [person_view(merchant, itself)] if merchant.email and after_id is None else []
    found = merchant_people.list_people(conn, merchant_id, after_id, most - len(own))
    persons.require(conn, [person.account_id for person in found])
    people = [(accounts.by_id(conn, person.account_id), person) for person in found]
    return own + [person_view(account, person) for account, person in people if account is not None]


def check_may_go(conn: Connection, account_id: str) -> None:
    """Raises `LastOwner` for the last owner of a merchant who can log in."""
    acts = merchant_people.by_account(conn, account_id)
    merchant = merchants.to_change(conn, acts.merchant_id) if acts and acts.removed_at is None else None
    if acts is not None and merchant is not None:
        _check_owners(conn, merchant, acts)


def person_view(account: Account, person: MerchantPerson) -> PersonView:
    """A person as owners and admins see them."""
    return PersonView(
        id=account.id,
        email=account.email or "",
        name=account.name,
        role=person.role,
        status=_status(account),
        created_at=from_micros(person.created_at),
    )


def _merchant(conn: Connection, merchant_id: str) -> Account:
    """The merchant, whose people nobody else changes before this transaction ends."""
    merchant = merchants.to_change(conn, merchant_id)
    if merchant is None:
        raise NoSuchObject("There is no such merchant.")
    return merchant


def _new_account(asked: Invitation) -> Account:
    now = now_micros()
    return Account(
        id=asked.new_id,
        role="merchant",
        email=asked.email,
        email_key=contacts.email_key(asked.email),
        name=asked.name,
        created_at=now,
        updated_at=now,
    )


def _put(conn: Connection, asked: Invitation, account: Account) -> Account:
    merchant_people.put(conn, MerchantPerson(account.id, asked.merchant_id, asked.role, now_micros()))
    detail = {"merchant": asked.merchant_id, "role": asked.role}
    audit.record(conn, Act("person_added", asked.invited_by, account.id, detail))
    tell_account(conn, account)
    return account


def _change_role(conn: Connection, merchant: Account, asked: Invitation, acts: MerchantPerson) -> None:
    if asked.role == acts.role:
        return
    _check_owners(conn, merchant, acts)
    merchant_people.change_role(conn, acts.account_id, asked.role)
    detail = {"merchant": merchant.id, "from": acts.role, "to": asked.role}
    audit.record(conn, Act("role_changed", asked.invited_by, acts.account_id, detail))


def _check_owners(conn: Connection, merchant: Account, acts: MerchantPerson) -> None:
    """Whoever is an owner and can log in leaves another one behind. One who never did may go at any time."""
    account = accounts.by_id(conn, acts.account_id)
    if acts.role != "owner" or account is None or not _logs_in(account) or _logs_in(merchant):
        return
    if not merchant_people.other_owners(conn, merchant.id, acts.account_id):
        raise LastOwner("It is the merchant's last owner.")


def _was_taken_out(account: Account, acted: MerchantPerson) -> bool:
    """And nothing else became of the account since: what an admin disabled, or gave another role, stays so."""
    return account.role == "merchant" and acted.removed_at is not None and account.disabled_at == acted.removed_at


def _status(account: Account) -> PersonStatus:
    return "invited" if account.password_hash is None else "active"


def _logs_in(account: Account) -> bool:
    return account.password_hash is not None and account.disabled_at is None
