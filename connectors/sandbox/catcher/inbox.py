"""What came in: the newest messages, in memory only."""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from schemas.ids import new_id
from schemas.times import now

KEPT = 1000  # a catcher is looked at, not archived: the oldest message gives way, a restart begins empty


class Message(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """One message as `GET /messages` shows it. `message_id` is a mail's Message-ID or an SMS's sid.

    `copies`: how often this mail came. Like most mailboxes the catcher shows the same Message-ID to the same
    recipient once (RFC 5322 §3.6.4: it is one message), but it does not hide that there were more.
    """

    id: str
    channel: Literal["email", "sms"]
    to: str
    sender: str
    subject: str
    text: str
    html: str
    message_id: str
    received_at: datetime
    copies: int = 1


class Inbox:
    """The last `KEPT` messages."""

    def __init__(self) -> None:
        self._messages: OrderedDict[tuple[str, str], Message] = OrderedDict()

    def __iter__(self) -> Iterator[Message]:
        """Newest first."""
        return reversed(self._messages.values())

    def __len__(self) -> int:
        return len(self._messages)

    def take_mail(self, to: str, sender: str, subject: str, text: str, html: str, message_id: str) -> None:
        """Keep a mail, or count it where it is there already."""
        first = self._messages.get((to, message_id)) if message_id else None
        if first:
            self._messages[to, message_id] = msgspec.structs.replace(first, copies=first.copies + 1)
        else:
            self._keep(Message(new_id("msg"), "email", to, sender, subject, text, html, message_id, now()))

    def take_sms(self, to: str, sender: str, body: str, sid: str) -> Message:
        """Keep a short message and return it."""
        message = Message(new_id("msg"), "sms", to, sender, "", body, "", sid, now())
        self._keep(message)
        return message

    def _keep(self, message: Message) -> None:
        self._messages[message.to, message.message_id or message.id] = message
        if len(self._messages) > KEPT:
            self._messages.popitem(last=False)
