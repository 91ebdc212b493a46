"""What a change of a payment writes: its events and their sequence, who is told, and who it waits for."""

from itertools import product
from typing import Any

import msgspec
import pytest

from gateway.payments.changes import (
    Change,
    Effect,
    ImpossibleTransition,
    NextOperation,
    OperationPosting,
    OperationUpdate,
    anew,
    approval,
    awaits_authorization,
    capturable,
    capture_at_once,
    change_of,
    following,
    holds_money,
    release_rest,
)
from schemas.payments import AppliedRisk
from schemas.states import STATES, STATUS, TRANSITIONS, PaymentState, Status, can_become
from tests.gateway.payments.situations import NOW, POLICY, operation, payment, refund

HOUR_US = 3_600_000_000
MOVES = [(before, after) for before in STATES for after in sorted(TRANSITIONS[before]) if after != before]
NO_MOVES = [(a, b) for a in STATES for b in STATES if a != b and not can_become(a, b)]
FREE = ("processing", "requires_action")  # states in which no client is told a status
STATUSES: tuple[Status | None, ...] = (None, "pending", "succeeded", "failed")
STANDS_IN = AppliedRisk("allow", "stand_in")
UNSENT = '{"outcome":"review","source":"rules","hold":"unsent"}'
CAPTURE = NextOperation("capture", "mastercard", "att", "op_before", "ref_before", 300)


def moved(before: PaymentState, after: PaymentState, **given: Any) -> Change:
    """The change that leaves a payment at rest in another state."""
    row = payment(before, **given)
    return change_of(row, Effect(msgspec.structs.replace(row, state=after)), POLICY, NOW)


def told(after: PaymentState, announced: Status | None) -> tuple[str, ...]:
    """The event that tells clients of a payment's status, where there is news."""
    return ("transaction_completed",) if after not in FREE and STATUS[after] != announced else ()


