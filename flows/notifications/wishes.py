"""What a recipient wants to be told, and when not to disturb. Pure: the moment is handed in."""

from datetime import UTC, datetime, time, tzinfo
from zoneinfo import ZoneInfo

from schemas.notifications import Channel, QuietHours, Recipient


def channels_for(recipient: Recipient, kind: str) -> list[Channel]:
    """The channels of this kind of event, each once, in the recipient's order."""
    return list(dict.fromkeys(recipient.channels.get(kind, [])))


def zone_of(recipient: Recipient) -> tzinfo:
    """The recipient's time zone; UTC where nobody knows the name."""
    try:
        return ZoneInfo(recipient.time_zone)
    except (ValueError, OSError, LookupError):  # no such zone, or a name that is no file name
        return UTC


def is_quiet(recipient: Recipient, moment: datetime) -> bool:
    """Whether `moment` lies in the recipient's quiet hours, by the clock on their wall."""
    hours = recipient.quiet_hours
    return hours is not None and _within(hours, moment.astimezone(zone_of(recipient)).time())


def _within(hours: QuietHours, clock: time) -> bool:
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    if start <= end:
        return start <= clock < end
    return clock >= start or clock < end
