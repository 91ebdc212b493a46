"""Lists of payments: a page costs the same whatever is filtered by, and however many payments there are.

Each filter has an index, in which its payments stand in the order of the list. Of those that are given, the one
whose next rows reach back furthest leads: its value is the rarest here. The others are looked up on its rows. How
many rows are looked at is bounded: where few fulfil all filters, a page may have less than was asked for, and says
how far it came.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    literal_column,
    or_,
    select,
    tuple_,
)

from gateway.books.clock import furthest_apart
from gateway.books.engine import Slice
from gateway.books.payments import ORDINARY, PaymentRow, may_be_unasked, payments
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, FOR_EVER, struct_of
from schemas.fraud import Outcome
from schemas.ids import earliest_id
from schemas.payments import ProcessorName
from schemas.states import STATES, STATUS, PaymentState, Status

SCANS = (500, 10_000)  # rows looked at for one page: first few, then more where these were not enough
MOMENT_US = 1_000_000  # between the reading of `created_at` and the making of the id


class PaymentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments a list shows: all that are given must hold. Times in microseconds UTC.

    `amount` in minor units. `party_id`: an account that paid or sold; of what it paid, no filter shows what its
    view does not. `status`: any of its states.
    """

    party_id: str | None = None
    status: Status | None = None
    created_from: int | None = None
    created_before: int | None = None
    # Above: times, who asks, and a status. Below: columns, each with an index.
    customer_id: str | None = None
    merchant_id: str | None = None
    state: PaymentState | None = None
    processor: ProcessorName | None = None
    risk_outcome: Outcome | None = None
    currency: str | None = None
    last4: str | None = None
    amount: int | None = None
    reference: str | None = None


Asked = dict[str, Any]  # the values of a page's statement by name; a filter that is not given is None

_c = payments.c
_fields = PaymentFilter.__struct_fields__
_filters = _fields[_fields.index("customer_id") :]


def _led_by(leader: str | None) -> list[ColumnElement[bool]]:
    """The rows between two ids that one index leads to: those of a filter, or (None) all."""
    below, lowest = bindparam("below", type_=_c.id.type), bindparam("lowest", type_=_c.id.type)
    if leader is None:
        return [_c.id < below, _c.id >= lowest]
    # Compared as a pair, so that PostgreSQL does not read all payments in the order of their ids instead.
    column, value = _c[leader], bindparam(leader, type_=_c[leader].type)
    between = [tuple_(column, _c.id) < tuple_(value, below), tuple_(column, _c.id) >= tuple_(value, lowest)]
    if leader not in ORDINARY:
        return [column.is_not(None), *between]
    # In the text of the statement: a bind value would keep the partial index from being used.
    return [column != literal_column(f"'{ORDINARY[leader]}'"), *between]


def _newest_first(leader: str | None) -> list[ColumnElement[Any]]:
    return [*([_c[leader].desc()] if leader else []), _c.id.desc()]


def _if_given(name: str) -> ColumnElement[bool]:
    """A filter that is looked up on the rows an index led to."""
    value = bindparam(name, type_=_c[name].type)
    return or_(value.is_(None), _c[name] == value)


def _page_led_by(leader: str | None) -> Statement:
    others = [_if_given(name) for name in _filters if name != leader]
    created = (
        _c.created_at >= bindparam("created_from", type_=BigInteger),
        _c.created_at < bindparam("created_before", type_=BigInteger),
    )
    asked = [_c.state != state for state in STATES if may_be_unasked(state)]
    may_be_seen = or_(bindparam("shows_unasked", type_=Integer) == 1, and_(*asked))
    # As one condition: of many, SQLite expects so few rows that it would rather sort them than read them in order.
    looked_up = case((and_(*others, *created, may_be_seen), 1), else_=0) == 1
    query = select(payments).where(*_led_by(leader), looked_up)
    return Statement(query.order_by(*_newest_first(leader)).limit(bindparam("most")))


def _nth_led_by(leader: str | None) -> Statement:
    query = select(_c.id).where(*_led_by(leader)).order_by(*_newest_first(leader))
    return Statement(query.limit(1).offset(bindparam("scan")))


