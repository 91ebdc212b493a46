"""Of which captures a refund is drawn: processors give back one capture at a time, and no more than it took."""

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.books.operations import Operation
from gateway.books.refunds import RefundRow
from gateway.payments.changes import following, refund_part
from schemas.operations import OperationStatus
from tests.gateway.payments.situations import operation, refund

amounts = st.integers(1, 1000)


def capture(number: int, amount: int, status: OperationStatus = "succeeded") -> Operation:
    return operation("capture", id=f"op_{number}", amount=amount, status=status)


def back(id: str, parent_id: str | None, amount: int, status: OperationStatus = "succeeded") -> Operation:
    return operation("refund", id=id, parent_id=parent_id, amount=amount, status=status)


def undone(parent: Operation, status: OperationStatus = "succeeded") -> Operation:
    return operation("reversal", id=f"{parent.id}_back", parent_id=parent.id, amount=parent.amount, status=status)


def drawn_on(amount: int, *operations: Operation) -> tuple[str | None, int] | None:
    """The capture that the next call of a refund of `amount` is about, and the call's amount."""
    part = refund_part(refund(amount), operations, None)
    return (part.parent_id, part.amount) if part else None


def test_the_call_names_its_capture_and_who_asked() -> None:
    sale = operation("sale", amount=300, status="succeeded", processor_reference="ref")
    part = refund_part(refund(200), (sale,), "acc_m")
    assert part == msgspec.structs.replace(following("refund", sale, 200), refund_id="ref", requested_by="acc_m")


def test_the_first_capture_with_enough_left_is_drawn_on_else_the_oldest() -> None:
    small, large = capture(1, 100), capture(2, 300)
    assert drawn_on(100, small, large) == ("op_1", 100)
    assert drawn_on(101, small, large) == ("op_2", 101)
    assert drawn_on(301, small, large) == ("op_1", 100)
    assert drawn_on(200, small, large, back("op_3", large.id, 101)) == ("op_1", 100)


def test_only_what_is_missing_of_a_refund_is_drawn() -> None:
    part = refund_part(refund(300, amount_refunded=250), (capture(1, 300),), None)
    assert part is not None
    assert part.amount == 50


def test_nothing_is_drawn_where_nothing_is_left() -> None:
    whole = capture(1, 100)
    assert drawn_on(100) is None
    assert drawn_on(100, whole, back("op_2", whole.id, 100)) is None
    assert drawn_on(100, whole, back("op_2", whole.id, 80), back("op_3", whole.id, 60)) is None
    for status in ("sending", "unknown", "failed", "declined"):
        assert drawn_on(100, capture(1, 100, status)) is None  # type: ignore[arg-type]
    assert drawn_on(100, operation("authorize", status="succeeded")) is None


def test_what_was_undone_or_is_being_undone_does_not_count() -> None:
    first, second = capture(1, 100), capture(2, 100)
    for status in ("succeeded", "sending", "unknown"):
        assert drawn_on(50, first, second, undone(first, status)) == ("op_2", 50)  # type: ignore[arg-type]
        given_back = back("op_3", first.id, 100)
        assert drawn_on(50, first, given_back, undone(given_back, status)) == ("op_1", 50)  # type: ignore[arg-type]
    assert drawn_on(50, first, second, undone(first, "failed")) == ("op_1", 50)
    assert drawn_on(50, first, back("op_3", first.id, 100, "failed")) == ("op_1", 50)


@given(st.lists(amounts, min_size=1, max_size=5), st.data())
def test_parts_come_to_what_was_asked_and_to_no_more_of_a_capture_than_it_took(
    taken: list[int], data: st.DataObject
) -> None:
    captures = [capture(number, amount) for number, amount in enumerate(taken)]
    gone = [o for o in captures[1:] if data.draw(st.booleans())]
    history: list[Operation] = [*captures, *map(undone, gone)]
    left = sum(taken) - sum(o.amount for o in gone)
    while left:  # several refunds, until all is given back
        row = refund(data.draw(st.integers(1, left)))
        parts = _parts_of(row, history)
        assert sum(part.amount for part in parts) == row.amount
        history += parts
        left -= row.amount
    drawn: Counter[str | None] = Counter()
    for part in history[len(captures) + len(gone) :]:
        drawn[part.parent_id] += part.amount
    assert drawn == {o.id: o.amount for o in captures if o not in gone}
    assert drawn_on(1, *history) is None


def _parts_of(row: RefundRow, history: list[Operation]) -> list[Operation]:
    """The calls of a refund that all succeed, as each of them is chosen after the one before."""
    parts: list[Operation] = []
    while row.amount_refunded < row.amount:
        next = refund_part(row, [*history, *parts], None)
        assert next is not None
        parts.append(back(f"{len(history)}_{len(parts)}", next.parent_id, next.amount))
        row = msgspec.structs.replace(row, amount_refunded=row.amount_refunded + next.amount)
    return parts
