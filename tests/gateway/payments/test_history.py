"""What a payment went through, told from its operations alone."""

from typing import Any

import msgspec
import pytest

from gateway.books.operations import Operation
from gateway.payments.history import past_states
from schemas.operations import OperationKind
from schemas.states import PaymentState, can_become
from tests.gateway.payments.situations import operation, payment

UNSENT = {"risk_outcome": "review", "risk": '{"outcome":"review","source":"rules","hold":"unsent"}'}
HELD = {"risk_outcome": "review", "risk": '{"outcome":"review","source":"rules"}'}
PAYPAL = {"processor": "paypal", "risk_outcome": "allow"}
Told = list[tuple[PaymentState, int]]


def done(kind: OperationKind, at: int, **given: Any) -> Operation:
    """An operation that was sent at `at` - 1 and succeeded at `at`."""
    succeeded = {"id": f"op_{at}", "finished_at": at, "status": "succeeded"}
    return msgspec.structs.replace(operation(kind, **(succeeded | given)), created_at=at - 1)


def told(state: PaymentState, given: dict[str, Any], operations: list[Operation]) -> Told:
    """What is told after `processing`; each state may become the next one."""
    first, *states = past_states(payment(state, updated_at=99, **given), operations)
    assert (first.state, first.previous, first.at) == ("processing", None, 0)
    assert all(past.previous is not None and can_become(past.previous, past.state) for past in states)
    return [(past.state, past.at) for past in states]


@pytest.mark.parametrize(
    ("state", "given", "operations", "states"),
    [
        ("captured", {}, [done("sale", 5)], [("captured", 5)]),
        ("captured", {}, [done("authorize", 5), done("capture", 9)], [("authorized", 5), ("captured", 9)]),
        ("voided", {}, [done("authorize", 5), done("void", 9)], [("authorized", 5), ("voided", 9)]),
        ("captured", {}, [done("sale", 5), done("refund", 9)], [("captured", 5)]),
        ("captured", {}, [done("sale", 3, status="failed"), done("sale", 5)], [("captured", 5)]),
    ],
)
def test_each_operation_leads_to_its_state(
    state: PaymentState, given: dict[str, Any], operations: list[Operation], states: Told
) -> None:
    assert told(state, given, operations) == states


PARTS = [done("authorize", 1), done("capture", 2, amount=100, final=False), done("capture", 3, amount=100)]
AFTER_PARTS: Told = [("authorized", 1), ("partially_captured", 2), ("partially_captured", 3)]


def test_each_part_is_told_and_the_release_of_the_rest() -> None:
    assert told("captured", {}, [*PARTS, done("void", 4)]) == [*AFTER_PARTS, ("captured", 4)]


def test_the_part_that_takes_all_that_is_left_ends_it() -> None:
    last = done("capture", 4, amount=300, final=False)
    assert told("captured", {}, [*PARTS, last]) == [*AFTER_PARTS, ("captured", 4)]


def test_a_refund_between_two_parts_is_no_part() -> None:
    states = told("partially_captured", {}, [*PARTS, done("refund", 4, amount=50)])
    assert states == AFTER_PARTS


def test_a_final_capture_that_lets_the_rest_go_ends_it() -> None:
    at_paypal = [msgspec.structs.replace(o, processor="paypal") for o in PARTS]
    assert told("captured", {"processor": "paypal"}, at_paypal) == [*AFTER_PARTS[:2], ("captured", 3)]


@pytest.mark.parametrize(
    ("state", "given", "operations", "states"),
    [
        ("in_review", HELD, [done("authorize", 5)], [("in_review", 5)]),
        ("voided", HELD, [done("authorize", 5), done("void", 9)], [("in_review", 5), ("voided", 9)]),
        ("authorized", HELD, [done("authorize", 5)], [("in_review", 5), ("authorized", 99)]),
        (
            "partially_captured",
            HELD,
            [done("authorize", 5), done("capture", 9, amount=100, final=False)],
            [("in_review", 5), ("authorized", 8), ("partially_captured", 9)],
        ),
        ("in_review", UNSENT, [], [("in_review", 0)]),
        ("voided", UNSENT, [], [("in_review", 0), ("voided", 99)]),
        ("authorized", UNSENT, [done("authorize", 5)], [("in_review", 0), ("authorized", 5)]),
        ("captured", UNSENT, [done("sale", 5)], [("in_review", 0), ("captured", 5)]),
    ],
)
def test_a_review_is_told_where_the_payment_was_in_review(
    state: PaymentState, given: dict[str, Any], operations: list[Operation], states: Told
) -> None:
    assert told(state, given, operations) == states


def test_a_payment_that_its_issuer_declined_was_never_in_review() -> None:
    assert told("declined", HELD, [done("authorize", 5, status="declined")]) == [("declined", 99)]


@pytest.mark.parametrize(
    ("state", "given", "operations", "states"),
    [
        ("captured", PAYPAL, [("order", 3), ("sale", 7)], [("processing", 6), ("captured", 7)]),
        ("in_review", PAYPAL | HELD, [("order", 3), ("authorize", 7)], [("processing", 6), ("in_review", 7)]),
        ("in_review", PAYPAL | UNSENT, [("order", 3)], [("processing", 99), ("in_review", 99)]),
        ("declined", PAYPAL, [("order", 3)], [("processing", 99), ("declined", 99)]),
        ("voided", PAYPAL | {"risk_outcome": None}, [("order", 3)], [("voided", 99)]),
    ],
)
def test_what_its_payer_approves_is_judged_after_that(
    state: PaymentState, given: dict[str, Any], operations: list[tuple[OperationKind, int]], states: Told
) -> None:
    at_paypal = [done(kind, at, processor="paypal") for kind, at in operations]
    assert told(state, given, at_paypal) == [("requires_action", 3), *states]


def test_what_was_taken_back_led_nowhere() -> None:
    taken_back = [done("sale", 5), done("reversal", 9, parent_id="op_5")]
    assert told("voided", {}, taken_back) == [("voided", 99)]
    again = [*PARTS[:2], done("reversal", 8, parent_id="op_2"), done("capture", 9)]
    assert told("captured", {}, again) == [("authorized", 1), ("captured", 9)]


def test_another_processors_approval_that_came_too_late_led_nowhere() -> None:
    late = [done("authorize", 20, processor="visa"), done("void", 21, processor="visa")]
    mine = done("authorize", 5, processor="mastercard")
    assert told("authorized", {"processor": "mastercard"}, [*late, mine]) == [("authorized", 5)]


def test_an_approval_after_the_payment_failed_led_nowhere() -> None:
    assert told("failed", {}, [done("authorize", 20), done("void", 21)]) == [("failed", 99)]


def test_a_hold_released_after_its_capture_was_refused_ends_declined() -> None:
    refused = [done("authorize", 5), done("capture", 6, status="declined"), done("void", 7)]
    assert told("declined", {}, refused) == [("authorized", 5), ("declined", 7)]


def test_a_clock_that_was_set_back_changes_no_order() -> None:
    operations = [done("authorize", 50), done("capture", 9)]
    assert told("captured", {}, operations) == [("authorized", 50), ("captured", 9)]


@pytest.mark.parametrize("operations", [[], [done("sale", 5, status="declined")]])
def test_a_block_and_an_issuers_decline_read_alike(operations: list[Operation]) -> None:
    assert told("declined", {}, operations) == [("declined", 99)]
