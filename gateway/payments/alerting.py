"""Alerts of the gateway: what needs a person, once a day for each thing, on `alerts.v1` and in the log."""

from datetime import date

from sqlalchemy import Connection

from gateway.books.caps import spend
from gateway.books.engine import announce
from gateway.books.outbox import add_event
from gateway.log_lines import LogLine
from schemas.alerts import Alert
from schemas.ids import new_id
from schemas.times import from_micros, now_micros
from schemas.topics import ALERTS


class AlertLine(LogLine, frozen=True, kw_only=True):
    """The log line of an alert."""

    event: str = "alert.raised"
    level: str = "warning"
    alert_id: str
    kind: str
    subject: str
    facts: dict[str, float]


def raise_alert(conn: Connection, kind: str, subject: str, day: date, facts: dict[str, float]) -> bool:
    """Raise an alert of a kind about a subject, unless that was done on this day before."""
    if not spend(conn, f"alert {kind} {subject}", day, 1, 1):
        return False
    moment = from_micros(now_micros())
    alert = Alert(new_id("alr"), 1, kind, subject, "gateway", facts, moment, moment)
    add_event(
        conn,
        topic=ALERTS.name,
        key=alert.id,
        type="alert.raised",
        subject_id=alert.id,
        sequence=1,
        data=alert,
        traceparent=None,
        now=now_micros(),
    )
    announce(conn, AlertLine(timestamp=moment, alert_id=alert.id, kind=kind, subject=subject, facts=facts))
    return True