LEADERS = (None, *_filters)
PAGES = {leader: _page_led_by(leader) for leader in LEADERS}
NTH = {leader: _nth_led_by(leader) for leader in LEADERS}


def list_payments(
    conn: Connection, after_id: str | None, most: int, wanted: PaymentFilter
) -> Slice[PaymentRow, str]:
    """Up to `most` payments, the newest first; `after_id` is where the page before came to."""
    below, rows, reached = after_id or ABOVE_ALL_IDS, list[PaymentRow](), None
    born = _born(conn, wanted)
    for scan in SCANS:
        found = _scanned(conn, wanted, born | {"below": min(below, born["below"])}, most - len(rows), scan)
        rows, reached = rows + list(found.rows), found.reached
        if reached is None or len(rows) == most:
            break
        below = reached
    return Slice(rows, reached)


def _scanned(conn: Connection, wanted: PaymentFilter, born: Asked, most: int, scan: int) -> Slice[PaymentRow, str]:
    """What the next rows of each side have; the side that came less far says how far both did."""
    slices = [_side(conn, asked, scan) for asked in _sides(wanted, born, most)]
    reached = max((found.reached for found in slices if found.reached), default="")
    rows = {row.id: row for found in slices for row in found.rows if row.id >= reached}
    newest = [rows[payment_id] for payment_id in sorted(rows, reverse=True)[:most]]
    return Slice(newest, newest[-1].id if len(newest) == most else reached or None)


def _sides(wanted: PaymentFilter, born: Asked, most: int) -> Iterator[Asked]:
    """What is asked of the books: one thing, or one for what the party paid and one for what it sold.

    Of a status, that for each of its states: their index leads to them.
    """
    asked = {**msgspec.structs.asdict(wanted), "shows_unasked": 1, "most": most} | born
    for state, party in product(_states(wanted), _parties(wanted)):
        yield asked | {"state": state} | party


def _states(wanted: PaymentFilter) -> list[PaymentState | None]:
    if wanted.status is None:
        return [wanted.state]
    of_status = [state for state in STATES if STATUS[state] == wanted.status]
    return [state for state in of_status if wanted.state in (None, state)]


def _parties(wanted: PaymentFilter) -> Iterator[Asked]:
    party_id = wanted.party_id
    if party_id is None:
        yield {}
        return
    if wanted.customer_id in (None, party_id) and wanted.risk_outcome is None:
        # What never came to an issuer has no processor: a payer must not tell it from what did.
        yield {"customer_id": party_id, "shows_unasked": int(wanted.processor is None)}
    if wanted.merchant_id in (None, party_id):
        yield {"merchant_id": party_id}


def _born(conn: Connection, wanted: PaymentFilter) -> Asked:
    """The times asked for, and the ids that may have been made in them.

    Ids tell the steady clock's time, `created_at` is the wall's: the two were so far apart.
    """
    start, end = wanted.created_from, wanted.created_before
    timed = start is not None or end is not None
    apart_us = furthest_apart(conn) + MOMENT_US if timed else 0
    return {
        "lowest": "" if start is None else earliest_id("pay", start - apart_us),
        "below": ABOVE_ALL_IDS if end is None else earliest_id("pay", end + apart_us),
        "created_from": -FOR_EVER if start is None else start,
        "created_before": FOR_EVER if end is None else end,
    }


def _side(conn: Connection, asked: Asked, scan: int) -> Slice[PaymentRow, str]:
    """What the next `scan` rows of the rarest filter have; `reached` None: there are no more rows."""
    given = [name for name in _filters if asked[name] not in (None, ORDINARY.get(name))]
    leaders: list[str | None] = [*given] or [None]
    furthest = {leader: NTH[leader](conn, **asked, scan=scan).scalar() or "" for leader in leaders}
    leader = min(furthest, key=furthest.__getitem__)
    lowest = max(furthest[leader], asked["lowest"])
    rows = [struct_of(PaymentRow, row) for row in PAGES[leader](conn, **(asked | {"lowest": lowest}))]
    return Slice(rows, rows[-1].id if len(rows) == asked["most"] else furthest[leader] or None)
