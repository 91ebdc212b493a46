"""A payment on its way through the flow, and the verdict it ends with."""

from datetime import datetime
from math import isfinite

import msgspec

from flows.fraud.facts import Facts, Features
from flows.fraud.rules import SCORE, Controls
from schemas.fraud import Outcome, Source, Verdict
from schemas.payments import Payment

SCORING_ERROR = "scoring_error"
AHEAD = "occurred_at_ahead"


class InFlight(msgspec.Struct):
    """A payment in flight and what was found out so far. `event`, `partition`, `offset`: where it came in.

    `fault`: why it cannot be scored. An error is never an allow. `live`: the model has learned enough to decide.
    """

    event: str
    traceparent: str | None
    payment: Payment
    recorded_at: datetime
    partition: int
    offset: int
    facts: Facts | None = None
    features: Features = {}
    score: float | None = None
    fault: str | None = None
    live: bool = False
    model: str = ""
    drivers: list[str] = []
    sequence: int = 0

    @property
    def instrument(self) -> str:
        """What pays."""
        return self.payment.stream_key

    @property
    def merchant(self) -> str:
        """Who sells."""
        return self.payment.merchant


class Decision(msgspec.Struct, frozen=True):
    """An outcome, who decided it and why."""

    outcome: Outcome
    source: Source
    reasons: list[str]


def decide(judged: InFlight, controls: Controls) -> Decision:
    """Lists come first, then a fault, then the most severe of the rules that are met.

    A list entry is named by its id: its reason is free text, and this goes on a topic.
    """
    entry = controls.listed(judged.instrument, judged.merchant, judged.recorded_at)
    if entry is not None:
        return Decision(entry.list, "rules", [f"{entry.list}_list", entry.id])
    if judged.fault is not None:
        return Decision("review", "rules", [judged.fault])
    numbers = judged.features
    if judged.live and judged.score is not None:
        numbers = numbers | {SCORE: judged.score}
    met = controls.met(numbers)
    if not met:
        return Decision("allow", "model" if judged.live else "rules", [])
    reasons = dict.fromkeys(rule.reason for rule in met if rule.outcome == met[0].outcome)
    by_model = any(rule.feature == SCORE and rule.outcome == met[0].outcome for rule in met)
    drivers = judged.drivers if by_model else []
    return Decision(met[0].outcome, "model" if by_model else "rules", [*reasons, *drivers])


def verdict(judged: InFlight, controls: Controls, moment: datetime) -> Verdict:
    """The verdict at `moment`. Numbers that JSON cannot hold are left out."""
    decision = decide(judged, controls)
    return Verdict(
        payment=judged.payment.id,
        instrument=judged.instrument,
        merchant=judged.merchant,
        outcome=decision.outcome,
        source=decision.source,
        score=judged.score,
        reasons=decision.reasons,
        features={name: value for name, value in judged.features.items() if isfinite(value)},
        model=judged.model,
        rules=controls.version,
        flow_sequence=judged.sequence,
        input_partition=judged.partition,
        input_offset=judged.offset,
        latency_ms=(moment - judged.recorded_at).total_seconds() * 1000,
        occurred_at=judged.payment.occurred_at,
        recorded_at=moment,
    )
