"""What an answer to an operation posts, without books or clock."""

from typing import Any, get_args

import pytest

from connectors.processors.contract import CallResult
from gateway.books.operations import OperationKind, OperationStatus
from gateway.books.postings import Entries, negated
from gateway.payments.transitions import draws_on_parent
from schemas.states import STATES
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


def test_a_capture_releases_the_hold_and_takes_its_own_amount() -> None:
    part = operation("capture", amount=300)
    taken = (("due:visa", 300), ("due:acc_m", -300))
    assert posted(answered("capture", "succeeded", "authorized", operation=part)) == [("op", RELEASED + taken)]
    assert posted(answered("capture", "succeeded", "captured", operation=part)) == [("op", taken)]


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
    assert draws_on_parent(kind) is (kind in ("capture", "void", "reversal"))
