"""Pages of list entries: by value, owner, kind and list, the newest first.

Of a value there are few. Each of the others has an index in which its entries stand in the order of the pages; the
first of those that are given leads, the others are looked up on its entries. How many of them are looked at is
bounded: a page costs the same however many there are, and says how far it came.
"""

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, or_, select

from gateway.books.engine import Slice
from gateway.books.list_entries import ListEntryRow, list_entries
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, struct_of
from schemas.lists import ListKind, ListName

SCAN = 2_000  # entries looked at for one page


class ListFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries a page shows: all that are given must hold. `value` is as it is stored."""

    value: str | None = None
    owner_id: str | None = None
    kind: ListKind | None = None
    list: ListName | None = None


FILTERS = ("owner_id", "kind", "list")  # the one with the fewest entries leads
_c = list_entries.c


def _bound(name: str) -> Any:
    return bindparam(name, type_=_c[name].type)


def _led_by(leader: str | None) -> list[ColumnElement[bool]]:
    place = [_c.id < bindparam("below", type_=_c.id.type), _c.id >= bindparam("lowest", type_=_c.id.type)]
    return [*([_c[leader] == _bound(leader)] if leader else []), *place]


def _page(leader: str | None) -> Statement:
    others = [or_(_bound(name).is_(None), _c[name] == _bound(name)) for name in FILTERS if name != leader]
    query = select(list_entries).where(*_led_by(leader), *others).order_by(_c.id.desc())
    return Statement(query.limit(bindparam("most")))


def _nth(leader: str | None) -> Statement:
    query = select(_c.id).where(*_led_by(leader)).order_by(_c.id.desc())
    return Statement(query.limit(1).offset(bindparam("scan")))


PAGES = {leader: _page(leader) for leader in (None, *FILTERS)}
NTH = {leader: _nth(leader) for leader in (None, *FILTERS)}
_of_value = Statement(select(list_entries).where(_c.value == bindparam("of_value")))


def list_entries_of(
    conn: Connection, after_id: str | None, most: int, wanted: ListFilter, scan: int = SCAN
) -> Slice[ListEntryRow, str]:
    """Up to `most` of the next `scan` entries, the newest first; `after_id` is where the page before came to."""
    if wanted.value is not None:
        return _slice_of_value(conn, after_id, most, wanted)
    leader = next((name for name in FILTERS if getattr(wanted, name) is not None), None)
    asked = {**msgspec.structs.asdict(wanted), "below": after_id or ABOVE_ALL_IDS, "lowest": ""}
    furthest = NTH[leader](conn, **asked, scan=scan).scalar()
    if furthest is not None:
        asked["lowest"] = furthest
    rows = [struct_of(ListEntryRow, row) for row in PAGES[leader](conn, **asked, most=most)]
    return Slice(rows, rows[-1].id if len(rows) == most else furthest)


def _slice_of_value(
    conn: Connection, after_id: str | None, most: int, wanted: ListFilter
) -> Slice[ListEntryRow, str]:
    rows = [struct_of(ListEntryRow, row) for row in _of_value(conn, of_value=wanted.value)]
    asked = {name: value for name in FILTERS if (value := getattr(wanted, name)) is not None}
    met = [row for row in rows if all(getattr(row, name) == value for name, value in asked.items())]
    further = sorted((row for row in met if row.id < (after_id or ABOVE_ALL_IDS)), key=lambda row: row.id)
    shown = further[::-1][:most]
    return Slice(shown, shown[-1].id if len(shown) == most else None)
