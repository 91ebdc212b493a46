"""An account as its owner sees it, and its notification preferences."""

from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec

from gateway.books.accounts import Account
from gateway.identity.merchants import ActsFor
from gateway.roles import Role, scopes_of
from schemas.notifications import QuietHours
from schemas.times import from_micros

# Those that something sends: flows/notifications/preferences.py has the kinds, delivery.py the channels.
NotificationKind = Literal["transaction_completed", "refund"]
PersonalChannel = Literal["email", "sms"]
_kinds_alone = msgspec.Meta(extra_json_schema={"propertyNames": {"enum": list(get_args(NotificationKind))}})
_each_once = msgspec.Meta(extra_json_schema={"uniqueItems": True})
Missing = Literal["email", "second_factor"]
Preferences = Annotated[dict[NotificationKind, Annotated[list[PersonalChannel], _each_once]], _kinds_alone]

CUSTOMER_PREFERENCES = '{"transaction_completed":["email"]}'  # everyone else starts with nothing

_preferences = msgspec.json.Decoder(dict[str, list[str]])
_quiet_hours = msgspec.json.Decoder(QuietHours)
_origins = msgspec.json.Decoder(list[str])


class SecondFactorState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is a second factor, whether the account needs one, and whether this session proved it."""

    is_set: bool
    is_required: bool
    is_proved: bool
    recovery_codes_left: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An account; `id` is what payments call `customer`. `return_origins`: see `NewMerchant`.

    `merchant`: for whom a person acts, and as what; its `id` is what payments call `merchant`. `new_email` takes
    the place of `email` once it is confirmed. To its owner alone: `second_factor`, and what of staff is `missing`
    before they may do more than this (403 `not_confirmed`).
    """

    id: str
    object: Literal["account"] = "account"
    role: Role
    email: str | None
    email_confirmed: bool
    new_email: str | None
    name: str
    phone: str | None
    phone_confirmed: bool
    locale: str
    time_zone: str
    merchant: ActsFor | None = None
    scopes: list[str]
    return_origins: list[str]
    created_at: datetime
    updated_at: datetime
    second_factor: SecondFactorState | None = None
    missing: list[Missing] = []


class NotificationPreferences(msgspec.Struct, frozen=True, kw_only=True):
    """Which notifications an account gets, by which channels, and its quiet hours."""

    preferences: Preferences
    quiet_hours: QuietHours | None
    locale: str
    time_zone: str


def profile(account: Account, acts_for: ActsFor | None = None) -> Profile:
    """The account as its owner sees it; `acts_for`: the merchant of one whose role is `merchant`."""
    merchant_role = acts_for.role if acts_for else None
    return Profile(
        id=account.id,
        role=account.role,
        email=account.email,
        email_confirmed=account.email_confirmed_at is not None,
        new_email=account.new_email,
        name=account.name,
        phone=account.phone,
        phone_confirmed=account.phone_confirmed_at is not None,
        locale=account.locale,
        time_zone=account.time_zone,
        merchant=acts_for,
        scopes=sorted(scopes_of(account.role, account.extra_scopes, merchant_role)),
        return_origins=_origins.decode(account.return_origins),
        created_at=from_micros(account.created_at),
        updated_at=from_micros(account.updated_at),
    )


def notification_preferences(account: Account) -> NotificationPreferences:
    """The notification preferences of an account."""
    return NotificationPreferences(
        preferences=_sent(_preferences.decode(account.preferences)),
        quiet_hours=_quiet_hours.decode(account.quiet_hours) if account.quiet_hours else None,
        locale=account.locale,
        time_zone=account.time_zone,
    )


def _sent(chosen: dict[str, list[str]]) -> Preferences:
    """What an account chose, without kinds and channels that an earlier release took and nothing sends."""
    kinds, channels = get_args(NotificationKind), get_args(PersonalChannel)
    kept = {kind: [c for c in wanted if c in channels] for kind, wanted in chosen.items() if kind in kinds}
    return msgspec.convert(kept, Preferences)
