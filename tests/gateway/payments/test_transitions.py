"""What a processor's answer makes of an operation and its payment, without books or clock."""

from typing import Any, get_args

import pytest

from connectors.processors.contract import Answer, CallResult
from gateway.books.operations import Operation, OperationKind, OperationStatus
from gateway.payments.changes import NextOperation
from gateway.payments.transitions import Situation, close, settle, watched
from schemas.states import STATES, PaymentState, can_become
from tests.gateway.payments.situations import NOW, POLICY, SENT_AT, answered, operation, payment

KINDS: tuple[OperationKind, ...] = get_args(OperationKind)
RESULTS: tuple[CallResult, ...] = get_args(CallResult)


def closed(before: Operation, result: CallResult, state: PaymentState = "processing", now: int = NOW) -> Operation:
    """An operation as an answer leaves it."""
    found = close(before, Answer(result), state, POLICY, now)
    assert found is not None
    return found


# --- the operation ------------------------------------------------------------------------------------------


def test_an_answer_is_kept_on_its_operation() -> None:
    answer = Answer("declined", "their-ref", "expired_card", "x" * 201)
    found = close(operation("sale"), answer, "processing", POLICY, NOW)
    assert found is not None
    assert (found.status, found.decline_code) == ("declined", "expired_card")
    assert found.processor_reference == "their-ref"
    assert (found.detail, found.lease_until, found.finished_at) == ("x" * 200, None, NOW)


def test_a_reference_once_told_is_not_forgotten() -> None:
    assert closed(operation("sale", processor_reference="told"), "unknown").processor_reference == "told"


