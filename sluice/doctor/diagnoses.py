"""What `sluice doctor` finds: a line for each check, with a remedy where something is wrong."""

from collections.abc import Callable
from typing import Literal

import msgspec

State = Literal["ok", "unknown", "warning", "failed"]


class Diagnosis(msgspec.Struct, frozen=True):
    """The result of a check. `unknown`: what it asks does not run. `remedy`: empty where nothing is to be done."""

    check: str
    state: State
    says: str
    remedy: str = ""


Check = Callable[[], list[Diagnosis]]


def ok(check: str, says: str) -> Diagnosis:
    """Nothing is to be done."""
    return Diagnosis(check, "ok", says)


def unknown(check: str, says: str) -> Diagnosis:
    """It could not be found out, and need not be now."""
    return Diagnosis(check, "unknown", says)


def warning(check: str, says: str, remedy: str) -> Diagnosis:
    """It works, and something is to be done before long."""
    return Diagnosis(check, "warning", says, remedy)


def failed(check: str, says: str, remedy: str) -> Diagnosis:
    """It cannot work so."""
    return Diagnosis(check, "failed", says, remedy)
