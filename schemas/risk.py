"""Events of `risk.v1`: what the fraud flow thinks of a payment in flight."""

from datetime import datetime
from typing import Literal, get_args

import msgspec

Outcome = Literal["allow", "flag", "review", "block"]
Source = Literal["model", "rules", "stand_in"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)  # in rising order of severity


class Verdict(msgspec.Struct, frozen=True):
    """`risk.verdict`: one judgement of one payment. A repeat of the flow carries the same event id.

    `score` is the model's probability of fraud, 0 to 1 (null: the model had nothing to say).
    `features` are the numbers it was made from; a label carries them back. `flow_sequence` counts the
    verdicts of one run of the flow; `input_offset` is where in its partition of `payments.v1` the payment stood.
    `latency_ms` is from the input's `recorded_at` to this verdict.
    """

    payment: str
    instrument: str
    merchant: str
    outcome: Outcome
    source: Source
    score: float | None
    reasons: list[str]
    features: dict[str, float]
    model: str
    rules: str
    flow_sequence: int
    input_partition: int
    input_offset: int
    latency_ms: float
    occurred_at: datetime
    recorded_at: datetime
