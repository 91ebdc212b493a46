"""Refunds in the books: written anew or changed, and listed page by page however many there are."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, create_engine, event

from gateway.books.refunds import RefundFilter, RefundRow, list_refunds, put_refund, select_refund
from gateway.books.tables import metadata

EVERY_FILTER = [
    RefundFilter(),
    RefundFilter(party_id="acc_m"),
    RefundFilter(payment_id="pay_1"),
    RefundFilter(party_id="acc_m", payment_id="pay_1"),
]


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as conn:
        yield conn
    engine.dispose()


def refund(number: int, **given: Any) -> RefundRow:
    """A refund of 5; an even one of `pay_0`, an odd one of `pay_1`."""
    usual = {"payment_id": f"pay_{number % 2}", "customer_id": "acc_c", "merchant_id": "acc_m", "amount": 5}
    times = {"created_at": number, "updated_at": number}
    return RefundRow(id=f"ref_{number:03}", currency="EUR", **(usual | times | given))


def listed(conn: Connection, after_id: str | None = None, most: int = 20, **wanted: str) -> list[str]:
    return [row.id for row in list_refunds(conn, after_id, most, RefundFilter(**wanted))]


def test_a_refund_is_written_once_and_changes_only_what_may_change(conn: Connection) -> None:
    first = refund(1, reason="too small")
    put_refund(conn, first)
    assert select_refund(conn, "ref_001") == first
    put_refund(conn, msgspec.structs.replace(first, payment_id="pay_9", reason="x", status="failed", updated_at=9))
    assert select_refund(conn, "ref_001") == msgspec.structs.replace(first, status="failed", updated_at=9)
    assert select_refund(conn, "ref_none") is None


def test_the_newest_come_first_and_a_page_goes_on_after_its_last(conn: Connection) -> None:
    for number in range(5):
        put_refund(conn, refund(number))
    assert listed(conn, most=2) == ["ref_004", "ref_003"]
    assert listed(conn, "ref_003", most=2) == ["ref_002", "ref_001"]
    assert listed(conn, "ref_000") == []
    assert listed(conn, payment_id="pay_1") == ["ref_003", "ref_001"]
    assert listed(conn, "ref_003", payment_id="pay_1") == ["ref_001"]


def test_an_account_sees_what_it_paid_and_what_it_sold_each_once(conn: Connection) -> None:
    put_refund(conn, refund(1, customer_id="acc_a"))
    put_refund(conn, refund(2, merchant_id="acc_a"))
    put_refund(conn, refund(3, customer_id="acc_a", merchant_id="acc_a"))
    put_refund(conn, refund(4))
    assert listed(conn, party_id="acc_a") == ["ref_003", "ref_002", "ref_001"]
    assert listed(conn, most=2, party_id="acc_a") == ["ref_003", "ref_002"]
    assert listed(conn, "ref_002", party_id="acc_a") == ["ref_001"]
    assert listed(conn, party_id="acc_a", payment_id="pay_0") == ["ref_002"]


@pytest.mark.parametrize("wanted", EVERY_FILTER)
@pytest.mark.parametrize("after_id", [None, "ref_500"])
def test_a_page_is_read_in_the_order_of_an_index(
    conn: Connection, wanted: RefundFilter, after_id: str | None
) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(conn, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    list_refunds(conn, after_id, 20, wanted)
    select_refund(conn, "ref_001")
    for statement, parameters in list(asked):
        steps = [row.detail for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        assert len(steps) == 1, steps  # nothing is sorted
        assert "USING INDEX" in steps[0]
        assert steps[0].startswith("SEARCH") or (wanted, after_id) == (RefundFilter(), None)
