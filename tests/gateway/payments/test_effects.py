"""What becomes of a payment by the answer to an authorization, a capture or a void, without books or clock."""

from typing import Any, get_args

import pytest

from connectors.processors.contract import CallResult
from gateway.payments.changes import Change, NextOperation, anew
from schemas.operations import OperationKind
from schemas.payments import LastRefusal
from schemas.states import STATES, PaymentState
from schemas.times import from_micros
from tests.gateway.payments.situations import NOW, POLICY, answered, operation

RESULTS: tuple[CallResult, ...] = get_args(CallResult)


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
    [
        ("processing", {"attempts": 2, "processor": "mastercard"}),
        ("processing", {"wanted_processor": "visa"}),
        ("unknown", {}),
    ],
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
    state = "captured" if amount == 500 else "partially_captured"
    assert (change.payment.state, change.payment.amount_captured) == (state, amount)


@pytest.mark.parametrize("result", ["declined", "failed", "unknown"])
def test_a_capture_that_was_not_made_leaves_the_payment_authorized(result: CallResult) -> None:
    change = answered("capture", result, "authorized", requested_by="acc_m")
    assert (change.payment.state, change.next, change.waiting) == ("authorized", None, True)
    manual = answered("capture", "declined", "authorized", capture="manual", requested_by="acc_m")
    assert manual.waiting is False


@pytest.mark.parametrize("kind", ["capture", "void"])
def test_a_capture_or_void_that_never_arrived_is_done_anew(kind: OperationKind) -> None:
    lost = operation(kind, amount=300, requested_by="acc_m", part=2, final=False)
    change = answered(kind, "not_found", "authorized", operation=lost)
    assert change.next == anew(lost)
    assert (change.payment.state, change.events) == ("authorized", ())


@pytest.mark.parametrize("state", ["captured", "voided", "authorized"])
def test_a_capture_that_is_not_wanted_any_more_is_taken_back(state: PaymentState) -> None:
    other = (operation("void", id="op_other"),) if state == "authorized" else ()
    change = answered("capture", "succeeded", state, other_open=other)
    assert change.payment.state == state
    assert change.next == NextOperation("reversal", "visa", "att", "op", None, 500)


@pytest.mark.parametrize("amount", [200, 201])
def test_no_more_is_captured_than_is_left(amount: int) -> None:
    part = operation("capture", amount=amount)
    change = answered("capture", "succeeded", "partially_captured", operation=part, amount_captured=300)
    back = NextOperation("reversal", "visa", "att", "op", None, 201)
    assert (change.payment.amount_captured, change.next) == ((500, None) if amount == 200 else (300, back))


@pytest.mark.parametrize("state", ["authorized", "partially_captured"])
@pytest.mark.parametrize("final", [True, False])
def test_after_the_final_part_the_rest_is_released(state: PaymentState, final: bool) -> None:
    taken = 100 if state == "partially_captured" else 0
    part = operation("capture", amount=300, final=final, requested_by="acc_m")
    change = answered("capture", "succeeded", state, operation=part, amount_captured=taken)
    assert (change.payment.state, change.payment.amount_captured) == ("partially_captured", taken + 300)
    release = NextOperation("void", "visa", "att", "op_before", "ref_before", 200 - taken)
    assert (change.next, change.rests) == ((release, False) if final else (None, True))
    assert change.events[0] == "payment.partially_captured"


def test_where_the_final_capture_itself_frees_the_rest_no_call_follows() -> None:
    part = operation("capture", amount=300, processor="paypal")
    change = answered("capture", "succeeded", "authorized", operation=part)
    assert (change.payment.state, change.payment.amount_captured, change.next) == ("captured", 300, None)
    part = operation("capture", amount=300, processor="paypal", final=False)
    change = answered("capture", "succeeded", "authorized", operation=part)
    assert (change.payment.state, change.next) == ("partially_captured", None)


def test_a_capture_that_was_done_anew_and_is_found_late_is_taken_back() -> None:
    late = operation("capture", amount=200, status="failed", final=False)
    change = answered(
        "capture", "succeeded", "partially_captured", operation=late, amount_captured=200, replaced=True
    )
    assert (change.payment.amount_captured, change.events) == (200, ())
    assert change.next == NextOperation("reversal", "visa", "att", "op", None, 200)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("asked_by", [None, "acc_m"])
