"""An account as its owner sees it, and its notification preferences."""

from datetime import datetime
from typing import Literal

import msgspec

from gateway.books.accounts import Account
from gateway.roles import Role, scopes_of
from schemas.notifications import Channel, QuietHours
from schemas.times import from_micros

NotificationKind = Literal["transaction_completed", "refund", "review", "dispute"]
Preferences = dict[NotificationKind, list[Channel]]

CUSTOMER_PREFERENCES = '{"transaction_completed":["email"]}'  # everyone else starts with nothing

_preferences = msgspec.json.Decoder(Preferences)
_quiet_hours = msgspec.json.Decoder(QuietHours)
_origins = msgspec.json.Decoder(list[str])


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An account; `id` is what payments call `customer` or `merchant`. `return_origins`: see `NewMerchant`."""

    id: str
    object: Literal["account"] = "account"
    role: Role
    email: str | None
    name: str
    phone: str | None
    locale: str
    time_zone: str
    scopes: list[str]
    return_origins: list[str]
    created_at: datetime
    updated_at: datetime


class NotificationPreferences(msgspec.Struct, frozen=True, kw_only=True):
    """Which notifications an account gets, by which channels, and its quiet hours."""

    preferences: Preferences
    quiet_hours: QuietHours | None
    locale: str
    time_zone: str


def profile(account: Account) -> Profile:
    """The account as its owner sees it."""
    return Profile(
        id=account.id,
        role=account.role,
        email=account.email,
        name=account.name,
        phone=account.phone,
        locale=account.locale,
        time_zone=account.time_zone,
        scopes=sorted(scopes_of(account.role, account.extra_scopes)),
        return_origins=_origins.decode(account.return_origins),
        created_at=from_micros(account.created_at),
        updated_at=from_micros(account.updated_at),
    )


def notification_preferences(account: Account) -> NotificationPreferences:
    """The notification preferences of an account."""
    return NotificationPreferences(
        preferences=_preferences.decode(account.preferences),
        quiet_hours=_quiet_hours.decode(account.quiet_hours) if account.quiet_hours else None,
        locale=account.locale,
        time_zone=account.time_zone,
    )
