"""What becomes of a payment by the answer to a reversal, without books or clock."""

from typing import Any, get_args

import pytest

from connectors.processors.contract import Answer, CallResult
from gateway.books.operations import Operation
from gateway.payments.changes import NextOperation, anew
from gateway.payments.effects import Situation
from gateway.payments.transitions import settle
from schemas.operations import OperationKind
from schemas.states import STATES, PaymentState
from tests.gateway.payments.situations import NOW, POLICY, answered, operation, payment

RESULTS: tuple[CallResult, ...] = get_args(CallResult)


def reversed_(result: CallResult, state: PaymentState, parent: Operation, **given: Any) -> Any:
    """What the answer to a reversal of `parent` makes of a payment."""
    return answered("reversal", result, state, parent=parent, **given)


def test_a_success_whose_reversal_is_open_waits_for_the_reversals_end() -> None:
    reversal = operation("reversal", id="op_back", parent_id="op")
    for kind, state in (("sale", "unknown"), ("capture", "authorized")):
        change = answered(kind, "succeeded", state, other_open=(reversal,))  # type: ignore[arg-type]
        assert (change.payment.state, change.next, change.waiting) == (state, None, True)
    elsewhere = operation("reversal", id="op_back", parent_id="op_other")
    assert answered("sale", "succeeded", "unknown", other_open=(elsewhere,)).payment.state == "captured"
    void = operation("void", id="op_back", parent_id="op")
    assert answered("sale", "succeeded", "unknown", other_open=(void,)).payment.state == "captured"
    assert answered("sale", "declined", "unknown", other_open=(reversal,)).payment.state == "declined"


@pytest.mark.parametrize("state", ["processing", "unknown"])
def test_a_sale_that_was_taken_back_is_voided(state: PaymentState) -> None:
    sale = operation("sale", id="op_before", status="unknown")
    assert reversed_("succeeded", state, sale).payment.state == "voided"


def test_a_reversal_without_an_end_leaves_everything_open() -> None:
    sale = operation("sale", id="op_before", status="unknown")
    change = reversed_("unknown", "unknown", sale)
    assert (change.payment.state, change.next, change.waiting) == ("unknown", None, True)
    arrived = operation("capture", id="op_before", status="succeeded")
    assert reversed_("unknown", "authorized", arrived).payment.state == "authorized"
    refused = operation("sale", id="op_before", status="declined")
    assert reversed_("unknown", "processing", refused).payment.state == "processing"


@pytest.mark.parametrize("result", RESULTS)
def test_a_reversal_of_nothing_is_a_bug(result: CallResult) -> None:
    found = Situation(payment(), operation("reversal"))
    with pytest.raises(AssertionError, match="names the operation"):
        settle(found, Answer(result), POLICY, NOW)
    assert found.__struct_config__.frozen


@pytest.mark.parametrize("kind", ["order", "void", "reversal"])
def test_what_moves_no_money_forward_is_not_reversed(kind: OperationKind) -> None:
    with pytest.raises(ValueError, match=f"^op_before: no {kind} is reversed$"):
        reversed_("succeeded", "unknown", operation(kind, id="op_before", status="unknown"))


@pytest.mark.parametrize("code", [None, "suspected_fraud"])
def test_what_the_processor_declined_is_declined_once_its_money_is_free(code: Any) -> None:
    sale = operation("sale", id="op_before", status="declined", decline_code=code)
    for result in ("succeeded", "not_found"):
        after = reversed_(result, "processing", sale).payment
        assert (after.state, after.decline_code) == ("declined", code or "generic_decline")


@pytest.mark.parametrize("state", sorted(set(STATES) - {"processing", "unknown"}))
def test_a_reversal_after_the_end_changes_no_payment(state: PaymentState) -> None:
    for status in ("unknown", "declined"):
        sale = operation("sale", id="op_before", status=status)
        assert reversed_("succeeded", state, sale).payment.state == state


def test_a_reversal_that_found_nothing_leaves_an_approval_as_it_came() -> None:
    arrived = operation("sale", id="op_before", status="succeeded")
    assert reversed_("not_found", "unknown", arrived).payment.state == "captured"
    gone = operation("sale", id="op_before", status="unknown")
    assert reversed_("not_found", "unknown", gone).payment.state == "unknown"


@pytest.mark.parametrize("state", ["failed", "voided", "declined"])
def test_an_approval_that_waited_for_its_reversal_is_voided_where_the_payment_has_ended(
    state: PaymentState,
) -> None:
    arrived = operation("sale", id="op_before", status="succeeded")
    change = reversed_("not_found", state, arrived)
    assert (change.payment.state, change.next) == (
        state,
        NextOperation("void", "visa", "att", "op_before", None, 0),
    )
    assert reversed_("not_found", "captured", arrived).next is None


def test_a_capture_that_was_taken_back_is_done_anew() -> None:
    asked = {"part": 2, "final": False, "requested_by": "acc_m"}
    capture = operation("capture", id="op_before", status="unknown", parent_id="op_first", amount=300, **asked)
    change = reversed_("succeeded", "authorized", capture)
    assert change.next == NextOperation(
        "capture", "visa", "att", "op_first", "ref_before", 300, replaces_id="op_before", **asked
    )
    assert reversed_("succeeded", "authorized", capture, replaced=True).next is None
    late = reversed_("succeeded", "captured", capture)
    assert (late.payment.state, late.next) == ("captured", None)
    other = (operation("void", id="op_other"),)
    assert reversed_("succeeded", "authorized", capture, other_open=other).next is None


def test_a_captures_reversal_that_found_nothing_leaves_the_capture_as_it_came() -> None:
    arrived = operation("capture", id="op_before", status="succeeded", amount=300, final=False)
    after = reversed_("not_found", "authorized", arrived).payment
    assert (after.state, after.amount_captured) == ("partially_captured", 300)
    assert reversed_("not_found", "authorized", arrived, replaced=True).payment.amount_captured == 0
    gone = operation("capture", id="op_before", status="unknown")
    assert reversed_("not_found", "authorized", gone).payment.state == "authorized"


def test_the_parent_that_a_reversal_found_is_open_no_more() -> None:
    sale = operation("sale", id="op_before", status="unknown")
    assert reversed_("succeeded", "unknown", sale, other_open=(sale,)).waiting is False
    capture = operation("capture", id="op_before", status="unknown", parent_id="op_first")
    change = reversed_("succeeded", "authorized", capture, other_open=(capture,))
    assert change.next == anew(capture)
    other = operation("capture", id="op_other", status="unknown")
    assert reversed_("succeeded", "authorized", capture, other_open=(capture, other)).next is None
