"""Events of `operations.v1`: what each call to a processor came to, and what it moved in the ledger."""

from datetime import datetime
from typing import Literal

import msgspec

from schemas.payments import ProcessorName
from schemas.states import DeclineCode

# `order` opens an order that its payer approves at the processor: it moves no money, but it is a call with an id.
OperationKind = Literal["order", "authorize", "sale", "capture", "void", "refund", "reversal"]
OperationStatus = Literal["sending", "succeeded", "declined", "failed", "unknown"]


class LedgerEntry(msgspec.Struct, frozen=True):
    """`amount` minor units of the operation's currency, moved on a ledger account; those of one event add up to 0.

    `hold:` accounts carry what is reserved and not yet taken; `due:` what a processor owes us (positive) and what
    we owe a merchant (negative): `hold:visa`, `due:acc_…`.
    """

    account: str
    amount: int


class ProcessorOperation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call to one processor. `amount` in minor units of `currency`; times UTC.

    `attempt` is the reference that the processor's records carry, `attempt_number` counts those of the payment
    from 1. `parent`: the operation this one follows or takes back. Of a capture, `part` counts those of its
    authorization from 1, and the `final` one lets the rest go. `replaces`: the operation that was given up and
    that this one does anew. `requested_by`: the account that asked for it; absent where it follows by itself.
    `processor_reference` is the processor's own id, `detail` its own words, without card data. `milliseconds`:
    from the call until its end was known; absent while it is not.
    """

    id: str
    payment: str
    attempt: str
    attempt_number: int
    merchant: str
    processor: ProcessorName
    kind: OperationKind
    status: OperationStatus
    amount: int
    currency: str
    created_at: datetime
    finished_at: datetime | None = None
    milliseconds: float | None = None
    parent: str | None = None
    part: int = 1
    final: bool = True
    refund: str | None = None
    replaces: str | None = None
    requested_by: str | None = None
    processor_reference: str | None = None
    decline_code: DeclineCode | None = None
    detail: str = ""


class OperationEvent(msgspec.Struct, frozen=True):
    """`operation.*`: the operation came to `operation.status`, and moved `entries` in the ledger by that.

    `sequence` counts the operation's events from 1 without gaps: an `unknown` one is found later, and a reversal
    may be sent again.
    """

    sequence: int
    recorded_at: datetime
    operation: ProcessorOperation
    entries: list[LedgerEntry]