@pytest.mark.parametrize(("now", "due"), [(SENT_AT, 1070), (SENT_AT + 10, 1070), (SENT_AT + 500, 1560)])
def test_the_window_begins_at_the_end_of_the_calls_timeout(now: int, due: int) -> None:
    found = closed(operation("sale"), "unknown", now=now)
    assert (found.status, found.lease_until, found.finished_at) == ("unknown", due, None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_given_up_and_can_still_take_money_is_watched(kind: OperationKind) -> None:
    found = closed(operation(kind, status="unknown"), "not_found", "authorized")
    assert found.status == "failed"
    assert found.lease_until == (NOW + 100 if kind in ("authorize", "sale", "capture") else None)


@pytest.mark.parametrize(("checks", "result", "after"), [(0, "not_found", 1), (0, "unknown", 0), (1, "failed", 2)])
def test_a_watch_ends_with_its_last_look_and_silence_is_none(checks: int, result: CallResult, after: int) -> None:
    found = watched(operation("sale", status="failed", checks=checks), Answer(result), POLICY, NOW)
    assert (found.checks, found.lease_until) == (after, {0: NOW + 100, 1: NOW + 500}.get(after))


def test_silence_about_an_order_leaves_no_doubt() -> None:
    assert closed(operation("order"), "unknown").status == "failed"


@pytest.mark.parametrize("result", ["declined", "failed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", STATES)
def test_a_no_to_what_has_to_be_taken_back_is_asked_again(
    kind: OperationKind, state: PaymentState, result: CallResult
) -> None:
    must_succeed = kind == "reversal" or (kind == "void" and state != "authorized")
    assert closed(operation(kind), result, state).status == ("unknown" if must_succeed else result)


@pytest.mark.parametrize("status", get_args(OperationStatus))
@pytest.mark.parametrize("result", RESULTS)
def test_after_its_end_only_an_approval_of_what_failed_counts(status: OperationStatus, result: CallResult) -> None:
    found = Situation(payment("failed"), operation("sale", status=status))
    counts = status in ("sending", "unknown") or (status == "failed" and result == "succeeded")
    assert (settle(found, Answer(result), POLICY, NOW) is not None) == counts


# --- the payment --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("result", RESULTS)
def test_no_answer_makes_an_impossible_change(
    kind: OperationKind, result: CallResult, state: PaymentState
) -> None:
    """An answer may come at any time: recovery, a frozen worker and a watch all bring them late."""
    for parent in (operation("sale", id="op_before", status="succeeded"), operation("capture", id="op_before")):
        after = answered(kind, result, state, parent=parent).payment
        assert after.state == state or can_become(state, after.state), f"{state} -> {after.state}"


@pytest.mark.parametrize(
    ("kind", "result", "state"),
    [
        ("order", "succeeded", "requires_action"),
        ("order", "unknown", "failed"),
        ("order", "declined", "failed"),
        ("order", "failed", "failed"),
        ("sale", "succeeded", "captured"),
        ("sale", "unknown", "unknown"),
        ("sale", "declined", "declined"),
        ("authorize", "succeeded", "authorized"),
        ("authorize", "unknown", "unknown"),
        ("authorize", "declined", "declined"),
    ],
)
def test_the_first_answer_decides_a_payment_in_work(
    kind: OperationKind, result: CallResult, state: PaymentState
) -> None:
    change = answered(kind, result, "processing", capture="manual")
    assert (change.payment.state, change.next) == (state, None)
    assert change.payment.decline_code == {
        "declined": "generic_decline",
        "failed": "processor_unavailable",
    }.get(state)
    assert change.payment.amount_captured == (500 if state == "captured" else 0)


def test_a_decline_keeps_the_issuers_reason() -> None:
    change = answered("sale", "declined", "processing", said={"decline_code": "expired_card"})
    assert change.payment.decline_code == "expired_card"


def test_an_order_tells_where_its_payer_approves() -> None:
    change = answered("order", "succeeded", "processing", said={"redirect_url": "https://there"})
    assert change.payment.redirect_url == "https://there"
    assert answered("sale", "succeeded", "processing").payment.redirect_url is None


@pytest.mark.parametrize("state", sorted(set(STATES) - {"processing"}))
@pytest.mark.parametrize("result", ["succeeded", "failed"])
def test_an_order_answered_too_late_changes_nothing(state: PaymentState, result: CallResult) -> None:
    change = answered("order", result, state)
    assert (change.payment.state, change.next) == (state, None)


def test_an_authorization_is_captured_at_once_unless_the_merchant_captures() -> None:
    capture = answered("authorize", "succeeded", "processing", said={"processor_reference": "ref"}).next
    assert capture == NextOperation("capture", "visa", "att", "op", "ref", 0)
    assert answered("authorize", "succeeded", "processing", capture="manual").next is None


@pytest.mark.parametrize("state", ["processing", "unknown"])
def test_what_a_person_must_see_is_held_once_its_money_is_reserved(state: PaymentState) -> None:
    change = answered("authorize", "succeeded", state, risk_outcome="review")
    assert (change.payment.state, change.next, change.opens_review) == ("in_review", None, True)


def test_a_technical_no_fails_over_in_a_new_attempt() -> None:
    change = answered("sale", "failed", "processing")
    assert change.next == NextOperation("sale", "mastercard")
    after = change.payment
    assert (after.state, after.attempts, after.processor) == ("processing", 2, "mastercard")


@pytest.mark.parametrize(
    ("state", "given"),
    [("processing", {"attempts": 2}), ("processing", {"wanted_processor": "visa"}), ("unknown", {})],
)
def test_nothing_is_tried_anew_behind_a_clients_back_or_without_a_processor(
    state: PaymentState, given: dict[str, Any]
) -> None:
    change = answered("sale", "failed", state, **given)
    assert (change.payment.state, change.next) == ("failed", None)
    assert change.payment.decline_code == "processor_unavailable"


def test_what_the_bank_approved_and_the_processor_did_not_is_reversed_before_it_is_declined() -> None:
    said = {"must_reverse": True, "decline_code": "suspected_fraud", "processor_reference": "ref"}
    change = answered("sale", "declined", "processing", said=said)
    assert (change.payment.state, change.payment.decline_code) == ("processing", None)
    assert change.next == NextOperation("reversal", "visa", "att", "op", "ref", 0)


@pytest.mark.parametrize("state", sorted(set(STATES) - {"processing", "unknown"}))
@pytest.mark.parametrize("kind", ["authorize", "sale"])
def test_an_approval_nobody_waits_for_is_voided(kind: OperationKind, state: PaymentState) -> None:
    change = answered(kind, "succeeded", state)
    assert change.payment.state == state
    assert change.next == NextOperation("void", "visa", "att", "op", None, 0)


@pytest.mark.parametrize("state", sorted(set(STATES) - {"processing", "unknown"}))
@pytest.mark.parametrize("result", ["unknown", "declined", "failed"])
def test_any_other_answer_nobody_waits_for_changes_nothing(state: PaymentState, result: CallResult) -> None:
    change = answered("sale", result, state)
    assert (change.payment.state, change.next) == (state, None)


@pytest.mark.parametrize("amount", [500, 300])
def test_a_capture_takes_what_was_asked(amount: int) -> None:
    change = answered("capture", "succeeded", "authorized", operation=operation("capture", amount=amount))
    assert (change.payment.state, change.payment.amount_captured) == ("captured", amount)


@pytest.mark.parametrize("result", ["declined", "failed", "unknown"])
def test_a_capture_that_was_not_made_leaves_the_payment_authorized(result: CallResult) -> None:
    change = answered("capture", result, "authorized")
    assert (change.payment.state, change.next, change.waiting) == ("authorized", None, True)
    assert answered("capture", "declined", "authorized", capture="manual").waiting is False


@pytest.mark.parametrize("kind", ["capture", "void"])
def test_a_capture_or_void_that_never_arrived_is_done_anew(kind: OperationKind) -> None:
    change = answered(kind, "not_found", "authorized", operation=operation(kind, amount=300))
    assert change.next == NextOperation(kind, "visa", "att", "op_before", "ref_before", 300)
    assert change.payment.state == "authorized"


@pytest.mark.parametrize("state", ["captured", "voided", "authorized"])
def test_a_capture_that_is_not_wanted_any_more_is_taken_back(state: PaymentState) -> None:
    other = (operation("void", id="op_other"),) if state == "authorized" else ()
    change = answered("capture", "succeeded", state, other_open=other)
    assert change.payment.state == state
    assert change.next == NextOperation("reversal", "visa", "att", "op", None, 500)


@pytest.mark.parametrize("state", STATES)
def test_a_void_releases_what_is_held_and_nothing_else(state: PaymentState) -> None:
    parent = operation("authorize", id="op_before", status="succeeded")
    change = answered("void", "succeeded", state, parent=parent)
    assert change.payment.state == ("voided" if state in ("authorized", "in_review") else state)
    assert change.next is None


def test_a_void_that_was_refused_changes_nothing() -> None:
    assert answered("void", "declined", "authorized").payment.state == "authorized"


# --- reversals ----------------------------------------------------------------------------------------------


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
    capture = operation("capture", id="op_before", status="unknown", parent_id="op_first", amount=300)
    change = reversed_("succeeded", "authorized", capture)
    assert change.next == NextOperation("capture", "visa", "att", "op_first", "ref_before", 300)
    late = reversed_("succeeded", "captured", capture)
    assert (late.payment.state, late.next) == ("captured", None)
    other = (operation("void", id="op_other"),)
    assert reversed_("succeeded", "authorized", capture, other_open=other).next is None


def test_a_captures_reversal_that_found_nothing_leaves_the_capture_as_it_came() -> None:
    arrived = operation("capture", id="op_before", status="succeeded", amount=300)
    after = reversed_("not_found", "authorized", arrived).payment
    assert (after.state, after.amount_captured) == ("captured", 300)
    gone = operation("capture", id="op_before", status="unknown")
    assert reversed_("not_found", "authorized", gone).payment.state == "authorized"


# --- who is told --------------------------------------------------------------------------------------------


def test_an_answer_is_waited_for_while_anything_is_open() -> None:
    assert answered("sale", "succeeded", "processing").waiting is False
    other = (operation("reversal", id="op_back", parent_id="op_other"),)
    assert answered("sale", "succeeded", "processing", other_open=other).waiting is True
    assert answered("void", "unknown", "captured", capture="manual").waiting is True


def test_the_parent_that_a_reversal_found_is_open_no_more() -> None:
    sale = operation("sale", id="op_before", status="unknown")
    assert reversed_("succeeded", "unknown", sale, other_open=(sale,)).waiting is False
    capture = operation("capture", id="op_before", status="unknown", parent_id="op_first")
    change = reversed_("succeeded", "authorized", capture, other_open=(capture,))
    assert change.next == NextOperation("capture", "visa", "att", "op_first", "ref_before", 500)
    other = operation("capture", id="op_other", status="unknown")
    assert reversed_("succeeded", "authorized", capture, other_open=(capture, other)).next is None
