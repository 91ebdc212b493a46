"""Admins change what others are, and whether they may log in: from the next request on."""

from sqlalchemy import Connection

from gateway.books import account_rights, accounts, links, sessions
from gateway.books.accounts import Account
from gateway.books.audit import Act, record
from gateway.identity.account_events import tell_account
from gateway.refusals import NoSuchObject, NotAllowed, Refusal
from gateway.roles import Role
from schemas.accounts import ActKind
from schemas.times import now_micros


class RightsStay(Refusal):
    """Nobody changes that of this account."""


def change_rights(
    conn: Connection, actor_id: str, account_id: str, role: Role | None, disabled: bool | None
) -> Account:
    """Change an account's role, and whether it is disabled (None: as it is); the account as it is then.

    Its sessions end, and its links. Raises `NoSuchObject`, `RightsStay` for one's own account and a merchant's
    role, and `NotAllowed` where who asks is no admin any more: of two who demote each other one stays.
    """
    admin_ids = accounts.admins(conn)
    account = accounts.to_change(conn, account_id)
    if account is None:
        raise NoSuchObject
    if actor_id not in admin_ids:
        raise NotAllowed
    _check(account, actor_id, role)
    acts = _acts(account, role, disabled)
    if not acts:
        return account
    now = now_micros()
    disabled_at = account.disabled_at if disabled is None else (account.disabled_at or now) if disabled else None
    account_rights.set_rights(conn, account.id, role or account.role, disabled_at, now)
    sessions.revoke_all(conn, account.id)
    links.forget(conn, account.id)
    for kind in acts:
        detail = {"from": account.role, "to": role} if kind == "role_changed" and role else {}
        record(conn, Act(kind, actor_id, account.id, detail))
    changed = accounts.by_id(conn, account.id)
    assert changed is not None
    tell_account(conn, changed)
    return changed


def _check(account: Account, actor_id: str, role: Role | None) -> None:
    if account.id == actor_id:
        raise RightsStay("Nobody changes their own rights: another admin does.")
    if role not in (None, account.role) and "merchant" in (role, account.role):
        raise RightsStay("A merchant stays one, and nobody becomes one: make a merchant's account.")


def _acts(account: Account, role: Role | None, disabled: bool | None) -> list[ActKind]:
    """What is done, as the audit calls it; nothing where all is so already."""
    acts: list[ActKind] = []
    if role not in (None, account.role):
        acts.append("role_changed")
    if disabled is not None and disabled != (account.disabled_at is not None):
        acts.append("account_disabled" if disabled else "account_enabled")
    return acts
