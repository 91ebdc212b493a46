"""What waits to be told: in the file, so that neither memory nor Kafka's line grows with it.

A *lane* is the way to one party outside: the gateway that is asked for a recipient, the mail server, the SMS
provider. In a lane each customer has a *line*: its first message alone is tried, and the others wait behind it in
order. So a busy mailbox costs one try per pause, whatever it is owed, and no state overtakes an earlier one.
"""

import time
from typing import Literal

import msgspec

from connectors.records import Record
from flows.notifications.sent_log import SentLog, pack, unpack
from schemas.times import now_micros

LaneName = Literal["recipient", "email", "sms"]

TABLES = """
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    customer TEXT NOT NULL,
    queued_s REAL NOT NULL,     -- by the clock below: when its event was taken in, or its line goes on
    began INTEGER,              -- microseconds since 1970 UTC: when it was first handed over
    record BLOB NOT NULL        -- the event as it was read
) STRICT;
CREATE INDEX IF NOT EXISTS waiting_in_line ON waiting (lane, customer, number);
CREATE INDEX IF NOT EXISTS waiting_by_age ON waiting (lane, queued_s);
CREATE TABLE IF NOT EXISTS lines (
    lane TEXT NOT NULL,
    customer TEXT NOT NULL,
    due_s REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,   -- of its first message, without an answer that counts
    reason TEXT NOT NULL DEFAULT '',    -- of the last of them
    address TEXT NOT NULL DEFAULT '',   -- masked
    PRIMARY KEY (lane, customer)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lines_by_due ON lines (lane, tries > 0, due_s);
CREATE TABLE IF NOT EXISTS clock (seconds REAL NOT NULL) STRICT;
INSERT INTO clock SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM clock);
"""


class WaitingMessage(msgspec.Struct, frozen=True):
    """An event that waits in a lane. `queued_s` in seconds that the flow has run, `began` in microseconds UTC."""

    number: int
    lane: LaneName
    customer: str
    queued_s: float
    began: int | None
    record: Record


class OverdueMessage(msgspec.Struct, frozen=True):
    """A message that nobody could take for too long; `reason` and masked `address` tell of its line's last try."""

    message: WaitingMessage
    reason: str
    address: str


class Line(msgspec.Struct, frozen=True):
    """The first messages of a customer in a lane; `tries`, `reason` and masked `address` tell of what failed."""

    tries: int
    reason: str
    address: str
    messages: list[WaitingMessage]


