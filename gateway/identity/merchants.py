"""Merchants as they and admins see them: made, changed, and suspended with all they have."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, audit, merchant_people, merchants
from gateway.books.accounts import Account, NoVerdictChoice
from gateway.books.audit import Act
from gateway.identity.account_events import tell_account
from gateway.refusals import NoSuchObject
from gateway.roles import MerchantRole
from schemas.accounts import ActKind
from schemas.times import from_micros, now_micros

_texts = msgspec.json.Decoder(list[str])


class MerchantView(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant; `id` is what payments call `merchant`.

    `origins`: whose pages may call the API, and where payers may be sent back to; `return_urls`: single addresses
    for the latter beside them. `return_origins` is the former name of `origins`. `on_no_verdict`: what becomes of
    a payment of which no verdict comes in time.
    """

    id: str
    object: Literal["merchant"] = "merchant"
    role: Literal["merchant"] = "merchant"
    name: str
    origins: list[str]
    return_urls: list[str]
    return_origins: list[str]
    suspended: bool
    suspended_reason: str | None
    on_no_verdict: NoVerdictChoice
    created_at: datetime
    updated_at: datetime


class ActsFor(msgspec.Struct, frozen=True):
    """The merchant that a person acts for, and as what."""

    id: str
    name: str
    role: MerchantRole


class MerchantAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant to be made. `id`: of its account, new; the rest is checked already."""

    id: str
    name: str
    origins: list[str]
    return_urls: list[str]
    made_by: str


class Suspension(msgspec.Struct, frozen=True):
    """Whether a merchant is suspended, and what staff says of it."""

    suspended: bool
    reason: str


def create(conn: Connection, asked: MerchantAsked) -> MerchantView:
    """Write a new merchant, with which nobody logs in."""
    now = now_micros()
    merchant = Account(
        id=asked.id,
        role="merchant",
        name=asked.name,
        return_origins=as_text(asked.origins),
        return_urls=as_text(asked.return_urls),
        created_at=now,
        updated_at=now,
    )
    accounts.add(conn, merchant)
    audit.record(conn, Act("merchant_created", asked.made_by, merchant.id))
    tell_account(conn, merchant)
    return merchant_view(merchant)


def change(
    conn: Connection, merchant_id: str, fields: dict[str, str], suspension: Suspension | None, changed_by: str
) -> MerchantView:
    """Write what changes of a merchant: `fields` of its account, already checked, and whether it is suspended.

    A suspended one takes no new payments, and its people and clients are refused from their next request on.
    Raises `NoSuchObject`.
    """
    before = merchants.to_change(conn, merchant_id)
    if before is None:
        raise NoSuchObject("There is no such merchant.")
    now = now_micros()
    after: Account = msgspec.structs.replace(
        before, **fields, **_switched(before, suspension, now), updated_at=now
    )
    merchants.change(conn, after)
    if after.name != before.name:
        tell_account(conn, after)
    if fields:
        audit.record(conn, Act("account_changed", changed_by, merchant_id, {"fields": " ".join(sorted(fields))}))
    if suspension is not None:
        kind: ActKind = "merchant_suspended" if suspension.suspended else "merchant_resumed"
        audit.record(conn, Act(kind, changed_by, merchant_id, {"reason": suspension.reason}))
    return merchant_view(after)


def _switched(before: Account, suspension: Suspension | None, now: int) -> dict[str, Any]:
    if suspension is None:
        return {}
    if not suspension.suspended:
        return {"suspended_at": None, "suspended_reason": None}
    return {"suspended_at": before.suspended_at or now, "suspended_reason": suspension.reason}


def acts_for(conn: Connection, account: Account) -> ActsFor | None:
    """The merchant that an account acts for, which may be itself; None where its role is another one."""
    if account.role != "merchant":
        return None
    person = merchant_people.by_account(conn, account.id)
    if person is None:
        return ActsFor(account.id, account.name, "owner")
    merchant = merchants.by_id(conn, person.merchant_id)
    return None if merchant is None else ActsFor(merchant.id, merchant.name, person.role)


def merchant_view(merchant: Account) -> MerchantView:
    """A merchant as it is shown."""
    origins = _texts.decode(merchant.return_origins)
    return MerchantView(
        id=merchant.id,
        name=merchant.name,
        origins=origins,
        return_urls=_texts.decode(merchant.return_urls),
        return_origins=origins,
        suspended=merchant.suspended_at is not None,
        suspended_reason=merchant.suspended_reason,
        on_no_verdict=merchant.on_no_verdict or "stand_in",
        created_at=from_micros(merchant.created_at),
        updated_at=from_micros(merchant.updated_at),
    )


def as_text(addresses: list[str]) -> str:
    """Addresses as the books keep them: each once, in JSON."""
    return msgspec.json.encode(list(dict.fromkeys(addresses))).decode()
