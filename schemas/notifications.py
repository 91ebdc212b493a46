"""Whom to tell and how (the gateway's answer), and what became of it: the events of `notifications.v1`."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Channel = Literal["email", "sms", "webhook"]
ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]


class Notification(msgspec.Struct, frozen=True):
    """`notification.recorded`: one message of one channel, delivered, failed or suppressed, and why.

    `address` is masked (`c…@example.com`, `+1…06`). `event` is the id of the event that caused it and
    `sequence` its number in the payment, so the state a message spoke of can be found again. `caused_at` is when
    that event was recorded, null in what was recorded before there was this field: the same on every repeat.
    """

    payment: str
    event: str
    sequence: int
    kind: str
    channel: Channel
    address: str
    outcome: Literal["delivered", "failed", "suppressed"]
    reason: str | None
    message_id: str
    recorded_at: datetime
    caused_at: datetime | None = None


class QuietHours(msgspec.Struct, frozen=True):
    """From `start` until before `end`, both `HH:MM` in the account's time zone; may go over midnight."""

    start: ClockTime
    end: ClockTime


class Recipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """One account's addresses and wishes: `channels` by kind of event, `time_zone` an IANA name.

    Only what was confirmed is an address; `unconfirmed`: the channels whose address was not. `confirmations`: how
    many messages of the last hour asked somebody to confirm the address of a channel.
    Personal: it is asked for when a message is sent, and stands on no topic, in no log and in no state of a flow.
    """

    channels: dict[str, list[Channel]]
    locale: str
    time_zone: str
    email: str | None = None
    phone: str | None = None
    quiet_hours: QuietHours | None = None
    unconfirmed: list[Channel] = []
    confirmations: dict[Channel, int] = {}


def mask(address: str) -> str:
    """An address that its owner recognises and nobody can write to: `c…@example.com`, `+1…06`; empty for none."""
    name, at, domain = address.rpartition("@")
    if at:
        return f"{name[:1]}…@{domain}"
    return f"{address[:2]}…{address[-2:]}" if address else ""