@pytest.mark.parametrize("kind", [Change, Effect, NextOperation, OperationPosting, OperationUpdate])
def test_what_was_decided_cannot_be_altered(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


def test_a_changes_fields_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Change(payment(), payment())  # type: ignore[call-arg]


# --- with an operation to send ------------------------------------------------------------------------------


def test_a_payment_with_an_operation_to_send_is_judged_and_this_workers() -> None:
    before = payment("authorized", recovery_point="finished", worker_id="wrk_other", lease_until=7)
    after = change_of(before, Effect(before, CAPTURE), POLICY, NOW).payment
    assert (after.recovery_point, after.worker_id) == ("judged", "wrk")
    assert (after.lease_until, after.updated_at) == (None, NOW)  # the operation has a lease of its own
    assert (after.state, after.sequence, after.announced) == ("authorized", 3, None)


def test_while_an_operation_is_to_be_sent_nobody_is_answered() -> None:
    before = payment("authorized")
    change = change_of(before, Effect(before, CAPTURE), POLICY, NOW, waiting=True)
    assert (change.before, change.next) == (before, CAPTURE)
    assert (change.events, change.updates, change.postings) == ((), (), ())
    assert (change.rests, change.waiting, change.opens_review, change.returns_caps) == (False,) * 4


@pytest.mark.parametrize(("attempt_id", "attempts", "processor"), [(None, 2, "mastercard"), ("att", 1, "visa")])
def test_only_an_operation_without_an_attempt_begins_one_and_moves_the_payment(
    attempt_id: str | None, attempts: int, processor: str
) -> None:
    before, next = payment(), NextOperation("sale", "mastercard", attempt_id)
    after = change_of(before, Effect(before, next), POLICY, NOW).payment
    assert (after.attempts, after.processor) == (attempts, processor)


def test_a_state_on_the_way_to_an_operation_is_an_event_and_no_answer() -> None:
    before = payment("processing", announced="failed")
    effect = Effect(msgspec.structs.replace(before, state="authorized"), CAPTURE)
    change = change_of(before, effect, POLICY, NOW)
    assert change.events == ("payment.authorized",)
    assert (change.payment.sequence, change.payment.announced) == (4, "failed")


# --- at rest ------------------------------------------------------------------------------------------------


def test_a_payment_at_rest_is_nobodys_and_its_requests_are_answered() -> None:
    change = moved("processing", "captured", worker_id="wrk", lease_until=7)
    after = change.payment
    assert (after.recovery_point, after.worker_id, after.lease_until, after.updated_at) == (
        "finished",
        None,
        None,
        NOW,
    )
    assert (change.rests, change.next) == (True, None)


def test_a_payment_that_waits_for_its_payer_has_no_lease() -> None:
    assert moved("processing", "requires_action").payment.lease_until is None  # its order is asked for


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_a_move_is_an_event_and_a_new_status_another(before: PaymentState, after: PaymentState) -> None:
    for announced in STATUSES:
        change = moved(before, after, announced=announced)
        assert change.events == (f"payment.{after}", *told(after, announced))
        assert change.payment.sequence == 3 + len(change.events)
        assert change.payment.announced == (STATUS[after] if told(after, announced) else announced)


@pytest.mark.parametrize("state", STATES)
def test_a_payment_that_stays_tells_its_status_once(state: PaymentState) -> None:
    for announced in STATUSES:
        change = moved(state, state, announced=announced)
        assert change.events == told(state, announced)
        assert change.payment.sequence == 3 + len(change.events)


@pytest.mark.parametrize("before", STATES)
def test_no_other_move_is_ever_written(before: PaymentState) -> None:
    for after, next in product([after for state, after in NO_MOVES if state == before], (None, CAPTURE)):
        with pytest.raises(ImpossibleTransition, match=f"^pay: {before} -> {after}$"):
            change_of(payment(before), Effect(payment(after), next), POLICY, NOW)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("capture", ["automatic", "manual"])
def test_a_payment_waits_where_somebody_elses_move_decides_it(state: PaymentState, capture: str) -> None:
    undecided = state in ("processing", "requires_action", "in_review", "unknown")
    waits = undecided or (state == "authorized" and capture == "automatic")
    assert moved(state, state, capture=capture).waiting == waits
    row = payment(state, capture=capture)
    assert change_of(row, Effect(row), POLICY, NOW, waiting=True).waiting is True


def test_a_review_is_opened_once_when_the_payment_comes_to_it() -> None:
    assert moved("processing", "in_review").opens_review is True
    assert moved("in_review", "in_review").opens_review is False
    assert moved("in_review", "authorized").opens_review is False


@pytest.mark.parametrize("state", ["declined", "failed", "voided"])
@pytest.mark.parametrize(
    ("risk", "returned"),
    [
        (STANDS_IN, True),
        (AppliedRisk("review", "stand_in"), False),
        (AppliedRisk("allow", "rules"), False),
        (None, False),
    ],
)
def test_the_caps_of_what_passed_unjudged_for_nothing_are_given_back(
    state: PaymentState, risk: AppliedRisk | None, returned: bool
) -> None:
    stored = msgspec.json.encode(risk).decode() if risk else None
    assert moved("processing", state, risk=stored).returns_caps is returned
    assert moved(state, state, risk=stored).returns_caps is False  # given back when it came to it


@pytest.mark.parametrize("state", ["captured", "authorized", "unknown"])
def test_the_caps_of_what_may_still_be_taken_stay_spent(state: PaymentState) -> None:
    assert moved("processing", state, risk=msgspec.json.encode(STANDS_IN).decode()).returns_caps is False


# --- what a change is made of -------------------------------------------------------------------------------


def test_an_approved_payment_goes_on_with_this_worker() -> None:
    before = payment("requires_action", announced="pending", recovery_point="finished", lease_until=7)
    change = approval(before, POLICY, NOW)
    after = change.payment
    assert (after.state, after.recovery_point, after.worker_id) == ("processing", "approved", "wrk")
    assert (after.lease_until, after.updated_at) == (NOW + POLICY.lease_us, NOW)
    assert (change.events, after.sequence, after.announced) == (("payment.approved",), 4, "pending")
    assert (change.before, change.rests, change.next) == (before, False, None)


@pytest.mark.parametrize("state", sorted(set(STATES) - {"requires_action"}))
def test_nobody_approves_what_waits_for_no_payer(state: PaymentState) -> None:
    with pytest.raises(ImpossibleTransition, match=f"^pay: {state} -> processing$"):
        approval(payment(state), POLICY, NOW)


def test_a_following_operation_names_its_parent_and_stays_in_its_attempt() -> None:
    parent = operation("authorize", processor_reference="ref")
    assert following("capture", parent, 300) == NextOperation("capture", "visa", "att", "op", "ref", 300)
    assert following("void", parent).amount == 0


def test_an_operation_anew_is_the_same_but_for_its_id() -> None:
    old = operation("void", amount=300, processor_reference="ref")
    again = NextOperation("void", "visa", "att", "op_before", "ref_before", 300, replaces_id="op")
    assert anew(old) == again
    given: dict[str, Any] = {"part": 2, "final": False, "refund_id": "ref", "requested_by": "acc_m"}
    assert anew(msgspec.structs.replace(old, **given)) == msgspec.structs.replace(again, **given)


def test_only_an_automatic_payment_is_captured_at_once() -> None:
    held = operation("authorize", processor_reference="ref")
    captured = NextOperation("capture", "visa", "att", "op", "ref", 0)
    assert capture_at_once(payment(capture="automatic"), held) == captured
    assert capture_at_once(payment(capture="manual"), held) is None


@pytest.mark.parametrize("state", STATES)
def test_an_authorization_decides_a_payment_in_work_or_doubt(state: PaymentState) -> None:
    assert awaits_authorization(payment(state)) is (state in ("processing", "unknown"))
    unsent = payment(state, risk_outcome="review", risk=UNSENT)
    assert awaits_authorization(unsent) is (state in ("processing", "unknown", "in_review"))


def test_only_a_review_whose_issuer_was_not_asked_is_ended_by_time() -> None:
    for risk, until in ((UNSENT, NOW + POLICY.review_max_us), ('{"outcome":"review","source":"rules"}', None)):
        row = payment(risk_outcome="review", risk=risk)
        held = msgspec.structs.replace(row, state="in_review")
        assert change_of(row, Effect(held), POLICY, NOW).payment.lease_until == until


@pytest.mark.parametrize("state", STATES)
def test_money_is_held_while_authorized_in_review_or_captured_in_part(state: PaymentState) -> None:
    assert holds_money(state) is (state in ("authorized", "in_review", "partially_captured"))
    assert holds_money(state, "unsent") is (state in ("authorized", "partially_captured"))


@pytest.mark.parametrize("state", STATES)
def test_what_is_held_and_not_taken_may_be_captured_unless_a_reviewer_decides_first(state: PaymentState) -> None:
    free = state in ("authorized", "partially_captured")
    assert capturable(payment(state, amount_captured=200)) == (300 if free else 0)
    assert capturable(payment(state)) == (500 if free else 0)


def test_each_part_that_is_captured_is_an_event_though_the_state_stays() -> None:
    row = payment("partially_captured", amount_captured=200, announced="succeeded")
    after = msgspec.structs.replace(row, amount_captured=300)
    change = change_of(row, Effect(after), POLICY, NOW)
    assert (change.events, change.payment.sequence) == (("payment.partially_captured",), 4)


def test_what_is_told_beside_the_states_comes_first_and_is_counted() -> None:
    row = payment("authorized", announced="pending")
    after = msgspec.structs.replace(row, state="declined")
    change = change_of(row, Effect(after, events=("payment.capture_declined",)), POLICY, NOW)
    assert change.events == ("payment.capture_declined", "payment.declined", "transaction_completed")
    assert change.payment.sequence == 6


def test_a_refusal_is_answered_once_nothing_follows_it() -> None:
    row = payment("authorized", capture="manual")
    assert change_of(row, Effect(row, refused=True), POLICY, NOW).refused is True
    assert change_of(row, Effect(row), POLICY, NOW).refused is False
    assert change_of(row, Effect(row, CAPTURE, refused=True), POLICY, NOW).refused is False


def test_while_another_call_is_out_a_payment_stays_in_work_and_its_requests_wait() -> None:
    row = payment("captured", worker_id="wrk_other", lease_until=7, announced="pending")
    change = change_of(row, Effect(row, refused=True), POLICY, NOW, waiting=True, in_flight=True)
    after = change.payment
    assert (change.rests, change.waiting, change.refused, change.events) == (False, False, False, ())
    assert (after.recovery_point, after.worker_id, after.lease_until) == ("judged", "wrk_other", 7)
    assert after.updated_at == NOW


def test_a_change_carries_the_refund_that_its_effect_leaves() -> None:
    row = payment("captured")
    assert change_of(row, Effect(row, refund=refund(300)), POLICY, NOW).refund == refund(300)


def test_the_release_of_a_rest_is_of_all_that_the_captures_left() -> None:
    capture = operation("capture", processor_reference="ref", requested_by="acc_m")
    row = payment("partially_captured", amount_captured=300)
    assert release_rest(row, capture) == NextOperation("void", "visa", "att", "op_before", "ref_before", 200)
