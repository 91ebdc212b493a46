"""What a payment can be, what it can become, and the three words clients see."""

from typing import Literal, get_args

PaymentState = Literal[
    "processing",
    "requires_action",
    "in_review",
    "authorized",
    "captured",
    "voided",
    "declined",
    "failed",
    "unknown",
]
Status = Literal["pending", "succeeded", "failed"]

STATES: tuple[PaymentState, ...] = get_args(PaymentState)

TRANSITIONS: dict[PaymentState, frozenset[PaymentState]] = {
    "processing": frozenset(
        {"requires_action", "in_review", "authorized", "captured", "declined", "failed", "unknown", "voided"}
    ),
    "requires_action": frozenset({"processing", "declined", "failed", "voided"}),
    "in_review": frozenset({"authorized", "voided"}),
    "authorized": frozenset({"captured", "voided"}),
    "captured": frozenset(),
    # An approval that arrives after one of these is booked and voided; the state stays (design §3).
    "voided": frozenset(),
    "declined": frozenset(),
    "failed": frozenset(),
    "unknown": frozenset({"in_review", "authorized", "captured", "voided", "declined", "failed"}),
}

STATUS: dict[PaymentState, Status] = {
    "processing": "pending",
    "requires_action": "pending",
    "in_review": "pending",
    "authorized": "pending",
    "unknown": "pending",
    "captured": "succeeded",
    "declined": "failed",
    "failed": "failed",
    "voided": "failed",
}


def can_become(before: PaymentState, after: PaymentState) -> bool:
    """Whether the table allows `before` → `after`."""
    return after in TRANSITIONS[before]
