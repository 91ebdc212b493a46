"""Books with a table of the tests' own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from gateway.books.engine import Books
from gateway.books.opening import open_books, run_once
from tests.gateway.databases import Databases, Kind


@pytest.fixture
def url(databases: Databases, database: Kind, tmp_path: Path) -> Iterator[str]:
    """Books with an empty table `things`."""
    made = databases.empty(database, tmp_path)
    run_once(made, _make_things)
    yield made
    databases.drop(made)


@pytest.fixture
async def books(url: str) -> AsyncIterator[Books]:
    """The books, opened."""
    books = open_books(url)
    yield books
    await books.close()


def _make_things(conn: Connection) -> None:
    conn.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY, number INTEGER NOT NULL DEFAULT 0)")
