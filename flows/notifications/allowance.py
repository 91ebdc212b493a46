"""How much one recipient gets in an hour, and all phones together in a day: what is beyond it is held back.

Whoever enters a card or an address of somebody else cannot have them written to without end, nor at any cost.
"""

import hashlib
from collections.abc import Callable

from connectors.settings import MessageLimits
from flows.notifications.delivery import Delivery, message_id_of
from flows.notifications.sent_log import SentLog
from schemas.times import now

HOUR_S = 3600.0
DAYS_KEPT = 7  # of SMS: a clock that was set ahead and back finds the day as it was

TABLES = """
CREATE TABLE IF NOT EXISTS sent_lately (
    message TEXT PRIMARY KEY,
    recipient BLOB NOT NULL,    -- keyed hash of channel and address
    sent_s REAL NOT NULL        -- by the clock of `Waiting`: when it was last handed over
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sent_lately_by_recipient ON sent_lately (recipient, sent_s);
CREATE INDEX IF NOT EXISTS sent_lately_by_age ON sent_lately (sent_s);
CREATE TABLE IF NOT EXISTS sms_days (
    day TEXT PRIMARY KEY,       -- UTC, ISO 8601
    sent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


class Allowance:
    """What may still be sent, in the file of a `SentLog`: no restart makes it more.

    Nor does a clock that is set back; one that is set ahead begins another day of SMS, once.
    """

    def __init__(self, log: SentLog, limits: MessageLimits, key: bytes, may_text: Callable[[str], bool]) -> None:
        """`key` makes the hashes of addresses; with another one what was sent in the last hour is forgotten."""
        self._log, self._limits, self._key, self._may_text = log, limits, key, may_text
        log.db.executescript(TABLES)

    def takes(self, delivery: Delivery, now_s: float) -> bool:
        """Whether a message may be sent; it counts then, once however often it is tried."""
        address = delivery.address() or ""
        if delivery.channel == "sms" and not self._may_text(address):
            return False
        with self._log.transaction():
            return self._count(delivery, self._hash(delivery.channel, address), now_s)

    def forget(self, now_s: float) -> None:
        """Forget what counts no more."""
        self._log.db.execute("DELETE FROM sent_lately WHERE sent_s < ?", (now_s - HOUR_S,))
        self._log.db.execute(
            "DELETE FROM sms_days WHERE day NOT IN (SELECT day FROM sms_days ORDER BY day DESC LIMIT ?)",
            (DAYS_KEPT,),
        )

    def _count(self, delivery: Delivery, recipient: bytes, now_s: float) -> bool:
        message = message_id_of(delivery.event, delivery.channel)
        known = self._log.db.execute("SELECT 1 FROM sent_lately WHERE message = ?", (message,)).fetchone()
        others = self._log.db.execute(
            "SELECT count(*) FROM sent_lately WHERE recipient = ? AND sent_s > ? AND message <> ?",
            (recipient, now_s - HOUR_S, message),
        ).fetchone()[0]
        others += delivery.recipient.confirmations.get(delivery.channel, 0)
        if others >= self._limits.per_hour(delivery.channel):
            return False
        if delivery.channel == "sms" and not known and not self._count_sms():
            return False
        self._log.db.execute("INSERT OR REPLACE INTO sent_lately VALUES (?, ?, ?)", (message, recipient, now_s))
        return True

    def _count_sms(self) -> bool:
        counted = self._log.db.execute(
            "INSERT INTO sms_days SELECT ?, 1 WHERE ? > 0"
            " ON CONFLICT DO UPDATE SET sent = sent + 1 WHERE sent < ?",
            (_today(), self._limits.sms_per_day, self._limits.sms_per_day),
        )
        return counted.rowcount == 1

    def _hash(self, channel: str, address: str) -> bytes:
        """Case makes no other mailbox of it; what a provider takes for one mailbox (dots, `+tag`) does."""
        return hashlib.blake2b(f"{channel}\0{address.casefold()}".encode(), key=self._key, digest_size=16).digest()


def _today() -> str:
    return now().date().isoformat()
