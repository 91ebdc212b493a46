"""Entries of the block and allow lists: one row per list, kind and value; the newest word on it stands.

Each payment asks for all that it names at once, by an index. What is personal stands here as the keyed hash that
payments carry, and sealed with a key of the gateway as it was typed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Index, UniqueConstraint, bindparam, delete, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Int32, Int64, Micros, struct_of, table_of
from schemas.lists import ListKind, ListName
from schemas.times import from_micros

PLACES_MAX = 9  # what a payment may name: `schemas.lists.places_of`


class ListEntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `list_entries`. `value`: as on `controls.v1`; `shown`: an address or device as typed, sealed.

    `reason` is free text and stands nowhere else. `owner_id`: the account that made the last of its `version`
    changes, at `recorded_at`; it counts until `expires_at` (null: for ever), both in microseconds UTC. `hits`
    counts the payments that it decided.
    """

    id: str
    list: ListName
    kind: ListKind
    value: str
    shown: bytes | None = None
    reason: str
    owner_id: str
    expires_at: Micros | None
    version: Int32
    hits: Int64 = 0
    recorded_at: Micros


class MetEntry(msgspec.Struct, frozen=True):
    """An entry about a payment, as far as a decision needs it."""

    id: str
    list: ListName
    expires_at: datetime | None


class PutEntry(msgspec.Struct, frozen=True):
    """What became of an entry that was put: its id and version. Of version 1 it is new."""

    id: str
    version: int


list_entries = table_of(
    "list_entries", ListEntryRow, UniqueConstraint("value", "kind", "list", name="uq_list_entries_value")
)
_c = list_entries.c
for _leader in ("owner_id", "kind", "list"):  # a list is led by one of them, the newest first
    Index(f"ix_list_entries_{_leader}", _c[_leader], _c.id)
_expires = _c.expires_at.is_not(None)
Index("ix_list_entries_expires_at", _c.expires_at, sqlite_where=_expires, postgresql_where=_expires)

_KEY = ["value", "kind", "list"]
_SET = ("shown", "reason", "owner_id", "expires_at", "recorded_at")
_put = Statement(
    lambda insert: (
        (new := insert(list_entries))
        .on_conflict_do_update(
            index_elements=_KEY,
            set_={name: new.excluded[name] for name in _SET} | {"version": _c.version + 1},
            where=(_c.reason != new.excluded.reason) | _c.expires_at.is_distinct_from(new.excluded.expires_at),
        )
        .returning(_c.id, _c.version)
    )
)
# What `controls.v1` tells and the books lack, as after a restart from a backup. Nothing of it is newer than a row
# of the same version.
_TOLD = ("list", "kind", "value", "owner_id", "expires_at", "version", "recorded_at")
_keep = Statement(
    lambda insert: (new := insert(list_entries)).on_conflict_do_update(
        index_elements=["id"],
        set_={name: new.excluded[name] for name in _TOLD},
        where=_c.version < new.excluded.version,
    )
)
_same_value = Statement(
    select(list_entries).where(
        _c.value == bindparam("of_value"), _c.kind == bindparam("of_kind"), _c.list == bindparam("of_list")
    )
)
_values = [bindparam(f"value_{n}", type_=_c.value.type) for n in range(PLACES_MAX)]
_met = Statement(select(_c.kind, _c.value, _c.id, _c.list, _c.expires_at).where(_c.value.in_(_values)))
_version = Statement(select(_c.version).where(_c.id == bindparam("entry_id")))
_delete = Statement(delete(list_entries).where(_c.id == bindparam("entry_id")).returning(*_c))
_hit = Statement(update(list_entries).where(_c.id == bindparam("entry_id")).values(hits=_c.hits + 1))
_expired = Statement(
    select(_c.id)
    .where(_expires, _c.expires_at < bindparam("before"))
    .order_by(_c.expires_at)
    .limit(bindparam("most"))
)


def put_entry(conn: Connection, entry: ListEntryRow) -> PutEntry | None:
    """Put an entry on its list, or renew the one of the same list, kind and value; None where nothing changes."""
    row = _put(conn, **msgspec.structs.asdict(entry)).first()
    return PutEntry(row.id, row.version) if row else None


def keep_entry(conn: Connection, entry: ListEntryRow) -> bool:
    """Keep an entry that was told, unless the books know as much of it. False where another one has its value."""
    other = select_same(conn, entry)
    if other is not None and other.id != entry.id:
        return False
    _keep(conn, **msgspec.structs.asdict(entry))
    return True


def select_met(conn: Connection, places: Sequence[tuple[ListKind, str]]) -> list[MetEntry]:
    """The entries of these kinds and values, those that have expired among them."""
    wanted = [value for _, value in places] + [""] * (PLACES_MAX - len(places))
    rows = _met(conn, **{f"value_{n}": value for n, value in enumerate(wanted)})
    return [
        MetEntry(row.id, row.list, None if row.expires_at is None else from_micros(row.expires_at))
        for row in rows
        if (row.kind, row.value) in places
    ]


def select_same(conn: Connection, entry: ListEntryRow) -> ListEntryRow | None:
    """The entry of the same list, kind and value."""
    row = _same_value(conn, of_value=entry.value, of_kind=entry.kind, of_list=entry.list).first()
    return struct_of(ListEntryRow, row) if row else None


def select_versions(conn: Connection, entry_ids: Iterable[str]) -> dict[str, int]:
    """The versions of those of the entries that there are."""
    found = {entry_id: _version(conn, entry_id=entry_id).scalar() for entry_id in entry_ids}
    return {entry_id: version for entry_id, version in found.items() if version is not None}


def delete_entry(conn: Connection, entry_id: str) -> ListEntryRow | None:
    """Take an entry off its list; None where there is none of this id any more."""
    row = _delete(conn, entry_id=entry_id).first()
    return struct_of(ListEntryRow, row) if row else None


def count_hit(conn: Connection, entry_id: str) -> None:
    """Count a payment that an entry decided, in the transaction that applies its verdict: so each once."""
    _hit(conn, entry_id=entry_id)


def select_expired(conn: Connection, before: int, most: int) -> list[str]:
    """Ids of up to `most` entries that expired before a moment (microseconds UTC)."""
    return [row.id for row in _expired(conn, before=before, most=most)]