class Waiting:
    """The tables of the messages that wait, in the file of a `SentLog`, whose transactions its callers open."""

    def __init__(self, log: SentLog) -> None:
        """All that waits is due now."""
        self._db = log.db
        self._db.executescript(TABLES)
        self._before_s: float = self._db.execute("SELECT seconds FROM clock").fetchone()[0]
        self._began_s = time.monotonic()
        self._db.execute("UPDATE lines SET due_s = ? WHERE due_s > ?", (self._before_s, self._before_s))
        self.count: int = self._db.execute("SELECT count(*) FROM waiting").fetchone()[0]

    def now_s(self) -> float:
        """For how many seconds the flow has run, all its processes together: no clock that is set moves it."""
        return self._before_s + time.monotonic() - self._began_s

    def save_clock(self) -> None:
        """Let the next process count on from here."""
        self._db.execute("UPDATE clock SET seconds = ?", (self.now_s(),))

    def add(self, lane: LaneName, customer: str, record: Record, queued_s: float | None = None) -> None:
        """Queue an event at the end of its customer's line; by default it is queued now."""
        moment = self.now_s()
        self._db.execute(
            "INSERT INTO waiting (lane, customer, queued_s, record) VALUES (?, ?, ?, ?)",
            (lane, customer, moment if queued_s is None else queued_s, pack(record)),
        )
        self._db.execute(
            "INSERT INTO lines (lane, customer, due_s) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (lane, customer, moment),
        )
        self.count += 1

    def due(self, lane: LaneName, tried: bool, limit: int) -> list[str]:
        """The customers whose line is due, the longest first; `tried`: whether its first message failed before."""
        found = self._db.execute(
            "SELECT customer FROM lines WHERE lane = ? AND (tries > 0) = ? AND due_s <= ? ORDER BY due_s LIMIT ?",
            (lane, tried, self.now_s(), limit),
        )
        return [customer for (customer,) in found]

    def next_due_s(self, lane: LaneName) -> float | None:
        """When the next line that failed before is due; None where there is none."""
        query = "SELECT min(due_s) FROM lines WHERE lane = ? AND (tries > 0) = 1"
        due_s: float | None = self._db.execute(query, (lane,)).fetchone()[0]
        return due_s

    def line(self, lane: LaneName, customer: str, limit: int = 1) -> Line:
        """The first messages of a line."""
        query = "SELECT tries, reason, address FROM lines WHERE lane = ? AND customer = ?"
        tries, reason, address = self._db.execute(query, (lane, customer)).fetchone()
        return Line(tries, reason, address, self._first(lane, customer, limit))

    def older(self, lane: LaneName, queued_s: float, is_away: bool, limit: int) -> list[OverdueMessage]:
        """Messages queued before `queued_s` that were tried in vain, or all of them where the party `is_away`."""
        rows = self._db.execute(
            "SELECT number, customer, queued_s, began, record, reason, address"
            " FROM waiting JOIN lines USING (lane, customer)"
            " WHERE lane = ? AND queued_s < ? AND (? OR tries > 0) ORDER BY queued_s LIMIT ?",
            (lane, queued_s, is_away, limit),
        )
        return [OverdueMessage(_message(lane, *row), reason, address) for *row, reason, address in rows]

    def begin(self, message: WaitingMessage) -> None:
        """Record that a message is about to be handed over."""
        self._db.execute("UPDATE waiting SET began = ? WHERE number = ?", (now_micros(), message.number))

    def remove(self, messages: list[WaitingMessage]) -> None:
        """Remove messages, and the lines that are empty then."""
        self._db.executemany("DELETE FROM waiting WHERE number = ?", [(m.number,) for m in messages])
        self._db.executemany(
            "DELETE FROM lines WHERE lane = ? AND customer = ? AND NOT EXISTS"
            " (SELECT 1 FROM waiting WHERE waiting.lane = lines.lane AND waiting.customer = lines.customer)",
            {(m.lane, m.customer) for m in messages},
        )
        self.count -= len(messages)

    def answered(self, lane: LaneName, customer: str) -> None:
        """What is left of a line goes on, after the lines of others."""
        self._db.execute(
            "UPDATE lines SET due_s = ?, tries = 0, reason = '' WHERE lane = ? AND customer = ?",
            (self.now_s(), lane, customer),
        )

    def rest(self, lane: LaneName, customer: str, pause_s: float) -> None:
        """Let a line rest that nobody tried: after `pause_s` it goes on as if its events came then."""
        due_s = self.now_s() + pause_s
        self._db.execute(
            "UPDATE lines SET due_s = ?, tries = 0, reason = '' WHERE lane = ? AND customer = ?",
            (due_s, lane, customer),
        )
        self._db.execute(
            "UPDATE waiting SET queued_s = ? WHERE lane = ? AND customer = ? AND queued_s < ?",
            (due_s, lane, customer, due_s),
        )

    def postpone(self, lane: LaneName, customer: str, pause_s: float, reason: str, address: str) -> None:
        """Count a try in vain; the line is due after `pause_s`."""
        self._db.execute(
            "UPDATE lines SET due_s = ?, tries = tries + 1, reason = ?, address = ?"
            " WHERE lane = ? AND customer = ?",
            (self.now_s() + pause_s, reason, address, lane, customer),
        )

    def _first(self, lane: LaneName, customer: str, limit: int) -> list[WaitingMessage]:
        rows = self._db.execute(
            "SELECT number, customer, queued_s, began, record FROM waiting"
            " WHERE lane = ? AND customer = ? ORDER BY number LIMIT ?",
            (lane, customer, limit),
        )
        return [_message(lane, *row) for row in rows]


def _message(
    lane: LaneName, number: int, customer: str, queued_s: float, began: int | None, packed: bytes
) -> WaitingMessage:
    return WaitingMessage(number, lane, customer, queued_s, began, unpack(Record, packed))
