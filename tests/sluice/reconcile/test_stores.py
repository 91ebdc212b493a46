"""Books, Kafka and warehouse side by side in the scratch file: what differs is found, page by page."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, update

from gateway.books.opening import migrate, run_once
from gateway.books.operations import operations
from gateway.books.outbox import outbox
from gateway.books.payments import payments
from gateway.books.postings import Posting, postings
from sluice.reconcile import stores
from sluice.reconcile.money import HeldAndDue
from sluice.reconcile.scratch import ReconciledPayment, Scratch
from sluice.reconcile.stores import Cut, put_moved, read_books, without_newer
from tests.gateway.payments import situations
from tests.sluice.reconcile.test_ledger import operation, row

LINE = ReconciledPayment("captured", "EUR", 500, 500, 0)


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    made = Scratch()
    yield made
    made.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(made)
    return made


def put_payments(conn: Connection, count: int) -> None:
    """Captured payments, each with its sale, its postings and its two events, which are pruned."""
    made = [_payment(number) for number in range(count)]
    conn.execute(insert(payments), made)
    conn.execute(insert(operations), [_sale(payment["id"]) for payment in made])
    posted = [
        _posting(payment["id"], *entry) for payment in made for entry in (("due:visa", 500), ("due:m", -500))
    ]
    conn.execute(insert(postings), posted)


def _payment(number: int) -> dict[str, Any]:
    payment = situations.payment("captured", amount_captured=500, recovery_point="finished", sequence=2)
    values = msgspec.structs.asdict(payment)
    return values | {"id": f"pay_{number:06}", "sequence": 2, "updated_at": 7}


def _sale(payment_id: str) -> dict[str, Any]:
    return msgspec.structs.asdict(operation(payment_id.replace("pay", "op"), payment_id=payment_id, finished_at=9))


def _posting(payment_id: str, account: str, amount: int) -> dict[str, Any]:
    posting = Posting(
        id=0,
        source_kind="operation",
        source_id=payment_id.replace("pay", "op"),
        payment_id=payment_id,
        account=account,
        amount=amount,
        currency="EUR",
        recorded_at=9,
    )
    return {name: value for name, value in msgspec.structs.asdict(posting).items() if name != "id"}


def cut_of(url: str, scratch: Scratch, *, unsettled: bool = False) -> Cut:
    cut = read_books(url, scratch, unsettled=unsettled)
    assert cut is not None
    return cut


@pytest.mark.parametrize("page", [2_000, 3, 1])
def test_the_books_are_copied_whole_whatever_the_page(
    url: str, scratch: Scratch, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(stores, "PAGE", page)
    run_once(url, lambda conn: put_payments(conn, 7))
    cut = cut_of(url, scratch)
    assert (scratch.count("books"), scratch.count("operations")) == (7, 7)
    assert [known.posted for known in scratch.posted()] == [HeldAndDue(0, 500)] * 7
    assert cut.posted == {("due:m", "EUR"): (-3500, 7), ("due:visa", "EUR"): (3500, 7)}
    assert (cut.in_doubt.count, cut.unpublished) == (0, 0)


def test_a_cut_knows_its_moment_without_an_event(url: str, scratch: Scratch) -> None:
    run_once(url, lambda conn: put_payments(conn, 2))
    assert cut_of(url, scratch).at == 9  # not 0: everything would have come after it


def test_operations_that_no_event_tells_of_are_counted(url: str, scratch: Scratch) -> None:
    """An earlier release left them: they are missing in SQL until somebody backfills them."""
    told = (("op_000000", {"sequence": 1}), ("op_000001", {"status": "sending"}))
    run_once(url, lambda conn: put_payments(conn, 4))
    for operation_id, values in told:
        change = update(operations).where(operations.c.id == operation_id).values(values)
        run_once(url, lambda conn: conn.execute(change).rowcount)  # noqa: B023
    assert cut_of(url, scratch, unsettled=True).untold == 2


@pytest.mark.parametrize(
    "change",
    [
        update(payments).values(state="unknown"),
        update(payments).values(state="processing"),
        update(operations).values(status="sending", lease_until=5),
        update(operations).values(status="unknown", lease_until=5),
        update(operations).values(status="failed", lease_until=5),  # a processor applied it
    ],
)
def test_what_is_under_way_is_waited_for_and_then_in_doubt(url: str, scratch: Scratch, change: Any) -> None:
    run_once(url, lambda conn: put_payments(conn, 1))
    scratch.add_records([row("op_000000")])
    assert run_once(url, lambda conn: conn.execute(change).rowcount) == 1
    assert read_books(url, scratch, unsettled=False) is None
    assert scratch.count("books") == 0
    cut = cut_of(url, scratch, unsettled=True)
    landed = change.compile().params.get("status") == "failed"  # found with the processors' records
    assert cut.in_doubt.count == (0 if landed else 1)


def test_an_event_that_waits_is_waited_for(url: str, scratch: Scratch) -> None:
    event = {"event_id": "e", "topic": "t", "key": "k", "type": "t", "subject_id": "pay_000000", "sequence": 1}
    run_once(url, lambda conn: conn.execute(insert(outbox), [event | {"value": b"{}", "recorded_at": 1}]) and None)
    assert read_books(url, scratch, unsettled=False) is None
    assert cut_of(url, scratch, unsettled=True).unpublished == 1


def test_kafka_is_compared_by_the_last_event_before_the_cut(url: str, scratch: Scratch) -> None:
    run_once(url, lambda conn: put_payments(conn, 3))
    cut_of(url, scratch)
    before = msgspec.structs.replace(LINE, state="authorized", amount_captured=0)
    for payment_id in ("pay_000000", "pay_000001"):
        for sequence, line in (
            (2, LINE),
            (1, before),
            (2, LINE),
            (3, before),
        ):  # in any order, twice, and after it
            scratch.add_event(payment_id, sequence, line)
    scratch.add_event("pay_000002", 1, LINE)
    scratch.add_event("pay_new", 1, LINE)  # after the cut
    assert list(scratch.differing("kafka")) == []
    assert list(scratch.with_gaps()) == ["pay_000002"]


def test_payments_that_only_kafka_knows_are_named_but_for_those_that_came_since(
    url: str, scratch: Scratch
) -> None:
    run_once(url, lambda conn: put_payments(conn, 1))
    cut_of(url, scratch)
    for payment_id in ("pay_000000", "pay_lost", "pay_lost", "pay_new"):
        scratch.add_event(payment_id, 1, LINE)
    scratch.put_moved(["pay_new"])
    assert list(scratch.strangers()) == ["pay_lost"]


def test_all_are_named_where_all_are_wanted() -> None:
    ids = [f"pay_{number}" for number in range(30)]
    assert str(stores.SomeIds(ids)).endswith("pay_19, …")
    assert str(stores.SomeIds(ids, most=30)) == ", ".join(ids)


def test_the_warehouse_is_compared_but_for_what_moved_since(url: str, scratch: Scratch) -> None:
    run_once(url, lambda conn: put_payments(conn, 3))
    cut = cut_of(url, scratch)
    other = msgspec.structs.replace(LINE, amount_refunded=1)
    scratch.put_warehouse([("pay_000000", LINE), ("pay_000001", other), ("pay_new", LINE)])
    assert sorted(scratch.differing("warehouse")) == ["pay_000001", "pay_000002", "pay_new"]
    scratch.put_moved(["pay_000001", "pay_new"])
    assert list(scratch.differing("warehouse")) == ["pay_000002"]
    assert list(scratch.lines("warehouse")) == [LINE, LINE]
    put_moved(url, cut, scratch)
    scratch.put_warehouse([(f"pay_{number:06}", LINE) for number in range(3)])
    assert list(scratch.differing("warehouse")) == []


def test_records_are_put_beside_their_operations(url: str, scratch: Scratch) -> None:
    run_once(url, lambda conn: put_payments(conn, 2))
    cut_of(url, scratch)
    records = [row("op_000000", id=1), row("op_000000", id=2), row("op_newer", id=3), row("op_none", id=4)]
    scratch.add_records(records)
    first, second = scratch.at_processors()
    assert (first.payment_id, len(first.operations), first.records) == ("pay_000000", 1, records[:2])
    assert (second.records, second.posted) == ([], HeldAndDue(0, 500))
    assert list(scratch.unknown_records()) == records[2:]
    newer = msgspec.structs.asdict(operation("op_newer", payment_id="pay_000001"))
    run_once(url, lambda conn: conn.execute(insert(operations), [newer]) and None)
    assert list(without_newer(url, scratch.unknown_records())) == records[3:]


def test_memory_does_not_grow_with_the_payments(
    url: str, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "PAGE", 100)
    run_once(url, lambda conn: put_payments(conn, 8_000))
    tracemalloc.start()
    try:
        cut_of(url, scratch)
        for number in range(8_000):
            scratch.add_event(f"pay_{number:06}", 2, LINE)
        assert sum(1 for _ in scratch.at_processors()) == 8_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
