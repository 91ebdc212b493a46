"""What needs a person, on `alerts.v1`: a limit was met, or the fraud flow learns from what cannot be right."""

from datetime import datetime

import msgspec

# Kinds there are now; `Alert.kind` is a text, so that another one breaks no reader.
LABEL_QUOTA = "label_quota"  # a source, or a merchant, has more labels in a day than are taken
LABEL_BURST = "label_burst"  # unusually many labels say otherwise than the scores: further ones wait for a person
LABEL_DRIFT = "label_drift"  # what a source says of payments has changed, as far as the scores can tell
PRECISION_DROP = "precision_drop"  # the scores have become worse at what the labels say

ALERT_KINDS = (LABEL_QUOTA, LABEL_BURST, LABEL_DRIFT, PRECISION_DROP)


class Alert(msgspec.Struct, frozen=True):
    """`alert.raised`, `alert.over`: something that needs a person begins, or has ended.

    `kind` says what: `label_quota`, `label_burst`, `label_drift`, `precision_drop`; others may come. `subject` is
    what it is about: a label's source, a merchant's account; `model` for the model itself. `source` raised it:
    `gateway` or `fraud` today. `facts` are figures by name. `sequence` counts the events of one alert from 1.
    `occurred_at` is by the clock of what caused it, and so is `over_at`: null until it is over.
    """

    id: str
    sequence: int
    kind: str
    subject: str
    source: str
    facts: dict[str, float]
    occurred_at: datetime
    recorded_at: datetime
    over_at: datetime | None = None
