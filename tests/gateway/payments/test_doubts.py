"""Answers that leave a call open, and refusals of what we owe: when we ask again, and when a person has to."""

from typing import Any

import msgspec
import pytest

from connectors.processors.contract import Answer, CallResult, Doubt
from gateway.books.operations import Operation
from gateway.payments.changes import Change, settled_by
from gateway.payments.transitions import close
from gateway.policy import PENDING_MAX_US
from schemas.operations import OperationKind
from schemas.states import PaymentState
from tests.gateway.payments.situations import NOW, POLICY, SENT_AT, answered, operation, payment

BOUNDED = msgspec.structs.replace(POLICY, release_us=(100, 500))


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused release is tried again twice."""
    monkeypatch.setattr("tests.gateway.payments.situations.POLICY", BOUNDED)


def in_doubt(kind: OperationKind, state: PaymentState, doubt: Doubt, **given: Any) -> Change:
    return answered(kind, "unknown", state, said={"doubt": doubt, "pending_reason": "ECHECK"}, **given)


def left(change: Change) -> Operation:
    return change.updates[0].operation


@pytest.mark.parametrize("doubt", ["duplicate", "mismatch"])
def test_what_may_have_been_done_never_fails_over(doubt: Doubt) -> None:
    change = in_doubt("sale", "processing", doubt)
    assert (change.payment.state, change.next, change.waiting) == ("unknown", None, True)


@pytest.mark.parametrize("doubt", ["duplicate", "mismatch"])
def test_an_answer_that_stays_wrong_becomes_a_task_and_is_asked_about_still(doubt: Doubt) -> None:
    assert [in_doubt("capture", "authorized", doubt, checks=n).task for n in range(4)] == [
        None,
        None,
        "mismatch",
        "mismatch",  # the books open one
    ]
    last = left(in_doubt("capture", "authorized", doubt, checks=3))
    assert (last.status, last.lease_until) == ("unknown", NOW + 60 * 2**3)
    assert answered("capture", "unknown", "authorized", checks=3).task is None  # silence may end


def test_what_is_pending_is_no_task_however_long() -> None:
    change = in_doubt("capture", "authorized", "pending", checks=10**6)
    call = left(change)
    assert (change.task, change.payment.pending_reason, call.pending_reason) == (None, "ECHECK", "ECHECK")
    policy = msgspec.structs.replace(POLICY, unknown_window_us=60_000_000)
    pending = Answer("unknown", doubt="pending")
    late = close(operation("capture", checks=10**6), pending, policy, NOW)
    assert late is not None
    assert late.lease_until == NOW + PENDING_MAX_US
    first = close(operation("capture"), pending, policy, NOW)
    assert first is not None
    assert first.lease_until == max(NOW, SENT_AT + policy.call_timeout_us) + policy.unknown_window_us


def test_silence_keeps_what_was_said_and_an_end_forgets_it() -> None:
    waiting = operation("capture", pending_reason="ECHECK")
    assert left(answered("capture", "unknown", "authorized", operation=waiting)).pending_reason == "ECHECK"
    ended = answered("capture", "succeeded", "authorized", operation=waiting, pending_reason="ECHECK")
    assert (left(ended).pending_reason, ended.payment.pending_reason) == (None, None)


@pytest.mark.parametrize(
    "said",
    [Answer("declined"), Answer("failed"), Answer("unknown", doubt="duplicate")],
    ids=["declined", "failed", "duplicate"],
)
def test_what_is_refused_after_all_is_pending_no_more(said: Answer) -> None:
    waiting = operation("void", pending_reason="PENDING", status="unknown")
    refused = close(waiting, said, BOUNDED, NOW)
    assert refused is not None
    assert (refused.status, refused.pending_reason, refused.checks) == ("unknown", None, 1)


def test_what_comes_late_leaves_the_reason_of_the_call_that_is_open() -> None:
    out = (operation("capture", id="op_out", status="unknown", pending_reason="ECHECK"),)
    change = answered("sale", "succeeded", "authorized", status="failed", other_open=out)
    assert change.payment.pending_reason is None  # as it was read: not touched
    held = msgspec.structs.replace(payment("authorized"), pending_reason="ECHECK")
    change = answered("sale", "succeeded", "authorized", status="failed", other_open=out, payment=held)
    assert change.payment.pending_reason == "ECHECK"


def test_an_approval_that_comes_beside_an_open_call_is_reversed_and_waits_for_nobody() -> None:
    out = (operation("capture", id="op_out", status="unknown"),)
    beside = answered("authorize", "succeeded", "authorized", status="failed", other_open=out)
    assert beside.next is not None
    assert beside.next.kind == "reversal"
    alone = answered("authorize", "succeeded", "authorized", status="failed")
    assert alone.next is not None
    assert alone.next.kind == "void"


# --- what we owe --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["declined", "failed"])
@pytest.mark.parametrize("kind", ["void", "reversal"])
def test_a_refused_release_pauses_longer_and_ends(kind: OperationKind, result: CallResult) -> None:
    given: dict[str, Any] = {"parent": operation("sale", id="op_before", status="succeeded")}
    tries = [left(answered(kind, result, "captured", checks=n, **given)) for n in range(3)]
    assert [(o.status, o.checks, o.lease_until) for o in tries] == [
        ("unknown", 1, NOW + 100),
        ("unknown", 2, NOW + 500),
        (result, 2, None),
    ]
    change = answered(kind, result, "captured", checks=2, **given)
    assert change.task == f"{kind}_refused"
    assert (change.payment.state, change.payment.last_refusal, change.next) == ("captured", None, None)


def test_a_reversal_that_was_refused_for_good_is_no_task_where_its_money_counts() -> None:
    approved = operation("sale", id="op_before", status="succeeded")
    change = answered("reversal", "declined", "unknown", checks=2, parent=approved)
    assert (change.payment.state, change.task) == ("captured", None)
    taken = operation("capture", id="op_before", status="succeeded")
    change = answered("reversal", "declined", "authorized", checks=2, parent=taken)
    assert (change.payment.state, change.task) == ("captured", None)
    twice = answered("reversal", "declined", "authorized", checks=2, parent=taken, replaced=True)
    assert (twice.payment.state, twice.task) == ("authorized", "reversal_refused")


def test_after_a_reversal_that_was_refused_for_good_no_void_is_tried() -> None:
    late = operation("sale", id="op_before", status="succeeded")
    change = answered("reversal", "failed", "failed", checks=2, parent=late)
    assert (change.next, change.task) == (None, "reversal_refused")
    assert answered("reversal", "not_found", "failed", parent=late).next is not None


def test_a_decline_whose_hold_nobody_frees_is_a_decline_and_a_task() -> None:
    held = operation("sale", id="op_before", status="declined", decline_code="suspected_fraud")
    change = answered("reversal", "failed", "processing", checks=2, parent=held)
    assert (change.payment.state, change.payment.decline_code) == ("declined", "suspected_fraud")
    assert change.task == "reversal_refused"


def test_what_a_look_up_will_tell_is_no_task() -> None:
    unknown = operation("sale", id="op_before", status="unknown")
    assert answered("reversal", "failed", "unknown", checks=2, parent=unknown).task is None


def test_a_release_settles_what_is_open_about_its_money() -> None:
    assert "op_before" in settled_by(answered("void", "succeeded", "authorized"))
    assert "op_before" in settled_by(answered("capture", "succeeded", "authorized"))
    part = operation("capture", amount=300, final=False)
    assert "op_before" not in settled_by(answered("capture", "succeeded", "authorized", operation=part))
    assert settled_by(answered("void", "declined", "authorized", requested_by="acc_m")) == set()
    some = answered("refund", "succeeded", "captured", status="unknown", amount_captured=800)
    assert settled_by(some) == {"op"}
    everything = answered("refund", "succeeded", "captured", status="unknown", amount_captured=500)
    assert settled_by(everything) == {"op", "op_before"}
