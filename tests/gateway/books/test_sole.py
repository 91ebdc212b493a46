"""One gateway per SQLite file: a second one is refused; a database is waited for, for a while."""

from pathlib import Path

import pytest

from gateway.books import sole
from gateway.books.sole import BooksTaken, books_at_hand


async def test_a_second_gateway_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    async with books_at_hand(url):
        with pytest.raises(BooksTaken, match="another gateway runs on"):
            async with books_at_hand(url):
                pass
    async with books_at_hand(url):
        pass


async def test_a_database_that_never_comes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sole, "AWAITED_S", 0.3)
    with pytest.raises(BooksTaken, match="does not answer"):
        async with books_at_hand("postgresql://localhost:1/books"):
            pass
