"""What an answer to an operation posts, without books or clock."""

from typing import Any, get_args

import pytest

from connectors.processors.contract import CallResult
from gateway.books.postings import Entries, negated
from gateway.payments.transitions import takes_back
from schemas.operations import OperationKind, OperationStatus
from schemas.states import STATES, PaymentState
from tests.gateway.payments.situations import NOW, answered, operation
from tests.gateway.payments.stored import HELD, RELEASED, TAKEN

KINDS: tuple[OperationKind, ...] = get_args(OperationKind)


def posted(change: Any) -> list[tuple[str, Entries]]:
    """What a change posts, operation by operation."""
    return [(posting.operation.id, posting.entries) for posting in change.postings]


@pytest.mark.parametrize(("kind", "entries"), [("authorize", HELD), ("sale", TAKEN)])
def test_an_approval_is_posted_whatever_its_payment_is(kind: OperationKind, entries: Entries) -> None:
    for state in STATES:
        assert posted(answered(kind, "succeeded", state)) == [("op", entries)]


def moved(due: int = 0, hold: int = 0) -> Entries:
    """The entries of an amount that comes to be due or held; one of them."""
    account, amount = ("due", due) if due else ("hold", hold)
    return ((f"{account}:visa", amount), (f"{account}:acc_m", -amount))


def test_a_capture_takes_its_own_amount_and_as_much_off_the_hold() -> None:
    part = operation("capture", amount=300)
    for state, taken in (("authorized", 0), ("partially_captured", 200)):
        change = answered("capture", "succeeded", state, operation=part, amount_captured=taken)  # type: ignore[arg-type]
        assert posted(change) == [("op", moved(due=300)), ("op", moved(hold=-300))]
    whole = operation("capture")
    assert posted(answered("capture", "succeeded", "authorized", operation=whole)) == [
        ("op", TAKEN),
        ("op", RELEASED),
    ]


@pytest.mark.parametrize(("final", "freed"), [(True, 500), (False, 300)])
def test_a_final_capture_that_frees_the_rest_takes_all_of_it_off_the_hold(final: bool, freed: int) -> None:
    part = operation("capture", amount=300, final=final, processor="paypal")
    (_, due), (_, hold) = posted(answered("capture", "succeeded", "authorized", operation=part))
    assert due == (("due:paypal", 300), ("due:acc_m", -300))
    assert hold == (("hold:paypal", -freed), ("hold:acc_m", freed))


@pytest.mark.parametrize("state", STATES)
def test_a_capture_that_is_to_be_taken_back_takes_nothing_off_the_hold(state: PaymentState) -> None:
    late = operation("capture", amount=300)
    change = answered("capture", "succeeded", state, operation=late, replaced=True)
    assert posted(change) == [("op", moved(due=300))]


def test_a_capture_takes_its_part_off_the_hold_when_its_reversal_found_nothing() -> None:
    capture = operation("capture", id="op_before", status="succeeded", amount=300, final=False)
    change = answered("reversal", "not_found", "authorized", parent=capture)
    assert posted(change) == [("op_before", moved(hold=-300))]
    assert posted(answered("reversal", "not_found", "authorized", parent=capture, replaced=True)) == []


@pytest.mark.parametrize("state", STATES)
def test_a_refund_takes_its_amount_off_what_is_due(state: PaymentState) -> None:
    part = operation("refund", amount=300)
    assert posted(answered("refund", "succeeded", state, operation=part)) == [("op", moved(due=-300))]


def test_the_release_of_a_rest_posts_what_is_left_of_the_hold() -> None:
    parent = operation("authorize", id="op_before", status="succeeded")
    void = operation("void", amount=200)
    change = answered(
        "void",
        "succeeded",
        "partially_captured",
        operation=void,
        parent=parent,
        parent_entries=moved(hold=200),
        amount_captured=300,
    )
    assert posted(change) == [("op", moved(hold=-200))]
    assert posted(answered("void", "succeeded", "captured", operation=void, parent=parent)) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("result", ["declined", "failed", "unknown", "not_found"])
def test_nothing_is_posted_without_a_success(kind: OperationKind, result: CallResult) -> None:
    parent = operation("sale", id="op_before", status="unknown")
    assert posted(answered(kind, result, "processing", parent=parent, parent_entries=TAKEN)) == []


def test_an_order_posts_nothing() -> None:
    assert posted(answered("order", "succeeded", "processing")) == []


@pytest.mark.parametrize("kind", ["void", "reversal"])
@pytest.mark.parametrize("status", ["succeeded", "declined"])
def test_what_is_taken_back_undoes_what_was_posted(kind: OperationKind, status: OperationStatus) -> None:
    parent = operation("authorize", id="op_before", status=status)
    entries = HELD if status == "succeeded" else ()
    change = answered(kind, "succeeded", "authorized", parent=parent, parent_entries=entries)
    assert posted(change) == ([("op", negated(HELD))] if entries else [])
    assert [update.operation.id for update in change.updates] == ["op"]


@pytest.mark.parametrize("status", ["sending", "unknown", "failed"])
def test_what_a_reversal_found_is_booked_as_having_happened(status: OperationStatus) -> None:
    parent = operation("sale", id="op_before", status=status, lease_until=5)
    change = answered("reversal", "succeeded", "unknown", parent=parent)
    assert posted(change) == [("op_before", TAKEN), ("op", negated(TAKEN))]
    reversal, booked = change.updates
    assert (reversal.operation.status, reversal.from_status) == ("succeeded", "sending")
    assert (booked.operation.id, booked.from_status) == ("op_before", status)
    after = booked.operation
    assert (after.status, after.lease_until, after.finished_at) == ("succeeded", None, NOW)


def test_a_reversal_that_found_nothing_books_nothing() -> None:
    parent = operation("sale", id="op_before", status="unknown")
    change = answered("reversal", "not_found", "unknown", parent=parent)
    assert [update.operation.id for update in change.updates] == ["op"]
    assert posted(change) == []


def test_a_void_never_books_its_parent_anew() -> None:
    parent = operation("authorize", id="op_before", status="unknown")
    change = answered("void", "succeeded", "authorized", parent=parent, parent_entries=HELD)
    assert posted(change) == [("op", negated(HELD))]
    assert len(change.updates) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_only_voids_and_reversals_take_back(kind: OperationKind) -> None:
    assert takes_back(kind) is (kind in ("void", "reversal"))
