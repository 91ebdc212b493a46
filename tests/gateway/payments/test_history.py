"""What a payment went through, told from its operations alone."""

from typing import Any

import pytest

from gateway.books.operations import Operation, OperationKind
from gateway.payments.history import past_states
from schemas.states import PaymentState
from tests.gateway.payments.situations import operation, payment

START: list[tuple[PaymentState, PaymentState | None, int]] = [("processing", None, 0)]


def done(kind: OperationKind, at: int, **given: Any) -> Operation:
    return operation(kind, id=f"op_{at}", finished_at=at, **({"status": "succeeded"} | given))


@pytest.mark.parametrize(
    ("state", "given", "operations", "states"),
    [
        ("captured", {}, [done("sale", 5)], [("captured", 5)]),
        ("captured", {}, [done("capture", 9), done("authorize", 5)], [("authorized", 5), ("captured", 9)]),
        (
            "captured",
            {},
            [
                done("authorize", 1),
                done("capture", 2, final=False),
                done("capture", 3, final=False),
                done("void", 4),
            ],
            [("authorized", 1), ("partially_captured", 2), ("partially_captured", 3), ("captured", 4)],
        ),
        ("voided", {}, [done("authorize", 5), done("void", 9)], [("authorized", 5), ("voided", 9)]),
        (
            "voided",
            {"risk_outcome": "review"},
            [done("authorize", 5), done("void", 9)],
            [("in_review", 0), ("voided", 9)],
        ),
        ("captured", {}, [done("order", 3), done("sale", 5)], [("requires_action", 3), ("captured", 5)]),
        ("captured", {}, [done("sale", 5), done("refund", 9)], [("captured", 5)]),
        ("captured", {}, [done("sale", 3, status="failed"), done("sale", 5)], [("captured", 5)]),
    ],
)
def test_each_operation_leads_to_its_state(
    state: PaymentState, given: dict[str, Any], operations: list[Operation], states: list[tuple[PaymentState, int]]
) -> None:
    told = [(past.state, past.at) for past in past_states(payment(state, updated_at=99, **given), operations)]
    assert told == [("processing", 0), *states]


@pytest.mark.parametrize("operations", [[], [done("sale", 5, status="declined")]])
def test_a_block_and_an_issuers_decline_read_alike(operations: list[Operation]) -> None:
    told = past_states(payment("declined", updated_at=7), operations)
    assert [(past.state, past.previous, past.at) for past in told] == [*START, ("declined", "processing", 7)]
