"""What the fraud flow says, learns and obeys: verdicts on `risk.v1`, labels on `labels.v1`, rules and lists on
`controls.v1`."""

from datetime import datetime
from typing import Literal, get_args

import msgspec

Outcome = Literal["allow", "flag", "review", "block"]
Source = Literal["model", "rules", "stand_in"]
LabelValue = Literal["fraud", "good"]
Hold = Literal["authorized", "unsent"]  # of a review: the issuer reserves the money first, or is not asked yet
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)  # in rising order of severity


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """Inputs of the fraud flow that came one after the other from one partition (`place`, such as `labels.v1/3`).

    `offset` is that of the first, `count` how many of the partition's inputs it were; events from which nothing is
    learned are none.
    """

    place: str
    offset: int
    count: int


class Intake(msgspec.Struct, frozen=True):
    """When the fraud flow took a payment in, so that all can be fed again in the same order.

    `position` counts all inputs: payments, what became of them, labels. `since` are those that came after the
    verdict before this one, `lost` how many stretches were too many to tell. A `run` is the life of one process;
    it went on from the payment that `resumed_run` took in at `resumed_at` (empty and 0: from nothing).
    """

    run: str
    position: int
    resumed_run: str
    resumed_at: int
    since: list[Stretch]
    lost: int = 0


class Counterfactual(msgspec.Struct, frozen=True):
    """An amount with which a held or blocked payment would have passed, and not with one minor unit more.

    `amount` is in minor units of `currency`, the payment's.
    """

    amount: int
    currency: str


class Verdict(msgspec.Struct, frozen=True):
    """`risk.verdict`: one judgement of one payment. A repeat of the flow carries the same event id.

    `score` is the model's probability of fraud, 0 to 1 (null: the model had nothing to say).
    `features` are the numbers it was made from; a label carries them back. `flow_sequence` counts the
    verdicts of one run of the flow; `input_offset` is where in its partition of `payments.v1` the payment stood.
    `latency_ms` is from the input's `recorded_at` to this verdict. `hold` is that of a review. `listed` is the
    id of the list entry that decided. `intake` is null in verdicts of releases before contract 1.2.0. `rules_met`:
    the ids of the live rules that it meets, the most severe first; `shadow_met`: of those only tried.
    `score_live`: whether rules see the score; null where a fault kept them from being looked at, and in older
    verdicts.
    `counterfactual`: with what it would have passed, where it is held or blocked and such an amount is known.
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
    hold: Hold = "authorized"
    listed: str | None = None
    intake: Intake | None = None
    rules_met: list[str] = []
    shadow_met: list[str] = []
    score_live: bool | None = None
    counterfactual: Counterfactual | None = None


class Label(msgspec.Struct, frozen=True):
    """`label.recorded`: a person, a dispute or a review says what a payment was.

    `features` and `score` are those of its verdict; null where the stand-in judged and no verdict came
    late: such a label is counted, not learned. `occurred_at` is the payment's, `recorded_at` the label's.
    `customer`, `bin` and the hashes are those of the payment; null in labels of before they were told.
    """

    payment: str
    instrument: str
    merchant: str
    label: LabelValue
    source: str
    amount: int
    currency: str
    features: dict[str, float] | None
    score: float | None
    model: str | None
    occurred_at: datetime
    recorded_at: datetime
    customer: str | None = None
    bin: str | None = None
    ip_hash: str | None = None
    ip_network_hash: str | None = None
    device_hash: str | None = None
    email_domain_hash: str | None = None


class Rule(msgspec.Struct, frozen=True):
    """`control.rule`: where `feature` is at or above `threshold`, the outcome is at least `outcome`.

    `hold` says how a rule of outcome `review` holds a payment.
    """

    id: str
    feature: str
    threshold: float
    outcome: Outcome
    reason: str
    enabled: bool
    recorded_at: datetime
    hold: Hold = "authorized"


class ListEntry(msgspec.Struct, frozen=True):
    """`control.list_entry`: an instrument or merchant that is always blocked, or always allowed.

    Written by releases before 1.2.0, and obeyed as ever; now `control.listing` is.
    """

    id: str
    list: Literal["block", "allow"]
    kind: Literal["instrument", "merchant"]
    value: str
    reason: str
    expires_at: datetime | None
    recorded_at: datetime
