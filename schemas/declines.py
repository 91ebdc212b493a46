"""Why a payment did not go through, in one vocabulary for all processors."""

from typing import Literal, get_args

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
