"""Putting entries on the lists and taking them off: the books, the event and the audit in one commit.

What stands in the books counts in the stand-in from its commit on, and in the fraud flow once that has read it.
"""

import asyncio
from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from gateway.books import audit
from gateway.books.audit import Act
from gateway.books.engine import Books, overwrite
from gateway.books.list_entries import (
    ListEntryRow,
    delete_entry,
    keep_entry,
    put_entry,
    select_expired,
    select_same,
    select_versions,
)
from gateway.books.list_values import EntryAsked, ListValues
from gateway.books.outbox import NewEvent, add_events
from gateway.policy import DAY_US
from gateway.refusals import NoSuchObject
from schemas.controls import ToldListing
from schemas.events import Tombstone
from schemas.ids import new_id
from schemas.lists import FraudListing
from schemas.times import as_utc, from_micros, now_micros, to_micros
from schemas.topics import CONTROLS

TYPE = "control.listing"
KEEP_EXPIRED_US = 30 * DAY_US  # who looks into a payment still finds the entry that decided it
AT_ONCE = 100  # entries per transaction
PAUSE_S = 0.05


def put_on_list(conn: Connection, values: ListValues, asked: EntryAsked, by: str) -> ListEntryRow:
    """Put an entry on its list, or renew the one of its list, kind and value; as it stands.

    Raises `EntryRefused`.
    """
    entry = entry_of(conn, values, asked, by, now_micros())
    is_changed = put_entries(conn, [entry])
    stands = select_same(conn, entry)
    assert stands is not None, "it was put in this transaction"
    if is_changed:
        audit.record(conn, Act("list_entry_put", by, stands.id, {"list": entry.list, "kind": entry.kind}))
    return stands


def entry_of(conn: Connection, values: ListValues, asked: EntryAsked, by: str, now: int) -> ListEntryRow:
    """The row of an entry that somebody asks for at `now` (microseconds UTC). Raises `EntryRefused`."""
    value = values.of(conn, asked.kind, asked.value)
    return ListEntryRow(
        id=new_id("lst"),
        list=asked.list,
        kind=asked.kind,
        value=value.stored,
        shown=value.shown,
        reason=asked.reason,
        owner_id=by,
        expires_at=None if asked.expires_at is None else to_micros(asked.expires_at),
        version=1,
        recorded_at=now,
    )


def put_entries(conn: Connection, entries: Iterable[ListEntryRow]) -> int:
    """Put entries on their lists, with an event of each that is new or changed; how many of them are."""
    put = [(entry, done) for entry in entries if (done := put_entry(conn, entry))]
    stand = [msgspec.structs.replace(entry, id=done.id, version=done.version) for entry, done in put]
    add_events(conn, [_event(entry.id, listing_of(entry), entry.version, entry.recorded_at) for entry in stand])
    return len(stand)


def take_off_list(conn: Connection, entry_id: str, by: str) -> None:
    """Take an entry off its list, for the account `by`. Raises `NoSuchObject`."""
    gone = _remove(conn, entry_id)
    if gone is None:
        raise NoSuchObject
    detail = {"list": gone.list, "kind": gone.kind, "hits": str(gone.hits)}
    audit.record(conn, Act("list_entry_removed", by, entry_id, detail))


def listing_of(entry: ListEntryRow) -> FraudListing:
    """An entry as `controls.v1` shows it."""
    return FraudListing(
        id=entry.id,
        version=entry.version,
        list=entry.list,
        kind=entry.kind,
        value=entry.value,
        owner=entry.owner_id,
        expires_at=None if entry.expires_at is None else from_micros(entry.expires_at),
        recorded_at=from_micros(entry.recorded_at),
    )


async def keep_listings(books: Books, told: list[ToldListing]) -> None:
    """Keep what `controls.v1` told and the books lack, as after a restart from a backup; most of it they know."""
    listings = [each.id for each in told if isinstance(each, FraudListing)]
    known = await books.browse(select_versions, listings)
    news = [each for each in told if isinstance(each, Tombstone) or each.version > known.get(each.id, 0)]
    for first in range(0, len(news), AT_ONCE):
        await books.write(_keep, news[first : first + AT_ONCE])


async def remove_expired(books: Books) -> int:
    """Take off their lists what expired long ago, a few at a time; how many."""
    removed, before = 0, now_micros() - KEEP_EXPIRED_US
    while ids := await books.browse(select_expired, before, AT_ONCE):
        removed += await books.write(_remove_all, ids)
        await asyncio.sleep(PAUSE_S)
    return removed


def _remove_all(conn: Connection, entry_ids: list[str]) -> int:
    return sum(_remove(conn, entry_id) is not None for entry_id in entry_ids)


def _remove(conn: Connection, entry_id: str) -> ListEntryRow | None:
    gone = delete_entry(conn, entry_id)
    if gone is not None:
        add_events(conn, [_event(gone.id, None, gone.version + 1, now_micros())])
        overwrite(conn)  # what it was about is in nobody's files any more
    return gone


def _keep(conn: Connection, told: list[ToldListing]) -> None:
    for each in told:
        if isinstance(each, Tombstone):
            delete_entry(conn, each.key)
        elif not keep_entry(conn, _row_of(each)):  # another entry has its value, and can be taken off
            add_events(conn, [_event(each.id, None, None, now_micros())])


def _row_of(told: FraudListing) -> ListEntryRow:
    return ListEntryRow(
        id=told.id,
        list=told.list,
        kind=told.kind,
        value=told.value,
        reason="",
        owner_id=told.owner,
        expires_at=None if told.expires_at is None else to_micros(as_utc(told.expires_at)),
        version=told.version,
        recorded_at=to_micros(as_utc(told.recorded_at)),
    )


def _event(entry_id: str, data: FraudListing | None, sequence: int | None, now: int) -> NewEvent:
    return NewEvent(
        topic=CONTROLS.name,
        key=entry_id,
        type=TYPE,
        subject_id=entry_id,
        sequence=sequence,
        data=data,
        traceparent=None,
        now=now,
    )
