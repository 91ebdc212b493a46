"""What issuers declined of one key, by reason, fading over a day."""

from math import exp
from typing import Literal, assert_never

import msgspec

from flows.fraud.inputs import DAY, OutcomeInput
from schemas.states import DeclineCode

NONE_FAILED = (0.0, 0.0, 0.0, 0.0)

FailureReason = Literal["details", "funds", "stolen", "other"]


class Failures(msgspec.Struct, array_like=True, gc=False):
    """Fading counts at `at` (s since 1970 UTC). The order of the fields is part of the recovery state."""

    at: float = 0
    all: float = 0
    details: float = 0
    funds: float = 0
    stolen: float = 0

    def add(self, outcome: OutcomeInput) -> None:
        """Count a payment that its issuer declined."""
        if outcome.at > self.at:
            _, self.details, self.funds, self.stolen = values = self.values(outcome.at)
            self.all, self.at = values[0], outcome.at
        self.all += 1
        match reason_of(outcome.decline_code):
            case "details":
                self.details += 1
            case "funds":
                self.funds += 1
            case "stolen":
                self.stolen += 1
            case "other":
                pass

    def values(self, at: float) -> tuple[float, float, float, float]:
        """The counts as they have faded by `at`."""
        fading = exp(min(self.at - at, 0.0) / DAY)
        return self.all * fading, self.details * fading, self.funds * fading, self.stolen * fading


def reason_of(code: DeclineCode | None) -> FailureReason:
    """What a decline says of the payer: not to know the card, to lack the money, or to have what was stolen."""
    match code:
        case (
            "expired_card" | "incorrect_cvc" | "incorrect_address" | "invalid_account" | "authentication_required"
        ):
            return "details"
        case "insufficient_funds" | "limit_exceeded":
            return "funds"
        case "lost_or_stolen" | "suspected_fraud" | "call_issuer":
            return "stolen"
        case (
            "generic_decline"
            | "invalid_amount"
            | "issuer_unavailable"
            | "duplicate"
            | "blocked"
            | "processor_unavailable"
            | "interrupted"
            | None
        ):
            return "other"
        case _:
            assert_never(code)
