"""What the rules and lists made of a payment. It stands apart, as the payments of `scoring.py` carry it."""

import msgspec

from schemas.fraud import Hold, Outcome, Source


class RiskDecision(msgspec.Struct, frozen=True):
    """An outcome, what decided it and for which reasons; `hold` is that of a review.

    `listed`: the id of the list entry that decided; `rules_met` and `shadow_met`: of the rules that it meets;
    `version`: of the controls in force.
    """

    outcome: Outcome
    source: Source
    reasons: list[str]
    hold: Hold = "authorized"
    listed: str | None = None
    rules_met: list[str] = []
    shadow_met: list[str] = []
    version: str = ""
