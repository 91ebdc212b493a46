"""What came in: the newest messages, in memory only."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from schemas.ids import new_id
from schemas.times import now

KEPT = 1000  # a catcher is looked at, not archived: the oldest message gives way, a restart begins empty


class Message(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """One message as `GET /messages` shows it. `message_id` is a mail's Message-ID or an SMS's sid."""

    id: str
    channel: Literal["email", "sms"]
    to: str
    sender: str
    subject: str
    text: str
    html: str
    message_id: str
    received_at: datetime


class Inbox:
    """The last `KEPT` messages."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=KEPT)

    def __iter__(self) -> Iterator[Message]:
        """Newest first."""
        return reversed(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def take_mail(self, to: str, sender: str, subject: str, text: str, html: str, message_id: str) -> None:
        """Keep a mail."""
        self._messages.append(Message(new_id("msg"), "email", to, sender, subject, text, html, message_id, now()))

    def take_sms(self, to: str, sender: str, body: str, sid: str) -> Message:
        """Keep a short message and return it."""
        message = Message(new_id("msg"), "sms", to, sender, "", body, "", sid, now())
        self._messages.append(message)
        return message
