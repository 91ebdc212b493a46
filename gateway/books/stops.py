"""Stops: a processor, a merchant or everything that takes no new payments. One row per target, while it stands.

What was stopped before, and by whom, is in the audit.
"""

import msgspec
from sqlalchemy import Connection, UniqueConstraint, bindparam, delete, func, select

from gateway.books.engine import Outdated
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Micros, struct_of, table_of
from schemas.payments import PROCESSORS

EVERYTHING = "all"


class StopRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `stops`. `target`: a processor, the id of a merchant's account, or `EVERYTHING`.

    `stopped_by`: the account that did, at `stopped_at` (microseconds UTC).
    """

    target: str
    id: str
    reason: str
    stopped_by: str
    stopped_at: Micros


stops = table_of("stops", StopRow, UniqueConstraint("id"), primary_key=("target",))
_c = stops.c

_insert = Statement(lambda insert: insert(stops).on_conflict_do_nothing())
_on = Statement(select(stops).where(_c.target == bindparam("of_target")))
# Each payment asks this: at most as many rows as there are processors, and two.
_of_merchant = bindparam("of_merchant_id", type_=_c.target.type)
_met = Statement(select(_c.target).where(_c.target.in_([_of_merchant, EVERYTHING, *PROCESSORS])))
_delete = Statement(delete(stops).where(_c.id == bindparam("stop_id")).returning(*_c))
_page = Statement(select(stops).where(_c.id < bindparam("below")).order_by(_c.id.desc()).limit(bindparam("most")))

_count = Statement(select(func.count()).select_from(stops))


def put_stop(conn: Connection, stop: StopRow) -> tuple[StopRow, bool]:
    """The stop that stands on a target from here on, and whether it is this one.

    Raises `Outdated` where the one that stood was lifted at this moment.
    """
    if _insert(conn, **msgspec.structs.asdict(stop)).rowcount:
        return stop, True
    found = _on(conn, of_target=stop.target).first()
    if found is None:
        raise Outdated(stop.target)
    return struct_of(StopRow, found), False


def delete_stop(conn: Connection, stop_id: str) -> StopRow | None:
    """Lift a stop; None where there is none of this id any more."""
    found = _delete(conn, stop_id=stop_id).first()
    return struct_of(StopRow, found) if found else None


def stops_met(conn: Connection, merchant_id: str) -> frozenset[str]:
    """What is stopped of all that a new payment to a merchant may meet: processors, the merchant, `EVERYTHING`."""
    return frozenset(row.target for row in _met(conn, of_merchant_id=merchant_id))


def list_stops(conn: Connection, after_id: str | None, most: int) -> list[StopRow]:
    """Up to `most` stops, the newest first, after the one of `after_id`."""
    return [struct_of(StopRow, row) for row in _page(conn, below=after_id or ABOVE_ALL_IDS, most=most)]


def count_stops(conn: Connection) -> int:
    """How many stops stand."""
    count: int = _count(conn).scalar()
    return count
