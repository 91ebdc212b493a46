"""One message to one recipient by one channel: whether it is sent, how, and what is recorded of it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, assert_never

import msgspec
from prometheus_client import REGISTRY

from connectors.mail import Mail, Mailer
from connectors.records import Out, out
from connectors.sms import Texter
from flows.metrics import MessageMetrics
from flows.notifications.message import ToldEvent, render_message
from flows.notifications.preferences import address_of, channels_for, kind_of
from schemas.events import Event, derived_id, new_event
from schemas.notifications import Channel, Notification, Recipient, mask
from schemas.times import as_utc, now
from schemas.topics import NOTIFICATIONS

SOURCE = "/flows/notifications"
METRICS = MessageMetrics(REGISTRY)

Outcome = Literal["delivered", "failed", "suppressed"]


class Delivery(msgspec.Struct, frozen=True):
    """One message to deliver, to someone who wants it. `kind` is what they call its event in their preferences."""

    event: Event
    data: ToldEvent
    kind: str
    channel: Channel
    recipient: Recipient

    def address(self) -> str | None:
        """Where it goes; None where the recipient has no address for the channel."""
        return address_of(self.recipient, self.channel)


class Deliverer:
    """Sends messages. Belongs to the event loop that made it."""

    def __init__(self, mailer: Mailer, texter: Texter) -> None:
        self._mailer, self._texter = mailer, texter

    async def send(self, delivery: Delivery, has_begun: bool, begin: Callable[[], None]) -> None:
        """Send a message that is not `suppressed`; `has_begun`: whether it may have been handed over before.

        Calls `begin` before it is handed over to a channel that can be asked later. Raises `DeliveryRefused`,
        `TryLater` and `ServerAway`.
        """
        address = delivery.address()
        assert address is not None
        match delivery.channel:
            case "email":
                await self._mail(delivery, address)
            case "sms":
                await self._text(delivery, address, has_begun, begin)
            case "webhook":
                raise AssertionError("suppressed: not available")
            case _:
                assert_never(delivery.channel)

    async def close(self) -> None:
        """Close the connections."""
        await self._mailer.close()
        await self._texter.close()

    async def _mail(self, delivery: Delivery, address: str) -> None:
        """Send a mail. A mail that may have gone out is sent again with its Message-ID: SMTP cannot be asked."""
        message = render_message(delivery.data, delivery.recipient)
        headers = {"X-Sluice-Event": delivery.event.id, "X-Sluice-Sequence": str(delivery.data.sequence)}
        message_id = message_id_of(delivery.event, delivery.channel)
        await self._mailer.send(Mail(address, message.subject, message.text, message.html, message_id, headers))

    async def _text(self, delivery: Delivery, address: str, has_begun: bool, begin: Callable[[], None]) -> None:
        """Send a short message, unless the provider has it from an earlier try whose answer was lost."""
        text = render_message(delivery.data, delivery.recipient).short
        if not has_begun:
            begin()
        if not has_begun or await self._texter.find(address, text) is None:
            await self._texter.send(address, text)


def deliveries(event: Event, recipient: Recipient | None) -> list[Delivery]:
    """The messages that a recipient wants of an event; there are none for someone who is not known."""
    data, kind = event.data, kind_of(event.data)
    if kind is None or recipient is None or not isinstance(data, ToldEvent):
        return []
    return [Delivery(event, data, kind, channel, recipient) for channel in channels_for(recipient, kind)]


def suppressed(delivery: Delivery, moment: datetime, age_max: timedelta) -> str | None:
    """Why no message is sent; None where one is."""
    if delivery.channel == "webhook":
        return "not_available"
    if delivery.address() is None:
        return "not_confirmed" if delivery.channel in delivery.recipient.unconfirmed else "no_address"
    return "too_old" if moment - as_utc(delivery.data.recorded_at) > age_max else None


def message_id_of(event: Event, channel: Channel) -> str:
    """The id of the message of an event by a channel, and of the `notification.recorded` event about it."""
    return derived_id(event.id, f"notification.{channel}")


def record_of(delivery: Delivery, outcome: Outcome, reason: str | None = None) -> Out:
    """The record of what became of a message."""
    return record(delivery.event, delivery.channel, mask(delivery.address() or ""), outcome, reason)


def record(event: Event, channel: Channel, address: str, outcome: Outcome, reason: str | None) -> Out:
    """The record of what became of an event's message by a channel; `address` is masked."""
    data, kind = event.data, kind_of(event.data)
    assert kind is not None
    assert isinstance(data, ToldEvent)
    message_id = message_id_of(event, channel)
    METRICS.messages.labels(channel, outcome).inc()
    notification = Notification(
        payment=data.payment.id,
        event=event.id,
        sequence=data.sequence,
        kind=kind,
        channel=channel,
        address=address,
        outcome=outcome,
        reason=reason,
        message_id=message_id,
        recorded_at=now(),
        caused_at=data.recorded_at,
    )
    told = new_event(
        "notification.recorded", SOURCE, event.subject, notification, notification.recorded_at, message_id
    )
    return out(NOTIFICATIONS.name, event.subject, msgspec.structs.replace(told, traceparent=event.traceparent))
