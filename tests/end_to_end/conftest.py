"""One real stack for all tests of this folder, a shop that uses it, and a history to replay."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import duckdb
import pytest

from tests.conftest import unused_offset
from tests.end_to_end.collector import Collector, collecting
from tests.end_to_end.shop import Shop
from tests.end_to_end.stack import Stack


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the stack sends its spans."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def stack(
    class_path: list[Path], collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """All processes with the demo accounts, started once for the whole run."""
    place = tmp_path_factory.mktemp("stack") / "data"
    with Stack(place, unused_offset(), traces=collector.url).running() as stack:
        yield stack


@pytest.fixture(scope="session")
def session_shop(stack: Stack) -> Shop:
    """A shop whose logins are kept for the whole run."""
    return Shop(stack)


@pytest.fixture
def shop(session_shop: Shop) -> Iterator[Shop]:
    """The shop, with no faults ordered before and after the test."""
    session_shop.clear_faults()
    yield session_shop
    session_shop.clear_faults()


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """`history(n)`: a file of n transactions, on a day of its own, so that each replay is ordinary shopping."""
    days = count()
    directory = tmp_path_factory.mktemp("history")

    def make(transactions: int) -> Path:
        day = next(days)
        path = directory / f"{day}.parquet"
        rows = f"""SELECT n AS tx_id, n % 60 AS card_id, n % 20 AS merchant_id, 5 + n % 40 + 0.25 AS amount,
                   TIMESTAMP '2020-01-01' + INTERVAL {day} DAY + INTERVAL (n * 2) MINUTE AS ts
                   FROM range({transactions}) AS t(n)"""
        with duckdb.connect() as db:
            db.sql(rows).write_parquet(str(path))
        return path

    return make
