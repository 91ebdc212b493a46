"""Books of before there were events of operations and reviews: what is told afterwards is all there is, once."""

from collections.abc import Awaitable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from benchmarks.machine.told import mistold
from gateway.books.opening import open_books
from gateway.books.operations import operations
from gateway.books.outbox import outbox
from gateway.books.postings import post
from gateway.books.reviews import reviews
from gateway.books.tables import ABOVE_ALL_IDS
from gateway.payments import backfill
from gateway.payments.backfill import BackfilledEvents, tell_operations, tell_reviews, tell_untold
from gateway.payments.held import end_review, open_review
from schemas.topics import OPERATIONS, REVIEWS
from tests.gateway.databases import Databases, Kind
from tests.gateway.payments.stored import TAKEN, operation_in, payment_in
from tests.gateway.payments.test_answers_in_any_order import Life, any_result

COUNT = 7  # operations, and reviews


def forget(conn: Connection) -> None:
    """As an earlier release has left them."""
    conn.execute(outbox.delete().where(outbox.c.topic.in_([OPERATIONS.name, REVIEWS.name])))
    for table in (operations, reviews):
        conn.execute(table.update().values(sequence=0))


@given(data=st.data())
@settings(max_examples=40)
def test_whatever_an_earlier_release_left_is_told_once_whoever_comes_to_it_first(
    databases: Databases, database: Kind, data: st.DataObject
) -> None:
    with databases.transaction(database) as conn:
        life = Life(conn, data, any_result)
        for _ in range(data.draw(st.integers(0, 12))):
            life.move()
        forget(conn)
        for _ in range(data.draw(st.integers(0, 6))):
            life.move()
        told = tell_operations(conn, "", ABOVE_ALL_IDS) + tell_reviews(conn, "", ABOVE_ALL_IDS)
        assert list(mistold(conn, "pay")) == []
        assert tell_operations(conn, "", ABOVE_ALL_IDS) + tell_reviews(conn, "", ABOVE_ALL_IDS) == 0
        assert told <= conn.execute(select(func.count()).select_from(outbox)).scalar_one()
        for _ in range(data.draw(st.integers(0, 6))):
            life.move()
            assert list(mistold(conn, "pay")) == []


def put_old_rows(conn: Connection) -> None:
    """Payments with a sale each, and a review that was opened, decided or has expired."""
    for number in range(COUNT):
        payment = payment_in(conn, "captured", id=f"pay_{number}")
        sale = operation_in(
            conn,
            "sale",
            id=f"op_{number}",
            payment_id=payment.id,
            status="succeeded",
            finished_at=2000,
        )
        post(conn, sale, TAKEN, 2000)
        review_id = open_review(conn, payment, 1000)
        if number % 3:
            end_review(conn, payment, review_id, "approve", "known", "acc_a" if number % 3 == 1 else None, 2000)
    forget(conn)


async def test_the_walk_goes_page_by_page_and_may_be_stopped_and_begun_again(
    databases: Databases, database: Kind, tmp_path: Path, monkeypatch: object
) -> None:
    monkeypatch.setattr(backfill, "LOOKED_AT", 3)  # type: ignore[attr-defined]
    monkeypatch.setattr(backfill, "AT_ONCE", 2)  # type: ignore[attr-defined]
    url = databases.empty(database, tmp_path)
    books = open_books(url)
    await books.write(put_old_rows)
    pages = 0

    async def published() -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise ConnectionError

    async def stopped(work: Awaitable[BackfilledEvents]) -> bool:
        try:
            await work
        except ConnectionError:
            return True
        return False

    assert await stopped(tell_untold(books, published))
    assert await tell_untold(books, published) == BackfilledEvents(operations=1, reviews=COUNT)
    assert await tell_untold(books, published) == BackfilledEvents()
    for number in range(COUNT):
        assert await books.read(lambda conn: list(mistold(conn, f"pay_{number}"))) == []  # noqa: B023
    await books.close()
    databases.drop(url)
