"""Events of `controls.v1`: the fraud rules as analysts set them."""

from datetime import datetime
from typing import Literal

import msgspec

from schemas.risk import Outcome


class Rule(msgspec.Struct, frozen=True):
    """`control.rule`: where `feature` is at or above `threshold`, the outcome is at least `outcome`."""

    id: str
    feature: str
    threshold: float
    outcome: Outcome
    reason: str
    enabled: bool
    recorded_at: datetime


class ListEntry(msgspec.Struct, frozen=True):
    """`control.list_entry`: an instrument or merchant that is always blocked, or always allowed."""

    id: str
    list: Literal["block", "allow"]
    kind: Literal["instrument", "merchant"]
    value: str
    reason: str
    expires_at: datetime | None
    recorded_at: datetime
