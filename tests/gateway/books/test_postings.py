"""Double entry: whatever becomes of a payment, its postings add up to zero, and to what was really taken."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway.books.operations import Operation, open_operation
from gateway.books.postings import (
    Entries,
    Posting,
    Unbalanced,
    entries_of,
    negated,
    off_hold,
    post,
    postings,
    select_standing,
)
from schemas.operations import OperationKind

amounts = st.integers(1, 10**12)
SALE: Entries = (("a", 5), ("b", -5))


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


def balance_of(*posted: Entries) -> dict[str, int]:
    """What entries come to per account, without those at zero; each of them adds up to zero."""
    assert [sum(amount for _, amount in entries) for entries in posted] == [0] * len(posted)
    balance: Counter[str] = Counter()
    for account, amount in (entry for entries in posted for entry in entries):
        balance[account] += amount
    return {account: amount for account, amount in balance.items() if amount}


def moved(account: str, amount: int) -> dict[str, int]:
    """An amount at the processor, and the same for the merchant with the other sign."""
    return {f"{account}:visa": amount, f"{account}:acc_m": -amount} if amount else {}


@given(amounts)
def test_a_sale_is_due_at_once_and_undone_as_a_whole(amount: int) -> None:
    sale = entries_of(operation("sale", amount), "acc_m")
    assert balance_of(sale) == moved("due", amount)
    assert balance_of(sale, negated(sale)) == {}


@given(st.lists(amounts, min_size=1, max_size=4), st.integers(0, 10**12))
def test_what_is_captured_in_parts_comes_off_the_hold_and_the_rest_stays(parts: list[int], rest: int) -> None:
    posted = [entries_of(operation("authorize", sum(parts) + rest), "acc_m")]
    for part in parts:
        posted += [
            entries_of(operation("capture", part), "acc_m"),
            off_hold(operation("capture", part), "acc_m", part),
        ]
    assert balance_of(*posted) == moved("due", sum(parts)) | moved("hold", rest)


@given(amounts, st.data())
def test_what_is_given_back_is_no_longer_due(amount: int, data: st.DataObject) -> None:
    back = data.draw(st.integers(1, amount))
    posted = [entries_of(operation(kind, of), "acc_m") for kind, of in (("capture", amount), ("refund", back))]  # type: ignore[arg-type]
    assert balance_of(*posted) == moved("due", amount - back)


@pytest.mark.parametrize("kind", ["order", "void", "reversal"])
def test_only_what_moves_money_forward_has_entries_of_its_own(kind: OperationKind) -> None:
    assert entries_of(operation(kind, 5), "acc_m") == ()


@pytest.mark.parametrize(
    ("kind", "standing"), [("void", ()), ("reversal", ()), ("capture", ()), ("refund", SALE), ("order", SALE)]
)
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
