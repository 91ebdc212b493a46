"""One's own account: details, what one wants to be told, erasure."""

import msgspec
from msgspec import UNSET, UnsetType
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import accounts, cards, sessions
from gateway.books.accounts import Account
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import NotFound
from gateway.identity import contacts
from gateway.identity.contacts import wrong
from gateway.identity.profiles import Notifications, Preferences, Profile, notifications, profile
from schemas.notifications import QuietHours
from schemas.times import now_micros

blueprint = Blueprint("me", __name__)


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is absent stays as it is; `phone: null` removes the number."""

    name: str | UnsetType = UNSET
    phone: str | UnsetType | None = UNSET
    locale: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to be told, by which channels. A kind that is absent is not told; no `quiet_hours`: at any time."""

    preferences: Preferences
    quiet_hours: QuietHours | None = None
    locale: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET


@blueprint.get("/v1/me")
@endpoint(scope="account", answers={200: Profile})
async def read_me(call: Call) -> Reply:
    """Show one's own account."""
    return Reply(200, profile(await _account(call)))


@blueprint.patch("/v1/me")
@endpoint(scope="account", body=Changes, answers={200: Profile})
async def change_me(call: Call) -> Reply:
    """Change one's own details. The e-mail address cannot be changed yet."""
    body: Changes = call.body
    changes = _place(body)
    if body.name is not UNSET:
        changes["name"] = contacts.name(body.name)
    if body.phone is not UNSET:
        changes["phone"] = None if body.phone is None else contacts.phone(body.phone)
    return Reply(200, profile(await call.parts.books.write(_change, call.caller.account, changes)))


@blueprint.get("/v1/me/notifications")
@endpoint(scope="account", answers={200: Notifications})
async def read_notifications(call: Call) -> Reply:
    """Show what one is told, and how."""
    return Reply(200, notifications(await _account(call)))


@blueprint.put("/v1/me/notifications")
@endpoint(scope="account", body=Wishes, answers={200: Notifications})
async def put_notifications(call: Call) -> Reply:
    """Say what one wants to be told, and how. It counts from the next message on."""
    body: Wishes = call.body
    _check(body)
    changes = _place(body) | {
        "preferences": msgspec.json.encode(body.preferences).decode(),
        "quiet_hours": msgspec.json.encode(body.quiet_hours).decode() if body.quiet_hours else None,
    }
    return Reply(200, notifications(await call.parts.books.write(_change, call.caller.account, changes)))


@blueprint.delete("/v1/me")
@endpoint(scope="account", answers={204: None}, codes=("unavailable",))
async def erase_me(call: Call) -> Reply:
    """Erase oneself: cards are destroyed, personal data and all sessions with them. Payments keep the bare id."""
    account = call.caller.account
    while found := await call.parts.books.read(cards.select_cards, account, None, 100):
        for card in found:
            await call.parts.vault.delete(card.id, account)
            await call.parts.books.write(cards.delete_card, card.id, account, now_micros())
    await call.parts.books.write(_erase, account, now_micros())
    return Reply(204)


def _erase(conn: Connection, account: str, now: int) -> None:
    sessions.revoke_all(conn, account, now)
    accounts.erase(conn, account, now)


async def _account(call: Call) -> Account:
    found = await call.parts.books.read(accounts.by_id, call.caller.account)
    if found is None:  # erased since the caller was identified
        raise NotFound
    return found


def _change(conn: Connection, account: str, changes: dict[str, str | None]) -> Account:
    old = accounts.by_id(conn, account)
    if old is None:
        raise NotFound
    new = msgspec.structs.replace(old, **changes, updated_at=now_micros())
    accounts.change(conn, new)
    return new


def _place(body: Changes | Wishes) -> dict[str, str | None]:
    place: dict[str, str | None] = {}
    if body.locale is not UNSET:
        place["locale"] = contacts.locale(body.locale)
    if body.time_zone is not UNSET:
        place["time_zone"] = contacts.time_zone(body.time_zone)
    return place


def _check(body: Wishes) -> None:
    for kind, channels in body.preferences.items():
        if len(set(channels)) != len(channels):
            raise wrong(f"$.preferences.{kind}", "A channel stands twice.")
