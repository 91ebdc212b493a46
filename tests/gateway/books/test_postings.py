"""Double entry: whatever becomes of a payment, its postings add up to zero, and to what was really taken."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from gateway.books.operations import Operation, OperationKind
from gateway.books.postings import Entries, Unbalanced, entries_of, negated, post, postings, select_entries

amounts = st.integers(1, 10**12)
LIVES: list[list[OperationKind]] = [
    ["sale"],
    ["sale", "void"],
    ["sale", "reversal"],
    ["authorize"],
    ["authorize", "void"],
    ["authorize", "reversal"],
    ["authorize", "capture"],
    ["authorize", "capture", "reversal"],
    ["authorize", "capture", "reversal", "capture"],
]


def operation(kind: OperationKind, amount: int) -> Operation:
    return Operation(
        id=f"op_{kind}",
        payment_id="pay",
        attempt_id="att",
        processor="visa",
        kind=kind,
        amount=amount,
        currency="EUR",
        created_at=0,
    )


@given(st.sampled_from(LIVES), amounts, st.data())
def test_a_payments_postings_add_up(life: list[OperationKind], amount: int, data: st.DataObject) -> None:
    balance: Counter[str] = Counter()
    posted: Entries = ()
    taken, held = 0, 0
    for kind in life:
        moved = data.draw(st.integers(1, amount)) if kind == "capture" else amount
        back = kind in ("void", "reversal")
        posted = negated(posted) if back else entries_of(operation(kind, moved), "acc_m", held)
        assert sum(value for _, value in posted) == 0
        for account, value in posted:
            balance[account] += value
        taken = moved if kind in ("sale", "capture") else 0
        held = amount if kind == "authorize" or (back and "capture" in life) else 0
    assert balance["due:visa"] == taken == -balance["due:acc_m"]
    assert balance["hold:visa"] == held == -balance["hold:acc_m"]


@given(amounts)
def test_a_second_capture_finds_nothing_to_release(second: int) -> None:
    assert entries_of(operation("capture", second), "acc_m", 0) == (("due:visa", second), ("due:acc_m", -second))


def test_what_was_posted_is_read_back_in_order() -> None:
    with create_engine("sqlite://").begin() as conn:
        postings.create(conn)
        assert select_entries(conn, "op_sale") == ()
        post(conn, operation("sale", 5), (("a", 5), ("b", -5)), 0)
        assert select_entries(conn, "op_sale") == (("a", 5), ("b", -5))


def test_entries_that_do_not_balance_never_reach_the_books() -> None:
    with create_engine("sqlite://").begin() as conn:
        postings.create(conn)
        with pytest.raises(Unbalanced):
            post(conn, operation("sale", 5), (("a", 5), ("b", -4)), 0)
        assert conn.execute(postings.select()).all() == []
