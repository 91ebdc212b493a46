"""The messages of one event: each channel the recipient wants gets its message once, whatever is repeated."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal, assert_never

import msgspec

from connectors.delivery import DeliveryRefused, TryLater
from connectors.mail import Mail, Mailer
from connectors.sms import Texter
from flows.notifications.message import ToldEvent, render_message
from flows.notifications.preferences import address_of, channels_for, is_quiet, kind_of, mask
from flows.notifications.recipients import Recipients
from flows.notifications.sent_log import SentLog
from schemas.events import Event, derived_id, new_event
from schemas.notifications import Channel, Notification, Recipient
from schemas.times import now

SOURCE = "/flows/notifications"


class Delivery(msgspec.Struct, frozen=True):
    """One message to deliver. `message_id` is also the id of the event that records its outcome."""

    event: Event
    data: ToldEvent
    kind: str
    channel: Channel
    message_id: str
    recipient: Recipient


Send = Callable[[Delivery, str, datetime | None], Awaitable[None]]  # address, time of the first try


class Notifier:
    """Sends the messages of events. Belongs to the event loop that made it."""

    def __init__(
        self,
        recipients: Recipients,
        mailer: Mailer,
        texter: Texter,
        sent_log: SentLog,
        age_max: timedelta,
    ) -> None:
        """Messages of events that were recorded more than `age_max` ago are suppressed."""
        self._recipients, self._mailer, self._texter = recipients, mailer, texter
        self._sent_log, self._age_max = sent_log, age_max

    async def notify(self, event: Event, last_try: bool = False) -> list[Event]:
        """Send the messages of a `transaction_completed` or `refund.succeeded` event; of others there are none.

        Returns the `notification.recorded` event of each channel, none where the recipient wants no message.
        Raises `TryLater` where a channel could not be reached (on the last try that is recorded as failed) and
        `GatewayAway`. A repeated call sends only what has no outcome yet, and returns the same events.
        """
        data, kind = event.data, kind_of(event.data)
        if kind is None or not isinstance(data, ToldEvent):
            return []
        recipient = await self._recipients.ask(data.payment.customer)
        if recipient is None:
            return []
        recorded: list[Event] = []
        waiting: list[TryLater] = []
        for channel in channels_for(recipient, kind):
            message_id = derived_id(event.id, f"notification.{channel}")
            delivery = Delivery(event, data, kind, channel, message_id, recipient)
            try:
                recorded.append(await self._deliver_once(delivery, last_try))
            except TryLater as error:
                waiting.append(error)
        if waiting:
            raise waiting[0]
        return recorded

    async def close(self) -> None:
        """Close all connections and the log."""
        await self._mailer.close()
        await self._texter.close()
        await self._recipients.close()
        self._sent_log.close()

    async def _deliver_once(self, delivery: Delivery, last_try: bool) -> Event:
        """The event that records the outcome, from the log where the message already has one."""
        notification = self._sent_log.outcome(delivery.message_id)
        if notification is None:
            notification = await self._deliver(delivery, last_try)
            self._sent_log.record(delivery.message_id, notification)
        recorded = new_event(
            "notification.recorded",
            SOURCE,
            delivery.data.payment.id,
            notification,
            notification.recorded_at,
            delivery.message_id,
        )
        return msgspec.structs.replace(recorded, traceparent=delivery.event.traceparent)

    async def _deliver(self, delivery: Delivery, last_try: bool) -> Notification:
        address = address_of(delivery.recipient, delivery.channel)
        send = self._sender(delivery.channel)
        reason = self._suppressed(delivery, address)
        if send is None or address is None or reason:
            return _notification(delivery, address, "suppressed", reason)
        first_try_at = self._sent_log.begin(delivery.message_id, now())
        try:
            await send(delivery, address, first_try_at)
        except DeliveryRefused as error:
            return _notification(delivery, address, "failed", error.reason)
        except TryLater as error:
            if last_try:
                return _notification(delivery, address, "failed", error.reason)
            raise
        return _notification(delivery, address, "delivered", None)

    def _suppressed(self, delivery: Delivery, address: str | None) -> str | None:
        """Why no message is sent; None where one is."""
        if self._sender(delivery.channel) is None:
            return "not_available"
        if address is None:
            return "no_address"
        if now() - delivery.data.recorded_at > self._age_max:
            return "too_old"
        return "quiet_hours" if is_quiet(delivery.recipient, now()) else None

    def _sender(self, channel: Channel) -> Send | None:
        """How a message is sent on a channel; None where it cannot be yet."""
        match channel:
            case "email":
                return self._mail
            case "sms":
                return self._text
            case "webhook":
                return None
            case _:
                assert_never(channel)

    async def _mail(self, delivery: Delivery, address: str, first_try_at: datetime | None) -> None:
        """Send a mail. A mail that may have gone out is sent again with its Message-ID: SMTP cannot be asked."""
        message = render_message(delivery.data, delivery.recipient)
        headers = {"X-Sluice-Event": delivery.event.id, "X-Sluice-Sequence": str(delivery.data.sequence)}
        await self._mailer.send(
            Mail(address, message.subject, message.text, message.html, delivery.message_id, headers)
        )

    async def _text(self, delivery: Delivery, address: str, first_try_at: datetime | None) -> None:
        """Send a short message, unless the provider has it from an earlier try whose answer was lost."""
        message = render_message(delivery.data, delivery.recipient)
        if first_try_at is None or await self._texter.find(address, message.short, first_try_at) is None:
            await self._texter.send(address, message.short)


def _notification(
    delivery: Delivery,
    address: str | None,
    outcome: Literal["delivered", "failed", "suppressed"],
    reason: str | None,
) -> Notification:
    return Notification(
        payment=delivery.data.payment.id,
        event=delivery.event.id,
        sequence=delivery.data.sequence,
        kind=delivery.kind,
        channel=delivery.channel,
        address=mask(address or ""),
        outcome=outcome,
        reason=reason,
        message_id=delivery.message_id,
        recorded_at=now(),
    )
