"""Events of `notifications.v1`: what we told whom, and what became of it."""

from datetime import datetime
from typing import Literal

import msgspec

Channel = Literal["email", "sms", "webhook"]


class Notification(msgspec.Struct, frozen=True):
    """`notification.recorded`: one message of one channel, delivered, failed or suppressed, and why.

    `address` is masked (`c…@example.com`, `+1…06`). `event` is the id of the event that caused it and
    `sequence` its number in the payment, so the state a message spoke of can be found again.
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
