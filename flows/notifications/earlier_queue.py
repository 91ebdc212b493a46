"""What releases before `waiting.py` left in Bytewax's recovery store: the events that waited, pickled.

A snapshot names the class and its module as the release called them that wrote it.
"""

import sys
from datetime import datetime

import msgspec

from connectors.records import Record
from schemas.events import Event


class QueuedEvent(msgspec.Struct):
    """One event: its record, when it was queued, when it was due, and how often it had been tried."""

    record: Record
    event: Event
    queued_at: datetime
    due: datetime
    tries: int = 0


Job = QueuedEvent
for name in ("retry_queue", "backlog"):
    sys.modules[f"flows.notifications.{name}"] = sys.modules[__name__]
