"""The switch that stops sales: what an administrator stops takes no new payments from the next request on.

What exists goes on: captures, voids, refunds, returns of payers, recovery (docs/decisions/0062).
"""

import msgspec
from sqlalchemy import Connection

from gateway.books import audit, merchants
from gateway.books.audit import Act
from gateway.books.engine import announce
from gateway.books.stops import StopRow, delete_stop, put_stop
from gateway.log_lines import LogLine
from gateway.refusals import NoSuchObject
from schemas.ids import new_id
from schemas.times import from_micros, now_micros


class StopAsked(msgspec.Struct, frozen=True):
    """What is to be stopped (see `StopRow.target`), whether that names a merchant, why, and who asks for it."""

    target: str
    is_merchant: bool
    reason: str
    by: str


class StopLine(LogLine, frozen=True, kw_only=True):
    """The log line of a stop that begins or ends; its reason is in the audit."""

    stop_id: str
    target: str
    by: str


def stop_sales(conn: Connection, asked: StopAsked) -> tuple[StopRow, bool]:
    """Stop a processor, a merchant or everything; False with the stop that stands on it already.

    Raises `NoSuchObject` for a merchant that does not exist.
    """
    if asked.is_merchant and merchants.bare_by_id(conn, asked.target) is None:
        raise NoSuchObject("There is no such merchant.")
    now = now_micros()
    stop = StopRow(target=asked.target, id=new_id("stp"), reason=asked.reason, stopped_by=asked.by, stopped_at=now)
    stands, is_new = put_stop(conn, stop)
    if is_new:
        detail = {"stop": stop.id, "reason": stop.reason}
        audit.record(conn, Act("sales_stopped", asked.by, stop.target, detail))
        announce(conn, _line("sales.stopped", stop, asked.by, now))
    return stands, is_new


def resume_sales(conn: Connection, stop_id: str, by: str) -> None:
    """Lift a stop, for the account `by`. Raises `NoSuchObject`."""
    lifted = delete_stop(conn, stop_id)
    if lifted is None:
        raise NoSuchObject
    audit.record(conn, Act("sales_resumed", by, lifted.target, {"stop": stop_id}))
    announce(conn, _line("sales.resumed", lifted, by, now_micros()))


def _line(event: str, stop: StopRow, by: str, now: int) -> StopLine:
    return StopLine(
        event=event, level="warning", timestamp=from_micros(now), stop_id=stop.id, target=stop.target, by=by
    )
