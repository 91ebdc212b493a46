"""One's own account: details, notification preferences, erasure."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import accounts, second_factors
from gateway.books.accounts import Account, AccountGone
from gateway.books.confirmations import ConfirmedChannel
from gateway.books.merchants import is_merchant
from gateway.free_text import CodeText, ContactText, Unstored
from gateway.identity import confirmations, contacts
from gateway.identity.account_events import tell_account
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.contacts import invalid_field
from gateway.identity.erasure import check_may_vanish, erase_account
from gateway.identity.letters import tell_of_change
from gateway.identity.logins import check_presence, needs_second_factor
from gateway.identity.merchants import acts_for
from gateway.identity.profiles import (
    Missing,
    NotificationPreferences,
    Preferences,
    Profile,
    SecondFactorState,
    notification_preferences,
    profile,
)
from gateway.problems import Problem
from gateway.roles import STAFF
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint, spend
from gateway.web.known_device import whence_of
from schemas.notifications import QuietHours
from schemas.times import now_micros

blueprint = Blueprint("me", __name__)


class ProfileUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is absent stays as it is; `phone: null` removes the number. `email` counts once it is confirmed.

    `password`: for `email`, ten minutes after the login, and of an app always.
    """

    name: ContactText | UnsetType = UNSET
    email: ContactText | UnsetType = UNSET
    password: Unstored | None = None
    phone: CodeText | UnsetType | None = UNSET
    locale: ContactText | UnsetType = UNSET
    time_zone: CodeText | UnsetType = UNSET


class NewQuietHours(QuietHours, frozen=True, forbid_unknown_fields=True):
    """From `start` until before `end`, both `HH:MM` in the account's time zone; may go over midnight."""


class NotificationPreferencesUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which notifications to send, by which channels; none of an absent kind. No `quiet_hours`: at any time."""

    preferences: Preferences
    quiet_hours: NewQuietHours | None = None
    locale: ContactText | UnsetType = UNSET
    time_zone: CodeText | UnsetType = UNSET


@blueprint.get("/v1/me")
@endpoint(scope="account", answers={200: Profile})
async def read_me(call: Call[None, None]) -> Reply:
    """Show one's own account."""
    return Reply(200, await _profile(call, await _account(call)))


@blueprint.patch("/v1/me")
@endpoint(
    scope="account",
    body=ProfileUpdate,
    answers={200: Profile},
    codes=("invalid_credentials", "unavailable"),
)
async def change_me(call: Call[ProfileUpdate, None]) -> Reply:
    """Change one's own details.

    A new e-mail address is `new_email` until it is confirmed; one logs in and gets messages with the old one until
    then. That takes the scope `credentials`: whoever reads the mails of an account sets its password. A new phone
    takes the place of the old one at once, and gets no messages until it is confirmed.
    """
    body = call.body
    changes = _locale_and_zone(body)
    if body.email is not UNSET:
        changes["new_email"] = contacts.email(body.email)
        await _check_presence(call)
    if body.name is not UNSET:
        changes["name"] = contacts.name(body.name)
    if body.phone is not UNSET:
        changes["phone"] = None if body.phone is None else contacts.phone(body.phone)
    if changes.get("new_email") or changes.get("phone"):
        spend(call.runtime, "confirmations", call.caller.actor_id)
    return Reply(200, await _profile(call, await _changed(call, changes)))


@blueprint.get("/v1/me/notifications")
@endpoint(scope="account", answers={200: NotificationPreferences})
async def read_notifications(call: Call[None, None]) -> Reply:
    """Show one's own notification preferences."""
    return Reply(200, notification_preferences(await _account(call)))


@blueprint.put("/v1/me/notifications")
@endpoint(scope="account", body=NotificationPreferencesUpdate, answers={200: NotificationPreferences})
async def put_notifications(call: Call[NotificationPreferencesUpdate, None]) -> Reply:
    """Replace one's own notification preferences, from the next message on."""
    body = call.body
    _check(body)
    changes = _locale_and_zone(body) | {
        "preferences": msgspec.json.encode(body.preferences).decode(),
        "quiet_hours": msgspec.json.encode(body.quiet_hours).decode() if body.quiet_hours else None,
    }
    return Reply(200, notification_preferences(await _changed(call, changes)))


