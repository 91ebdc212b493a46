"""Payments, operations and refunds as the tests of pure code need them, without books or clock."""

from typing import Any

from connectors.processors.contract import Answer, CallResult
from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.books.refunds import RefundRow
from gateway.euro_rates import EuroRates
from gateway.payments.changes import Change
from gateway.payments.effects import Situation
from gateway.payments.transitions import settle
from gateway.policy import Policy
from gateway.prints import Prints
from schemas.operations import OperationKind
from schemas.states import PaymentState

POLICY = Policy("wrk", 15, 10, 60, (100, 500), 1000, 1, 1, 1, 1, EuroRates(), Prints(bytes(32)))
SENT_AT = 1000
NOW = 2000


def payment(state: PaymentState = "processing", **given: Any) -> PaymentRow:
    """A payment of 500 by card, after its first attempt."""
    usual: dict[str, Any] = {
        "id": "pay",
        "capture": "automatic",
        "attempts": 1,
        "sequence": 3,
        "recovery_point": "judged",
        "processor": "visa",
        "updated_at": 0,
    }
    return PaymentRow(
        stream_key="fp",
        customer_id="acc_c",
        merchant_id="acc_m",
        amount=500,
        currency="EUR",
        method="card",
        brand="visa",
        occurred_at=0,
        created_at=0,
        state=state,
        **(usual | given),
    )


def operation(kind: OperationKind, **given: Any) -> Operation:
    """An operation at Visa that was sent and not answered; one of a refund belongs to `refund`'s."""
    usual: dict[str, Any] = {
        "id": "op",
        "payment_id": "pay",
        "attempt_id": "att",
        "processor": "visa",
        "amount": 500,
        "parent_id": "op_before",
        "parent_reference": "ref_before",
        "refund_id": "ref" if kind == "refund" else None,
    }
    return Operation(
        kind=kind,
        currency="EUR",
        created_at=SENT_AT,
        **(usual | given),
    )


def refund(amount: int = 500, **given: Any) -> RefundRow:
    """A refund that is asked for, of which nothing was given back."""
    return RefundRow(
        id="ref",
        payment_id="pay",
        customer_id="acc_c",
        merchant_id="acc_m",
        currency="EUR",
        created_at=0,
        amount=amount,
        updated_at=0,
        **given,
    )


def answered(
    kind: OperationKind,
    result: CallResult,
    state: PaymentState,
    *,
    said: dict[str, Any] | None = None,
    **given: Any,
) -> Change:
    """What an answer to an operation makes of a payment in `state`.

    `given`: fields of `Situation`, of the payment or of the operation.
    """
    situation: dict[str, Any] = {name: given.pop(name) for name in Situation.__struct_fields__ if name in given}
    of_payment = {name: given.pop(name) for name in PaymentRow.__struct_fields__ if name in given}
    rows = {"payment": payment(state, **of_payment), "operation": operation(kind, **given)}
    if kind == "refund":
        rows["refund"] = refund()
    change = settle(Situation(**(rows | situation)), Answer(result, **(said or {})), POLICY, NOW)
    assert change is not None
    return change
