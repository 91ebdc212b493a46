"""Whom to tell and how: what the gateway answers at `GET /v1/accounts/{id}/recipient`."""

from typing import Annotated

import msgspec

from schemas.notifications import Channel

ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)]


class QuietHours(msgspec.Struct, frozen=True):
    """From `start` until before `end`, both `HH:MM` in the account's time zone; may go over midnight."""

    start: ClockTime
    end: ClockTime


class Recipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """One account's addresses and wishes: `channels` by kind of event, `time_zone` an IANA name.

    Personal: it is asked for when a message is sent, and stands on no topic, in no log and in no state of a flow.
    """

    channels: dict[str, list[Channel]]
    locale: str
    time_zone: str
    email: str | None = None
    phone: str | None = None
    quiet_hours: QuietHours | None = None