@blueprint.delete("/v1/me")
@endpoint(scope="credentials", answers={204: None}, codes=("unavailable", "wrong_state"))
async def erase_me(call: Call[None, None]) -> Reply:
    """Erase one's own account: its cards, personal data, texts and sessions. Payments keep the bare id.

    Payments that are under way end as they would. A merchant who was paid, and the only admin, get 409.
    """
    runtime, account_id = call.runtime, call.caller.actor_id
    await runtime.books.write(check_may_vanish, account_id)
    await runtime.shielded(
        erase_account(runtime.books, runtime.vault, runtime.key_ring, account_id, actor_id=account_id)
    )
    return Reply(204)


async def _check_presence(call: Call[ProfileUpdate, None]) -> None:
    """Raises the problem `forbidden`, and as `check_presence` does."""
    caller, password = call.caller, call.body.password or ""
    if "credentials" not in caller.scopes:
        raise Problem("forbidden")
    await check_presence(call.runtime, caller.actor_id, caller.login_id(), password, whence_of(call.ip))


async def _account(call: Call[Any, None]) -> Account:
    found = await call.runtime.books.read(accounts.by_id, call.caller.actor_id)
    if found is None:  # erased since the caller was identified
        raise AccountGone
    return found


async def _profile(call: Call[Any, None], account: Account) -> Profile:
    is_set, codes_left = await call.runtime.books.read(second_factors.state, account.id)
    is_required = needs_second_factor(account.role, account.id, call.runtime.seeded_ids)
    wanting: dict[Missing, bool] = {
        "email": account.role in STAFF and account.email_confirmed_at is None,
        "second_factor": is_required and not call.caller.second_factor,
    }
    return msgspec.structs.replace(
        profile(account, await call.runtime.books.read(acts_for, account)),
        second_factor=SecondFactorState(
            is_set=is_set,
            is_required=is_required,
            is_proved=call.caller.second_factor,
            recovery_codes_left=codes_left,
        ),
        missing=[name for name, is_missing in wanting.items() if is_missing],
    )


async def _changed(call: Call[Any, None], changes: dict[str, str | None]) -> Account:
    rules, account_id = call.runtime.confirmation_rules, call.caller.actor_id
    account, held_back = await call.runtime.books.write(_change, rules, account_id, changes)
    confirmations.log_held_back(account_id, held_back)
    return account


def _change(
    conn: Connection, rules: ConfirmationRules, account_id: str, changes: dict[str, str | None]
) -> tuple[Account, list[ConfirmedChannel]]:
    old = accounts.to_change(conn, account_id)
    if old is None:
        raise AccountGone
    new = msgspec.structs.replace(old, **changes, updated_at=now_micros())
    if new.phone != old.phone:
        new = msgspec.structs.replace(new, phone_confirmed_at=None)
    if new.new_email and old.email and contacts.email_key(new.new_email) == contacts.email_key(old.email):
        new = msgspec.structs.replace(new, new_email=None)  # back to the one it has
    accounts.change(conn, new)
    if new.new_email not in (None, old.new_email):
        tell_of_change(conn, rules, old, "email_change_asked")
    if new.name != old.name and is_merchant(conn, new):
        tell_account(conn, new)
    return new, confirmations.ask_what_is_new(conn, rules, old, new)


def _locale_and_zone(body: ProfileUpdate | NotificationPreferencesUpdate) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    if body.locale is not UNSET:
        changes["locale"] = contacts.locale(body.locale)
    if body.time_zone is not UNSET:
        changes["time_zone"] = contacts.time_zone(body.time_zone)
    return changes


def _check(body: NotificationPreferencesUpdate) -> None:
    for kind, channels in body.preferences.items():
        if len(set(channels)) != len(channels):
            raise invalid_field(f"$.preferences.{kind}", "A channel stands twice.")
