"""Lists of the audit: by who acted, what it was done to, the kind and the time, the newest first.

Each has an index in which its entries stand in the order of the list. One of those that are given leads, the
others are looked up on its entries. How many of them are looked at is bounded: a page costs the same however many
there are, and says how far it came.
"""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, or_, select, tuple_

from gateway.books.audit import ActRow, audit
from gateway.books.engine import Slice
from gateway.books.sql import Statement
from gateway.books.tables import FOR_EVER, struct_of
from schemas.accounts import ActKind

SCAN = 2_000  # entries looked at for one page


class AuditPlace(NamedTuple):
    """What entries are listed by."""

    at: int
    n: int


LAST = AuditPlace(FOR_EVER, FOR_EVER)


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries a list shows: all that are given must hold. Times in microseconds UTC."""

    subject_id: str | None = None
    actor_id: str | None = None
    kind: ActKind | None = None
    at_from: int | None = None
    at_before: int | None = None


FILTERS = ("subject_id", "actor_id", "kind")  # who is asked for first leads: a person's entries are few
_c = audit.c


def _bound(name: str, column: str) -> Any:
    return bindparam(name, type_=_c[column].type)


def _led_by(leader: str | None) -> list[ColumnElement[bool]]:
    """The entries between two places that one index leads to; compared as rows, as its entries are sorted."""
    lead = (_c[leader],) if leader else ()
    value = (_bound(leader, leader),) if leader else ()
    place = tuple_(*lead, _c.at, _c.n)
    return [
        place < tuple_(*value, _bound("below_at", "at"), _bound("below_n", "n")),
        place >= tuple_(*value, _bound("lowest_at", "at"), _bound("lowest_n", "n")),
    ]


def _order(leader: str | None) -> list[ColumnElement[Any]]:
    return [*([_c[leader].desc()] if leader else []), _c.at.desc(), _c.n.desc()]


def _if_given(name: str) -> ColumnElement[bool]:
    return or_(_bound(name, name).is_(None), _c[name] == _bound(name, name))


def _page(leader: str | None) -> Statement:
    others = [_if_given(name) for name in FILTERS if name != leader]
    query = select(audit).where(*_led_by(leader), *others).order_by(*_order(leader))
    return Statement(query.limit(bindparam("most")))


def _nth(leader: str | None) -> Statement:
    query = select(_c.at, _c.n).where(*_led_by(leader)).order_by(*_order(leader))
    return Statement(query.limit(1).offset(bindparam("scan")))


PAGES = {leader: _page(leader) for leader in (None, *FILTERS)}
NTH = {leader: _nth(leader) for leader in (None, *FILTERS)}


def list_audit(
    conn: Connection, after: AuditPlace | None, most: int, wanted: AuditFilter, scan: int = SCAN
) -> Slice[ActRow, AuditPlace]:
    """Up to `most` of the next `scan` entries, the newest first; `after` is where the page before came to."""
    leader = next((name for name in FILTERS if getattr(wanted, name) is not None), None)
    asked = {**msgspec.structs.asdict(wanted), **_between(after, wanted), "most": most, "scan": scan}
    furthest = NTH[leader](conn, **asked).first()
    if furthest is not None:
        asked |= {"lowest_at": furthest.at, "lowest_n": furthest.n}
    rows = [struct_of(ActRow, row) for row in PAGES[leader](conn, **asked)]
    if len(rows) == most:
        return Slice(rows, AuditPlace(rows[-1].at, rows[-1].n))
    return Slice(rows, AuditPlace(*furthest) if furthest else None)


def _between(after: AuditPlace | None, wanted: AuditFilter) -> dict[str, int]:
    end = LAST if wanted.at_before is None else AuditPlace(wanted.at_before, 0)
    below = min(after or LAST, end)
    return {
        "below_at": below.at,
        "below_n": below.n,
        "lowest_at": wanted.at_from or 0,
        "lowest_n": 0,
    }
