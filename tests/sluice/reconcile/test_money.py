"""What processors hold and owe by their own records: parts, refunds, releases that no record tells of."""

from typing import Any

import pytest

from gateway.books.operations import Operation
from schemas.payments import ProcessorName
from sluice.reconcile.ledger import ProcessorRecord, differences
from sluice.reconcile.money import HeldAndDue, by_processors
from tests.sluice.reconcile.test_ledger import CUT, operation, row


def authorized(processor: ProcessorName = "visa") -> Operation:
    return operation("op_a", kind="authorize", processor=processor, amount=1000)


def following(id: str, kind: str, amount: int, processor: ProcessorName = "visa", **given: Any) -> Operation:
    return operation(id, kind=kind, amount=amount, processor=processor, parent_id="op_a", **given)


def record(id: int, request_id: str, kind: str, amount: int, of: int | None = None) -> ProcessorRecord:
    return row(request_id, id=id, operation=kind, amount=amount, of=of)


HOLD = record(1, "op_a", "authorize", 1000)
PART = record(2, "op_c", "capture", 300, of=1)


def money(operations: list[Operation], rows: list[ProcessorRecord]) -> HeldAndDue:
    return by_processors(operations, rows).get("pay_1", HeldAndDue())


def test_what_is_not_captured_is_held() -> None:
    part = following("op_c", "capture", 300, final=False)
    assert money([authorized()], [HOLD]) == HeldAndDue(held=1000)
    assert money([authorized(), part], [HOLD, PART]) == HeldAndDue(held=700, due=300)


def test_a_void_of_the_rest_leaves_what_was_captured() -> None:
    part, rest = following("op_c", "capture", 300), following("op_v", "void", 700)
    released = record(3, "op_v", "reversal", 700, of=1)
    assert money([authorized(), part, rest], [HOLD, PART, released]) == HeldAndDue(due=300)


@pytest.mark.parametrize("final", [True, False])
def test_a_final_capture_releases_by_itself_where_the_processor_says_so(final: bool) -> None:
    part = following("op_c", "capture", 300, "paypal", final=final)
    assert money([authorized("paypal"), part], [HOLD, PART]) == HeldAndDue(held=0 if final else 700, due=300)


def test_a_rest_without_a_call_lapses_with_its_hold() -> None:
    part = following("op_c", "capture", 300, "mastercard")
    rest = following("op_v", "void", 700, "mastercard")
    operations = [authorized("mastercard"), part, rest]
    assert money(operations, [HOLD, PART]) == HeldAndDue(due=300)
    assert list(differences(operations, [HOLD, PART], CUT)) == []


def test_a_void_that_has_a_call_has_a_record() -> None:
    part, rest = following("op_c", "capture", 300), following("op_v", "void", 700)
    (difference,) = differences([authorized(), part, rest], [HOLD, PART], CUT)
    assert "op_v" in difference


def test_refunds_are_no_longer_due_and_what_was_taken_back_counts_for_nothing() -> None:
    operations = [operation("op_s"), following("op_r", "refund", 200), following("op_q", "refund", 100)]
    sale, refund = record(1, "op_s", "sale", 500), record(2, "op_r", "refund", 200, of=1)
    undone = [record(3, "op_q", "refund", 100, of=1), record(4, "op_x", "void", 100, of=3)]
    assert money(operations, [sale, refund, *undone]) == HeldAndDue(due=300)
    assert money(operations, [sale, record(5, "op_y", "void", 500, of=1)]) == HeldAndDue()


def test_a_hold_of_an_authorization_that_was_given_up_is_seen() -> None:
    """As CyberSource's AUTHORIZED_RISK_DECLINED that lands after the last look at it."""
    for status in ("failed", "declined"):
        late = operation("op_a", kind="sale", amount=1000, status=status)
        assert money([late], [HOLD]) == HeldAndDue(held=1000)
        (difference,) = differences([late], [HOLD], CUT)
        assert "op_a" in difference


def test_what_was_released_by_hand_and_found_released_is_no_difference() -> None:
    void = following("op_v", "void", 1000)
    by_hand = record(2, "op_elsewhere", "reversal", 1000, of=1)
    assert money([authorized(), void], [HOLD, by_hand]) == HeldAndDue()
    assert list(differences([authorized(), void], [HOLD, by_hand], CUT)) == []
    (unknown,) = differences([authorized()], [HOLD, by_hand], CUT)
    assert "op_elsewhere" in unknown


@pytest.mark.parametrize(("outcome", "held"), [("lapsed", 0), ("released", 1000)])
def test_what_a_person_said_needs_no_record_and_its_money_is_compared(outcome: str, held: int) -> None:
    void = following("op_v", "void", 1000)
    lapsed = ["op_a"] if outcome == "lapsed" else []
    found = by_processors([authorized(), void], [HOLD], lapsed).get("pay_1", HeldAndDue())
    assert found == HeldAndDue(held=held)
    assert list(differences([authorized(), void], [HOLD], CUT, {"op_a": outcome})) == []


def test_a_hold_that_is_a_persons_task_is_no_difference_beside() -> None:
    declined = operation("op_a", kind="authorize", amount=1000, status="declined")
    assert list(differences([declined], [HOLD], CUT, {"op_a": "open"})) == []


@pytest.mark.parametrize("said", [True, False])
def test_what_was_given_back_by_hand_counts_once_a_person_said_so(said: bool) -> None:
    taken = [authorized(), following("op_c", "capture", 300)]
    ours = operation("op_r", kind="refund", amount=300, parent_id="op_c")
    by_hand = record(3, "their_desk", "refund", 300, of=2)
    operations, rows = [*taken, *([ours] if said else [])], [HOLD, PART, by_hand]
    assert money(operations, rows) == HeldAndDue(held=700)
    assert (list(differences(operations, rows, CUT)) == []) == said
