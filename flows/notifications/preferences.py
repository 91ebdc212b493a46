"""What a recipient wants to be told, where and when. Pure: the moment is handed in, and nothing is sent."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import assert_never
from zoneinfo import ZoneInfo

from schemas.accounts import AccountChanged, AccountErased
from schemas.alerts import Alert
from schemas.events import DeadLetter, EventData, Tombstone
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.lists import FraudListing
from schemas.notifications import Channel, Notification, QuietHours, Recipient
from schemas.operations import OperationEvent
from schemas.payments import LatestPayment, PaymentEvent, Refund, RefundEvent, TransactionCompleted
from schemas.reviews import ReviewEvent
from schemas.rules import FraudRule


def kind_of(data: EventData | Tombstone) -> str | None:
    """What a recipient calls an event like this in their preferences; None for one nobody is told of."""
    match data:
        case TransactionCompleted():
            return "transaction_completed"
        case RefundEvent():
            return _kind_of_refund(data.refund)
        case PaymentEvent() | Verdict() | Label() | Notification() | DeadLetter():
            return None
        case LatestPayment() | OperationEvent() | ReviewEvent():
            return None
        case Rule() | FraudRule() | ListEntry() | FraudListing():
            return None
        case AccountChanged() | AccountErased() | Alert() | Tombstone():
            return None
        case _:
            assert_never(data)


def _kind_of_refund(refund: Refund) -> str | None:
    """The payer is told once the money is on its way.

    Not while it is pending: that would promise what may not come. Not when it failed: nothing has changed for the
    payer, who was told of no refund; the merchant, who was told, tries again or pays back another way.
    """
    match refund.status:
        case "succeeded":
            return "refund"
        case "pending" | "failed":
            return None
        case _:
            assert_never(refund.status)


def channels_for(recipient: Recipient, kind: str) -> list[Channel]:
    """The channels for this kind of event, each once, in the recipient's order."""
    return list(dict.fromkeys(recipient.channels.get(kind, [])))


def address_of(recipient: Recipient, channel: Channel) -> str | None:
    """The recipient's address on a channel; None where there is none."""
    match channel:
        case "email":
            return recipient.email
        case "sms":
            return recipient.phone
        case "webhook":
            return None
        case _:
            assert_never(channel)


def zone_of(recipient: Recipient) -> tzinfo:
    """The recipient's time zone; UTC where its name is unknown."""
    try:
        return ZoneInfo(recipient.time_zone)
    except (ValueError, OSError, LookupError):  # no such zone, or a name that is no valid file name
        return UTC


def is_quiet(recipient: Recipient, moment: datetime) -> bool:
    """Whether `moment` lies in the recipient's quiet hours, in their time zone."""
    hours = recipient.quiet_hours
    return hours is not None and _within(hours, moment.astimezone(zone_of(recipient)).time())


def quiet_for(recipient: Recipient, moment: datetime, at_most: timedelta) -> timedelta:
    """How long it stays quiet from `moment` on, `at_most` so long; zero where it is not quiet.

    Looked up minute by minute, for summer time may begin or end in the quiet hours.
    """
    end = moment
    while is_quiet(recipient, end):
        end = end.replace(second=0, microsecond=0) + timedelta(minutes=1)
        if end - moment >= at_most:
            return at_most
    return end - moment


def _within(hours: QuietHours, clock: time) -> bool:
    """Quiet hours may go over midnight; equal ends are no quiet hours."""
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    if start <= end:
        return start <= clock < end
    return clock >= start or clock < end
