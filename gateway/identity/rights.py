"""Admins change what others are, whether they may log in, and who reads by SQL: from the next request on."""

import msgspec
from sqlalchemy import Connection

from gateway.books import account_rights, accounts, links, sessions
from gateway.books.accounts import Account
from gateway.books.audit import Act, record
from gateway.identity import contacts
from gateway.identity.account_events import tell_account
from gateway.identity.registrations import COMMAND
from gateway.refusals import NoSuchObject, NotAllowed, Refusal
from gateway.roles import STAFF, Role, is_reader, with_reader
from schemas.accounts import ActKind
from schemas.times import now_micros


class RightsStay(Refusal):
    """Nobody changes that of this account."""


class WantedRights(msgspec.Struct, frozen=True):
    """What is to become of an account; None: it stays as it is.

    `disabled`: nobody logs in with it. `reader`: it sees all payments by SQL, without cards and payers.
    """

    role: Role | None = None
    disabled: bool | None = None
    reader: bool | None = None


def change_rights(conn: Connection, actor_id: str, account_id: str, wanted: WantedRights) -> Account:
    """Change what an account is; the account as it is then.

    Its sessions end, and its links. Raises `NoSuchObject`, `RightsStay` for one's own account, a merchant's role
    and a reader of staff, and `NotAllowed` where who asks is no admin any more: of two who demote each other one
    stays.
    """
    admin_ids = accounts.admins(conn)
    account = accounts.to_change(conn, account_id)
    if account is None:
        raise NoSuchObject
    if actor_id not in admin_ids:
        raise NotAllowed
    _check(account, actor_id, wanted)
    return _change(conn, actor_id, account, wanted)


def name_reader(conn: Connection, email: str, named: bool) -> None:
    """Name the account of an address a reader, or unname it, for whoever has the machine.

    Raises `NoSuchObject` where there is none, and `RightsStay` for staff, who see everything.
    """
    found = accounts.bare_by_email(conn, contacts.email_key(email.strip()))
    account = None if found is None else accounts.to_change(conn, found.id)
    if account is None:
        raise NoSuchObject
    wanted = WantedRights(reader=named)
    _check(account, COMMAND, wanted)
    _change(conn, COMMAND, account, wanted)


def _check(account: Account, actor_id: str, wanted: WantedRights) -> None:
    role = wanted.role or account.role
    if account.id == actor_id:
        raise RightsStay("Nobody changes their own rights: another admin does.")
    if role != account.role and "merchant" in (role, account.role):
        raise RightsStay("A merchant stays one, and nobody becomes one: make a merchant's account.")
    if wanted.reader and role in STAFF:
        raise RightsStay("Analysts and admins see everything: a reader is neither.")


def _change(conn: Connection, actor_id: str, account: Account, wanted: WantedRights) -> Account:
    changed = _changed(account, wanted, now := now_micros())
    acts = _acts(account, changed)
    if not acts:
        return account
    account_rights.set_rights(conn, changed, now)
    sessions.revoke_all(conn, account.id)
    links.forget(conn, account.id)
    for kind in acts:
        detail = {"from": account.role, "to": changed.role} if kind == "role_changed" else {}
        record(conn, Act(kind, actor_id, account.id, detail))
    after = accounts.by_id(conn, account.id)
    assert after is not None
    tell_account(conn, after)
    return after


def _changed(account: Account, wanted: WantedRights, now: int) -> Account:
    """The account as it is to be. Who becomes staff is a reader no more, whatever they are later."""
    role = wanted.role or account.role
    reads = is_reader(account.role, account.extra_scopes) if wanted.reader is None else wanted.reader
    disabled = account.disabled_at is not None if wanted.disabled is None else wanted.disabled
    return msgspec.structs.replace(
        account,
        role=role,
        extra_scopes=with_reader(account.extra_scopes, reads and role not in STAFF),
        disabled_at=(account.disabled_at or now) if disabled else None,
    )


def _acts(before: Account, after: Account) -> list[ActKind]:
    """What is done, as the audit calls it; nothing where all is so already."""
    acts: list[ActKind] = []
    if before.role != after.role:
        acts.append("role_changed")
    if (before.disabled_at is None) != (after.disabled_at is None):
        acts.append("account_enabled" if after.disabled_at is None else "account_disabled")
    read, reads = (is_reader(account.role, account.extra_scopes) for account in (before, after))
    if read != reads:
        acts.append("reader_named" if reads else "reader_unnamed")
    return acts
