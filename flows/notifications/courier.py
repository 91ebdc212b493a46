"""One event told to everyone who wants it: each channel once, whatever is repeated."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from connectors.delivery import DeliveryRefused, TryLater
from connectors.mail import Mail, Mailer
from connectors.sms import Texter
from flows.notifications.addresses import address_of, mask
from flows.notifications.effects import Effects
from flows.notifications.message import message_about
from flows.notifications.recipients import Recipients
from flows.notifications.wishes import channels_for, is_quiet
from schemas.events import Event, derived_id, new_event
from schemas.notifications import Channel, Notification, Recipient
from schemas.payments import TransactionCompleted
from schemas.times import now

KIND = "transaction_completed"
SOURCE = "/flows/notifications"


class Task(msgspec.Struct, frozen=True):
    """One message to send: `effect` is the id of the event its outcome becomes."""

    event: Event
    data: TransactionCompleted
    channel: Channel
    effect: str
    recipient: Recipient


Send = Callable[[Task, str, datetime | None], Awaitable[None]]


class Courier:
    """Tells events. Belongs to the event loop that made it."""

    def __init__(
        self, recipients: Recipients, mailer: Mailer, texter: Texter, effects: Effects, age_max: timedelta
    ) -> None:
        """`age_max`: what was recorded longer ago is suppressed."""
        self._recipients, self._mailer, self._texter = recipients, mailer, texter
        self._effects, self._age_max = effects, age_max
        self._send: dict[Channel, Send] = {"email": self._mail, "sms": self._text}

    async def tell(self, event: Event, last_try: bool = False) -> list[Event]:
        """Tell a `transaction_completed`; the `notification.recorded` of each channel, none where nobody wants it.

        Raises `TryLater` where a channel could not be reached yet (on the last try that is recorded as failed)
        and `GatewayAway`. Told again, it tells only what is not settled, and answers the same events.
        """
        data = event.data
        if not isinstance(data, TransactionCompleted):
            return []
        recipient = await self._recipients.ask(data.payment.customer)
        if recipient is None:
            return []
        recorded: list[Event] = []
        waiting: list[TryLater] = []
        for channel in channels_for(recipient, KIND):
            effect = derived_id(event.id, f"notification.{channel}")
            try:
                recorded.append(await self._settle(Task(event, data, channel, effect, recipient), last_try))
            except TryLater as error:
                waiting.append(error)
        if waiting:
            raise waiting[0]
        return recorded

    async def close(self) -> None:
        """Hang up everywhere."""
        await self._mailer.close()
        await self._texter.close()
        await self._recipients.close()
        self._effects.close()

    async def _settle(self, task: Task, last_try: bool) -> Event:
        notification = self._effects.settled(task.effect)
        if notification is None:
            notification = await self._deliver(task, last_try)
            self._effects.settle(task.effect, notification)
        event = task.event
        recorded = new_event(
            "notification.recorded",
            SOURCE,
            task.data.payment.id,
            notification,
            notification.recorded_at,
            task.effect,
        )
        return msgspec.structs.replace(recorded, traceparent=event.traceparent)

    async def _deliver(self, task: Task, last_try: bool) -> Notification:
        address = address_of(task.recipient, task.channel)
        reason = self._suppressed(task, address)
        if address is None or reason:
            return _outcome(task, address, "suppressed", reason)
        began = self._effects.begin(task.effect, now())
        try:
            await self._send[task.channel](task, address, began)
        except DeliveryRefused as error:
            return _outcome(task, address, "failed", error.reason)
        except TryLater as error:
            if last_try:
                return _outcome(task, address, "failed", error.reason)
            raise
        return _outcome(task, address, "delivered", None)

    def _suppressed(self, task: Task, address: str | None) -> str | None:
        """Why nothing is sent; None where something is."""
        if task.channel not in self._send:
            return "not_available"
        if address is None:
            return "no_address"
        if now() - task.data.recorded_at > self._age_max:
            return "too_old"
        return "quiet_hours" if is_quiet(task.recipient, now()) else None

    async def _mail(self, task: Task, address: str, began: datetime | None) -> None:
        """Send a mail. One that may have gone out goes again by the same Message-ID: SMTP cannot be asked."""
        message = message_about(task.data.payment, task.recipient)
        headers = {"X-Sluice-Event": task.event.id, "X-Sluice-Sequence": str(task.data.sequence)}
        await self._mailer.send(Mail(address, message.subject, message.text, message.html, task.effect, headers))

    async def _text(self, task: Task, address: str, began: datetime | None) -> None:
        """Send a short message, unless an earlier try got through without our hearing of it."""
        message = message_about(task.data.payment, task.recipient)
        if began is None or await self._texter.find(address, message.short, began) is None:
            await self._texter.send(address, message.short)


def _outcome(
    task: Task, address: str | None, outcome: Literal["delivered", "failed", "suppressed"], reason: str | None
) -> Notification:
    return Notification(
        payment=task.data.payment.id,
        event=task.event.id,
        sequence=task.data.sequence,
        kind=KIND,
        channel=task.channel,
        address=mask(address or ""),
        outcome=outcome,
        reason=reason,
        message_id=task.effect,
        recorded_at=now(),
    )
