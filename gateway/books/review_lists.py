"""The queue of reviews: a page costs the same whatever is filtered by, and however many reviews there are.

Open ones come first, in the order that was asked for, then the decided ones, the newest first. As in
`payment_lists`, each filter has an index in which its reviews stand in the order of the list; the rarest leads,
the others are looked up on its rows, and how many of these are looked at is bounded.

Nothing that a place is made of changes while a review is open: whatever is decided or taken meanwhile, no page
misses one that stays.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, exists, or_, select, tuple_

from gateway.books.engine import Slice
from gateway.books.reviews import (
    NO_SCORE,
    Review,
    by_age,
    is_decided,
    is_open_reason,
    review_reasons,
    reviews,
    with_payment,
)
from gateway.books.sql import Result, Statement
from gateway.books.tables import ABOVE_ALL_IDS, FOR_EVER
from schemas.reviews import ReviewKind
from schemas.times import steady_micros

ReviewOrder = Literal["newest", "expected_loss"]
Section = Literal["newest", "expected_loss", "decided"]
Rank = tuple[int, str]  # of what it may cost (0: by age alone), the id
Place = tuple[bool, int, str]  # whether it is decided, and those two

SCANS = (500, 10_000)  # rows looked at for one page: first few, then more where these were not enough
LOWEST: Rank = (NO_SCORE - 1, "")
HIGHEST: Rank = (FOR_EVER, ABOVE_ALL_IDS)


class ReviewFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which reviews a list shows: all that are given must hold. `assigned_to`: who has taken them.

    `is_open` None: all, of which the decided ones come last.
    """

    is_open: bool | None = None
    order: ReviewOrder = "newest"
    # Above: sections and order. Below: what each has an index.
    assigned_to: str | None = None
    reason: str | None = None
    kind: ReviewKind | None = None

    def sections(self) -> Iterator[Section]:
        """The parts of the list in their order; what is decided nobody has taken."""
        if self.is_open is not False:
            yield self.order
        if not self.is_open and self.assigned_to is None:
            yield "decided"


_c, _why = reviews.c, review_reasons.c
FILTERS = ("assigned_to", "reason", "kind")
LEADERS: tuple[str | None, ...] = (None, *FILTERS)
NEVER = ("decided", "assigned_to")  # what is decided nobody has taken
SECTIONS: tuple[Section, ...] = ("newest", "expected_loss", "decided")


def _key(section: Section, leader: str | None) -> list[ColumnElement[Any]]:
    """The columns of an index behind the one that leads."""
    of = _why if leader == "reason" else _c
    rank = [of.loss_rank] if section == "expected_loss" else []
    return [*rank, _why.review_id if leader == "reason" else _c.id]


def _led(leader: str | None) -> list[ColumnElement[Any]]:
    return [] if leader is None else [_why.reason if leader == "reason" else _c[leader]]


def _between(section: Section, leader: str | None) -> list[ColumnElement[bool]]:
    """The rows between two places that one index leads to."""
    key, led = _key(section, leader), _led(leader)
    values = [bindparam(leader, type_=column.type) for column in led if leader]
    names = ("rank", "id")[-len(key) :]
    bounds = {
        edge: [bindparam(f"{edge}_{name}", type_=column.type) for name, column in zip(names, key, strict=True)]
        for edge in ("below", "lowest")
    }
    return [
        _compared([*led, *key], [*values, *bounds["below"]], "<"),
        _compared([*led, *key], [*values, *bounds["lowest"]], ">="),
        *_of_section(section, leader),
    ]


def _compared(columns: list[Any], values: list[Any], how: str) -> ColumnElement[bool]:
    left, right = (tuple_(*side) if len(side) > 1 else side[0] for side in (columns, values))
    return left < right if how == "<" else left >= right


def _of_section(section: Section, leader: str | None) -> list[ColumnElement[bool]]:
    is_ended = section == "decided"
    aged = [by_age[leader]] if section == "newest" and leader in by_age else []
    if leader == "reason":
        return [is_open_reason[not is_ended], *aged]
    held = [_c.assigned_to.is_not(None), *aged] if leader == "assigned_to" else []
    return [*held, is_decided[is_ended]]


