"""Double entry: whatever becomes of a payment, its postings add up to zero, and to what was really taken."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway.books.operations import Operation, OperationKind, open_operation
from gateway.books.postings import (
    Entries,
    Posting,
    Unbalanced,
    entries_of,
    negated,
    post,
    postings,
    select_standing,
)

amounts = st.integers(1, 10**12)
SALE: Entries = (("a", 5), ("b", -5))
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


@pytest.mark.parametrize("kind", ["order", "void", "reversal"])
def test_only_what_moves_money_forward_has_entries_of_its_own(kind: OperationKind) -> None:
    assert entries_of(operation(kind, 5), "acc_m", 5) == ()


@pytest.mark.parametrize(("kind", "standing"), [("void", ()), ("reversal", ()), ("refund", SALE)])
def test_what_an_operation_posted_stands_until_it_is_undone(
    conn: Connection, kind: OperationKind, standing: Entries
) -> None:
    sale, after = operation("sale", 5), msgspec.structs.replace(operation(kind, 5), parent_id="op_sale")
    open_operation(conn, sale)
    assert select_standing(conn, "pay", sale.id) == ()
    post(conn, sale, SALE, 0)
    assert select_standing(conn, "pay", sale.id) == SALE
    conn.exec_driver_sql("UPDATE operations SET status = 'succeeded'")
    open_operation(conn, after)
    post(conn, after, negated(SALE), 0)
    assert select_standing(conn, "pay", sale.id) == standing


def test_entries_that_do_not_balance_never_reach_the_books(conn: Connection) -> None:
    with pytest.raises(Unbalanced):
        post(conn, operation("sale", 5), (("a", 5), ("b", -4)), 0)
    assert conn.execute(postings.select()).all() == []


def test_a_posting_says_where_it_comes_from_and_when_it_was_recorded(conn: Connection) -> None:
    post(conn, operation("sale", 5), (("a", 5), ("b", -5)), 7)
    first, _ = (Posting(**row._mapping) for row in conn.execute(postings.select()))
    fixed = {"source_kind": "operation", "source_id": "op_sale", "payment_id": "pay", "currency": "EUR"}
    assert msgspec.structs.asdict(first) == fixed | {"id": first.id, "account": "a", "amount": 5, "recorded_at": 7}


def test_postings_of_a_dispute_or_fee_are_not_those_of_an_operation(conn: Connection) -> None:
    open_operation(conn, operation("sale", 5))
    post(conn, operation("sale", 5), (("a", 5), ("b", -5)), 0)
    conn.exec_driver_sql("UPDATE postings SET source_kind = 'fee' WHERE account = 'a'")
    assert select_standing(conn, "pay", "op_sale") == (("b", -5),)


def test_the_id_of_a_posting_is_never_given_again(conn: Connection) -> None:
    given = set()
    for _ in range(2):
        post(conn, operation("sale", 5), (("a", 5), ("b", -5)), 0)
        given |= {row.id for row in conn.execute(postings.select())}
        conn.execute(postings.delete())
    assert len(given) == 4


def test_a_posting_is_written_by_name_and_cannot_be_altered() -> None:
    assert Posting.__struct_config__.frozen
    with pytest.raises(TypeError):
        Posting(1, "operation", "op", "pay", "a", 5, "EUR", 0)  # type: ignore[call-arg]
