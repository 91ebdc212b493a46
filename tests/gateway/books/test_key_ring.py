"""The ring of persons' keys, and the books that fetch what a function lacks."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection

from gateway.books import key_ring
from gateway.books.key_ring import KeyRing
from gateway.books.personal_books import FETCHES_MAX, PersonalBooks
from gateway.books.persons import LOOKUPS, PersonKeysNeeded, lookup, require, seal
from gateway.books.sqlite import SqliteBooks, sqlite_engine

KEY = bytes(32)


class Vault:
    """Has a key for everybody but the `destroyed`, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], bool]] = []
        self.destroyed: set[str] = set()

    async def person_keys(self, person_ids: Sequence[str], make: bool) -> dict[str, bytes]:
        """The keys."""
        self.asked.append((list(person_ids), make))
        return {person_id: KEY for person_id in person_ids if person_id not in self.destroyed}


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(LOOKUPS)


@pytest.fixture
async def books(tmp_path: Path, vault: Vault, ring: KeyRing) -> AsyncIterator[PersonalBooks]:
    made = PersonalBooks(SqliteBooks(sqlite_engine(tmp_path / "books.sqlite3")), ring, vault.person_keys)
    yield made
    await made.close()


def test_a_key_is_kept_for_a_minute(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    ring.put(["acc_a", LOOKUPS], {"acc_a": KEY, LOOKUPS: KEY}, made=False)
    assert ring.find("acc_a", make=True)
    monkeypatch.setattr(key_ring, "monotonic", lambda: float("inf"))
    assert ring.find("acc_a", make=False) is None
    ring.put([], {}, made=False)
    assert ring._held == {}
    assert ring.find(LOOKUPS, make=False)  # a login needs no vault


def test_the_oldest_go_first(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "KEPT_MAX", 2)
    for name in ("a", "b", "a", "c"):
        ring.put([name], {name: KEY}, made=False)
    assert [name for name in "abc" if ring.find(name, make=False)] == ["a", "c"]


def test_who_has_no_key_is_asked_for_again_where_one_is_to_be_made(ring: KeyRing) -> None:
    ring.put(["acc_a"], {}, made=False)
    assert ring.find("acc_a", make=False)
    assert ring.find("acc_a", make=True) is None


def test_a_key_that_was_on_its_way_does_not_undo_its_destruction(ring: KeyRing) -> None:
    ring.put(["acc_a"], {"acc_a": KEY}, made=False)
    ring.forget("acc_a")
    ring.put(["acc_a"], {"acc_a": KEY}, made=True)
    held = ring.find("acc_a", make=True)
    assert held is not None
    assert held.key is None


async def test_a_function_is_run_again_with_the_keys_it_lacked(books: PersonalBooks, vault: Vault) -> None:
    runs = []

    def work(conn: Connection) -> str:
        runs.append(1)
        conn.exec_driver_sql("CREATE TABLE once (n)")  # fails where the run before was not undone
        require(conn, ["acc_b", "acc_a"])
        return lookup(conn, "a@example.com")

    found = await books.write(work)
    assert (len(runs), vault.asked) == (3, [(["acc_a", "acc_b"], False), ([LOOKUPS], True)])
    assert await books.browse(lookup, "a@example.com") == found != await books.read(lookup, "b@example.com")
    assert len(vault.asked) == 2


async def test_a_hundred_are_fetched_at_once_and_then_not_again(books: PersonalBooks, vault: Vault) -> None:
    many = {f"acc_{n}" for n in range(100)}
    for _ in range(2):
        await books.read(require, many)
    assert vault.asked == [(sorted(many), False)]


async def test_one_that_never_has_enough_is_not_run_for_ever(books: PersonalBooks, vault: Vault) -> None:
    with pytest.raises(PersonKeysNeeded):
        await books.read(_never_enough)
    assert len(vault.asked) == FETCHES_MAX


def _never_enough(conn: Connection) -> None:
    raise PersonKeysNeeded(["acc_a"], make=False)


async def test_what_the_vault_raises_undoes_what_was_written(
    books: PersonalBooks, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_away(*_: object) -> dict[str, bytes]:
        raise ConnectionError

    monkeypatch.setattr(books, "_fetch", is_away)

    def work(conn: Connection) -> None:
        conn.exec_driver_sql("CREATE TABLE once (n)")
        require(conn, ["acc_a"])

    with pytest.raises(ConnectionError):
        await books.write(work)
    tables = "SELECT count(*) FROM sqlite_master"
    assert await books.read(lambda conn: conn.exec_driver_sql(tables).scalar()) == 0


async def test_nothing_is_sealed_for_whom_the_key_was_destroyed(books: PersonalBooks, vault: Vault) -> None:
    vault.destroyed.add("acc_a")
    assert await books.write(seal, "acc_a", "accounts", "name", "acc_a", "Ada") is None
