"""What a payment can be, what it can become, the three words clients see, and why one did not go through."""

from typing import Literal, get_args

PaymentState = Literal[
    "processing",
    "requires_action",
    "in_review",
    "authorized",
    "partially_captured",
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
    # Beyond these two: where nobody had asked the issuer, what an authorization can become.
    "in_review": frozenset({"authorized", "voided", "captured", "declined", "failed", "unknown"}),
    # `declined`: an automatic capture was refused, and the hold released.
    "authorized": frozenset({"partially_captured", "captured", "voided", "declined"}),
    # The rest is still held: another part, the last one, or the release of the rest.
    "partially_captured": frozenset({"partially_captured", "captured"}),
    "captured": frozenset(),
    # An approval that arrives after one of these is booked and voided; the state stays.
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
    "partially_captured": "succeeded",
    "captured": "succeeded",
    "declined": "failed",
    "failed": "failed",
    "voided": "failed",
}


# One vocabulary for all processors.
DeclineCode = Literal[
    "generic_decline",
    "insufficient_funds",
    "limit_exceeded",
    "expired_card",
    "incorrect_cvc",
    "incorrect_address",
    "invalid_account",
    "invalid_amount",
    "lost_or_stolen",
    "suspected_fraud",
    "call_issuer",
    "issuer_unavailable",
    "authentication_required",
    "duplicate",
    "blocked",  # by our own fraud gate; a customer reads `generic_decline`
    "processor_unavailable",  # of `failed`: every processor we could ask refused the connection or said no
    "interrupted",  # of `failed`: nothing was sent before the gateway stopped, and nobody came back
]

DECLINE_CODES: tuple[DeclineCode, ...] = get_args(DeclineCode)


def can_become(before: PaymentState, after: PaymentState) -> bool:
    """Whether the table allows `before` → `after`."""
    return after in TRANSITIONS[before]
