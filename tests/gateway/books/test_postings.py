"""Double entry: whatever becomes of a payment, its postings add up to zero, and to what was really taken."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from gateway.books.operations import Operation, OperationKind
from gateway.books.postings import Unbalanced, entries, post, postings

amounts = st.integers(1, 10**12)
LIVES: list[list[tuple[OperationKind, OperationKind | None]]] = [
    [("sale", None)],
    [("sale", None), ("void", "sale")],
    [("sale", None), ("reversal", "sale")],
    [("authorize", None)],
    [("authorize", None), ("void", "authorize")],
    [("authorize", None), ("reversal", "authorize")],
    [("authorize", None), ("capture", "authorize")],
]


def operation(kind: OperationKind, amount: int) -> Operation:
    return Operation(
        id=f"op_{kind}",
        payment="pay",
        attempt="att",
        processor="visa",
        kind=kind,
        amount=amount,
        currency="EUR",
        created_at=0,
    )


@given(st.sampled_from(LIVES), amounts, st.data())
def test_a_payments_postings_add_up(
    life: list[tuple[OperationKind, OperationKind | None]], amount: int, data: st.DataObject
) -> None:
    balance: Counter[str] = Counter()
    taken = 0
    for kind, undone in life:
        moved = data.draw(st.integers(1, amount)) if kind == "capture" else amount
        posted = entries(operation(kind, moved), undone, "acc_m", amount)
        assert sum(value for _, value in posted) == 0
        for account, value in posted:
            balance[account] += value
        taken = {"sale": moved, "capture": moved, "void": 0, "reversal": 0}.get(kind, taken)
    assert balance["due:visa"] == taken == -balance["due:acc_m"]
    ended = life[-1][0] != "authorize"
    assert balance["hold:visa"] == (0 if ended else amount) == -balance["hold:acc_m"]


def test_entries_that_do_not_balance_never_reach_the_books() -> None:
    with create_engine("sqlite://").begin() as conn:
        postings.create(conn)
        with pytest.raises(Unbalanced):
            post(conn, operation("sale", 5), [("a", 5), ("b", -4)], 0)
        assert conn.execute(postings.select()).all() == []
