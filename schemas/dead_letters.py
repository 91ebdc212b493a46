"""Events of `dead_letter.v1`: a record nobody could read."""

from datetime import datetime

import msgspec


class DeadLetter(msgspec.Struct, frozen=True):
    """`dead_letter`: where the record stands and why it was set aside.

    `value` holds its bytes in base64, null where they looked as if a card number were in them.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    value: str | None
    recorded_at: datetime
