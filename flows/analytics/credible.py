"""Events that can be read, and that nobody believes: whoever may write to a topic could write them.

Written, each would do more harm than one row: it would hold its place against every true event to come, make sums
overflow in which true ones are counted, or leave the ledger out of balance. They are set aside, as what nobody can
read is.
"""

from typing import assert_never

from schemas.accounts import AccountChanged
from schemas.events import Event
from schemas.money import AMOUNT_MAX
from schemas.operations import OperationEvent
from schemas.payments import Payment, PaymentEvent, RefundEvent
from schemas.reviews import ReviewEvent

# The highest sequence is what stands. Nothing comes to so many events, and what ends an account has a higher one.
SEQUENCE_MAX = 10**9

NO_SEQUENCE = "a sequence that no event has"
NO_AMOUNT = "an amount that nobody pays"
UNBALANCED = "entries that do not add up to 0"

Numbered = PaymentEvent | RefundEvent | OperationEvent | ReviewEvent | AccountChanged


def doubt(event: Event) -> str | None:
    """Why an event is not believed, without a word of what stands in it; None where it is."""
    data = event.data
    if not isinstance(data, Numbered):
        return None
    if not 1 <= data.sequence <= SEQUENCE_MAX:
        return NO_SEQUENCE
    if max(map(abs, _amounts(data)), default=0) > AMOUNT_MAX:
        return NO_AMOUNT
    if isinstance(data, OperationEvent) and sum(entry.amount for entry in data.entries) != 0:
        return UNBALANCED
    return None


def _amounts(data: Numbered) -> tuple[int, ...]:
    """The amounts in an event, in minor units."""
    match data:
        case PaymentEvent():
            return _of_payment(data.payment)
        case RefundEvent():
            return data.refund.amount, *_of_payment(data.payment)
        case OperationEvent():
            return data.operation.amount, *(entry.amount for entry in data.entries)
        case ReviewEvent():
            return (data.review.amount,)
        case AccountChanged():
            return ()
        case _:
            assert_never(data)


def _of_payment(payment: Payment) -> tuple[int, ...]:
    return payment.amount, payment.amount_captured, payment.amount_refunded, payment.amount_capturable