def test_a_void_releases_what_is_held_and_nothing_else(state: PaymentState, asked_by: str | None) -> None:
    parent = operation("authorize", id="op_before", status="succeeded")
    change = answered("void", "succeeded", state, parent=parent, requested_by=asked_by)
    unasked = "declined" if asked_by is None else "voided"  # it follows a capture that was refused
    ends = {"authorized": unasked, "in_review": "voided", "partially_captured": "captured"}
    assert change.payment.state == ends.get(state, state)
    assert change.next is None


def test_a_void_at_another_processor_releases_nothing_here() -> None:
    for state in STATES:
        assert answered("void", "succeeded", state, processor="mastercard").payment.state == state


def test_a_void_that_was_refused_changes_no_state() -> None:
    change = answered("void", "declined", "authorized", requested_by="acc_m")
    assert (change.payment.state, change.next) == ("authorized", None)


# --- what was refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["capture", "void"])
@pytest.mark.parametrize(("result", "code"), [("declined", "expired_card"), ("failed", None)])
def test_a_refusal_is_told_to_who_asked_and_kept_on_the_payment(
    kind: OperationKind, result: CallResult, code: Any
) -> None:
    said = {"decline_code": code}
    change = answered(kind, result, "authorized", said=said, requested_by="acc_m", capture="manual")
    assert (change.refused, change.rests, change.next) == (True, True, None)
    assert change.events[0] == f"payment.{kind}_declined"
    refusal = change.payment.refused()
    assert refusal == LastRefusal(kind, code or "processor_unavailable", from_micros(NOW))  # type: ignore[arg-type]


def test_the_hold_of_an_automatic_capture_that_was_refused_is_released_first() -> None:
    parent = operation("authorize", id="op_before", status="succeeded", processor_reference="ref")
    change = answered("capture", "declined", "authorized", parent=parent, said={"decline_code": "expired_card"})
    assert change.next == NextOperation("void", "visa", "att", "op_before", "ref", 0)
    assert (change.payment.state, change.payment.decline_code, change.refused) == ("authorized", None, False)
    assert change.events == ("payment.capture_declined",)


def test_once_it_is_released_the_payment_is_declined_for_the_captures_reason() -> None:
    parent = operation("authorize", id="op_before", status="succeeded")
    refused = answered("capture", "declined", "authorized", parent=parent, said={"decline_code": "expired_card"})
    last = refused.payment.last_refusal
    after = answered("void", "succeeded", "authorized", parent=parent, last_refusal=last)
    assert (after.payment.state, after.payment.decline_code) == ("declined", "expired_card")
    assert after.events == ("payment.declined", "transaction_completed")
    unexplained = answered("void", "succeeded", "authorized", parent=parent).payment
    assert (unexplained.state, unexplained.decline_code) == ("declined", None)


def test_a_refused_release_of_the_rest_goes_on_and_then_is_a_task_that_the_merchant_sees() -> None:
    def refused(checks: int) -> Change:
        void = operation("void", amount=200, checks=checks)
        return answered("void", "declined", "partially_captured", operation=void, amount_captured=300)

    waits, change = refused(0), refused(len(POLICY.release_us))
    assert (waits.waiting, waits.task, waits.payment.last_refusal) == (True, None, None)
    assert (change.payment.state, change.refused, change.waiting, change.rests) == (
        "partially_captured",
        False,
        False,
        True,
    )
    assert (change.task, change.events[0]) == ("void_refused", "payment.void_declined")
    assert change.payment.refused() == LastRefusal("void", "processor_unavailable", from_micros(NOW))


@pytest.mark.parametrize(
    ("state", "processor", "amount"),
    [("partially_captured", "visa", 200), ("partially_captured", "mastercard", 500), ("in_review", "visa", 500)],
)
def test_a_void_that_is_done_anew_is_of_what_is_held_by_now(
    state: PaymentState, processor: str, amount: int
) -> None:
    """A part may have been captured since; at another processor an approval that came late holds all of it."""
    void = operation("void", processor=processor)
    change = answered("void", "not_found", state, amount_captured=300, operation=void)
    assert change.next is not None
    assert (change.next.kind, change.next.amount) == ("void", amount)