def _if_given(name: str) -> ColumnElement[bool]:
    """A filter that is looked up on the rows an index led to."""
    match name:
        case "assigned_to":
            value = bindparam(name, type_=_c.assigned_to.type)
            still = _c.assigned_until > bindparam("now", type_=_c.assigned_until.type)
            return or_(value.is_(None), and_(_c.assigned_to == value, still))
        case "reason":
            value = bindparam(name, type_=_why.reason.type)
            others = review_reasons.alias("others")
            known = exists().where(others.c.review_id == _c.id, others.c.reason == value)
            return or_(value.is_(None), known)
        case _:
            value = bindparam(name, type_=_c[name].type)
            return or_(value.is_(None), _c[name] == value)


def _newest_first(section: Section, leader: str | None) -> list[ColumnElement[Any]]:
    return [column.desc() for column in (*_led(leader), *_key(section, leader))]


def _page(section: Section, leader: str | None) -> Statement:
    # As one condition: of many, SQLite expects so few rows that it would rather sort them than read them in order.
    fits = case((and_(*[_if_given(name) for name in FILTERS]), 1), else_=0) == 1
    query = with_payment.where(*_between(section, leader), fits)
    if leader == "reason":
        query = query.where(_why.review_id == _c.id)
    return Statement(query.order_by(*_newest_first(section, leader)).limit(bindparam("most")))


def _nth(section: Section, leader: str | None) -> Statement:
    query = select(*_key(section, leader)).where(*_between(section, leader))
    return Statement(query.order_by(*_newest_first(section, leader)).limit(1).offset(bindparam("scan")))


_led_to = [(section, leader) for section, leader in product(SECTIONS, LEADERS) if (section, leader) != NEVER]
PAGES = {led: _page(*led) for led in _led_to}
NTH = {led: _nth(*led) for led in _led_to}


def list_reviews(conn: Connection, after: Place | None, most: int, wanted: ReviewFilter) -> Slice[Review, Place]:
    """Up to `most` reviews past a place, and how far it came."""
    rows = list[Review]()
    for section in wanted.sections():
        is_ended, below = section == "decided", HIGHEST
        if after is not None and after[0] and not is_ended:
            continue  # the page before came to the end of these
        if after is not None and after[0] == is_ended:
            below = after[1:]
        found = _of(conn, section, wanted, below, most - len(rows))
        rows += found.rows
        if found.reached is not None:
            return Slice(rows, (is_ended, *found.reached))
    return Slice(rows)


def place_of(review: Review, order: ReviewOrder) -> Place:
    """Where a review stands in a list of this order."""
    is_ended = review.decision is not None
    return is_ended, 0 if is_ended or order == "newest" else review.loss_rank, review.id


def _of(conn: Connection, section: Section, wanted: ReviewFilter, below: Rank, most: int) -> Slice[Review, Rank]:
    """Up to `most` reviews of a section; `reached` None: there are no more."""
    rows = list[Review]()
    for scan in SCANS:
        found = _scanned(conn, section, wanted, below, most - len(rows), scan)
        rows += found.rows
        if found.reached is None or len(rows) == most:
            return Slice(rows, found.reached)
        below = found.reached
    return Slice(rows, below)


def _scanned(
    conn: Connection, section: Section, wanted: ReviewFilter, below: Rank, most: int, scan: int
) -> Slice[Review, Rank]:
    """What the next `scan` rows of the rarest filter have."""
    asked: dict[str, Any] = {name: getattr(wanted, name) for name in FILTERS} | {"now": steady_micros()}
    asked |= {"most": most, **_edge("below", below), **_edge("lowest", LOWEST)}
    leaders: list[str | None] = [name for name in FILTERS if asked[name] is not None] or [None]
    furthest = {leader: _nth_place(NTH[section, leader](conn, **asked, scan=scan)) for leader in leaders}
    leader = min(furthest, key=furthest.__getitem__)
    asked |= _edge("lowest", furthest[leader])
    rows = [Review(*row) for row in PAGES[section, leader](conn, **asked)]
    if len(rows) == most:
        return Slice(rows, _rank_of(section, rows[-1]))
    return Slice(rows, None if furthest[leader] == LOWEST else furthest[leader])


def _edge(name: str, place: Rank) -> dict[str, Any]:
    return {f"{name}_rank": place[0], f"{name}_id": place[1]}


def _nth_place(found: Result) -> Rank:
    row = found.first()
    if row is None:
        return LOWEST
    return (row[0], row[1]) if len(row) > 1 else (0, row[0])


def _rank_of(section: Section, review: Review) -> Rank:
    return review.loss_rank if section == "expected_loss" else 0, review.id
