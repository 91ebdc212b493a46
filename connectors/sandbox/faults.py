"""The faults that can be set, and which of them the next call meets. They are in memory: a restart has none."""

import asyncio
from typing import Any, Literal

import msgspec

from connectors.sandbox.http_shapes import RequestKind
from schemas.payments import ProcessorName

FaultName = Literal[
    "refuse",
    "silence",
    "apply_then_silence",
    "apply_then_reset",
    "apply_then_500",
    "slow",
    "half_body",
    "garbage",
]
FaultTarget = Literal["authorize", "sale", "capture", "void", "reversal", "refund", "order", "lookup"]

TIMED = ("refuse", "silence", "apply_then_silence", "slow")
SECONDS_MAX = 86_400
INCLUDED = (("authorize", "sale"), ("void", "reversal"))
MONEY = ("authorize", "sale", "capture", "void", "reversal", "refund")


class BadFault(ValueError):
    """A fault that cannot be set; `errors` names each wrong field."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("bad fault")
        self.errors = errors


class Fault(msgspec.Struct, forbid_unknown_fields=True, eq=False):
    """A fault of one vendor.

    `operation`: which calls meet it; `authorize` includes a sale and `void` a reversal, by which Visa voids an
    authorization; None means every call that moves money.
    `seconds`: how long the port stays closed (`refuse`), the silence lasts, or the answer takes (`slow`).
    `times`: how many calls meet it. A closed port cannot count connections, so `refuse` ignores it.
    """

    processor: ProcessorName
    fault: FaultName
    operation: FaultTarget | None = None
    seconds: float | None = None
    times: int | None = None

    def meets(self, processor: ProcessorName, kind: RequestKind) -> bool:
        """Whether a call of this kind meets the fault."""
        if self.processor != processor or self.fault == "refuse" or kind is None:
            return False
        if self.operation is None:
            return kind in MONEY
        return kind == self.operation or (self.operation, kind) in INCLUDED


class Faults:
    """The faults in force, in the order they were set; the first that fits is met."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.cleared = asyncio.Event()

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._faults.append(fault)

    def remove(self, fault: Fault) -> None:
        """Take one fault out of force, if it still is in force."""
        if fault in self._faults:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Take all faults out of force, and release the calls they hold."""
        self._faults.clear()
        self.cleared.set()
        self.cleared = asyncio.Event()

    def all(self) -> list[Fault]:
        """The faults in force."""
        return list(self._faults)

    def meet(self, processor: ProcessorName, kind: RequestKind) -> Fault | None:
        """The fault that this call meets, if any; counts it against `times`."""
        fault = next((fault for fault in self._faults if fault.meets(processor, kind)), None)
        if fault and fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self.remove(fault)
        return fault


def parse_fault(body: bytes) -> Fault:
    """The fault in a request body. Raises `BadFault`."""
    try:
        fault = msgspec.json.decode(body, type=Fault)
    except (msgspec.MsgspecError, RecursionError) as error:
        message, _, path = str(error).partition(" - at `$.")
        raise BadFault([{"path": path.rstrip("`"), "message": message}]) from None
    if errors := [{"path": path, "message": message} for path, message in _wrong(fault).items()]:
        raise BadFault(errors)
    if fault.fault == "refuse":
        fault.times = None
    return fault


def _wrong(fault: Fault) -> dict[str, Any]:
    wrong = {}
    if fault.fault == "refuse" and fault.operation is not None:
        wrong["operation"] = "a closed port refuses every operation"
    if fault.fault == "slow" and fault.seconds is None:
        wrong["seconds"] = "slow needs to know how slow"
    if fault.seconds is not None and fault.fault not in TIMED:
        wrong["seconds"] = f"means something to {', '.join(TIMED)} only"
    if fault.seconds is not None and not 0 < fault.seconds <= SECONDS_MAX:
        wrong["seconds"] = f"must be above 0 and at most {SECONDS_MAX}"
    if fault.times is not None and fault.times < 1:
        wrong["times"] = "must be at least 1"
    return wrong
