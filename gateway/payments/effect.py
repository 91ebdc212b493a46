"""What an answer, a verdict or a request does to a payment: how it leaves the row, and what is sent next."""

import msgspec

from gateway.books.operations import Operation, OperationKind
from gateway.books.payments import PaymentRow
from schemas.payments import ProcessorName


class Follow(msgspec.Struct, frozen=True):
    """The operation to open next. `attempt` None: it begins a new one.

    `of`: the operation it follows or takes back, `of_reference` the processor's name of that one. `amount` in
    minor units; 0: the whole payment.
    """

    kind: OperationKind
    processor: ProcessorName
    attempt: str | None = None
    of: str | None = None
    of_reference: str | None = None
    amount: int = 0


def following(kind: OperationKind, of: Operation, amount: int = 0) -> Follow:
    """An operation on an earlier one, which it follows or takes back."""
    return Follow(kind, of.processor, of.attempt, of.id, of.processor_reference, amount)


def anew(operation: Operation) -> Follow:
    """The same operation under a new id."""
    o = operation
    return Follow(o.kind, o.processor, o.attempt, o.of, o.of_reference, o.amount)


class Effect(msgspec.Struct, frozen=True):
    """The payment as an answer leaves it, and the operation that must follow."""

    payment: PaymentRow
    follow: Follow | None = None
