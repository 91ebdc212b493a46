"""Copies are whole, are compared before anything changes, and lie apart; what is put back is what was copied."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from benchmarks.postgres import Server
from gateway.books.opening import migrate
from gateway.vault import cards, person_file
from gateway.vault.standing import Standing, keep_standing
from gateway.vault.witness import WitnessRow, open_witness
from sluice.backup.copies import MANIFEST, CopyManifest
from sluice.cli import main
from sluice.status import held


def sluice(data: Path, *words: str, **given: str) -> Result:
    known = {name: None for name in os.environ if name.startswith("SLUICE_")}
    return CliRunner().invoke(main, [*words, "--data", str(data)], env={**known, **given})


def asked(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as conn, conn:
        return conn.execute(statement).fetchall()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with all stores in it, and a row in each."""
    data = tmp_path / "data"
    (data / "audit").mkdir(parents=True)
    (data / "secrets").mkdir()
    (data / "secrets" / "gateway.key").write_bytes(b"k" * 32)
    (data / "audit" / "2026-11-28.jsonl").write_text('{"n":1}\n')
    migrate(f"sqlite:///{data / 'books.sqlite3'}")
    for name, connect in (("vault.sqlite3", cards.connect), ("persons.sqlite3", person_file.connect)):
        connect(data / name).close()
    for name in ("books.sqlite3", "vault.sqlite3", "persons.sqlite3"):
        asked(data / name, "CREATE TABLE planted (value TEXT)")
        asked(data / name, "INSERT INTO planted VALUES ('before')")
    return data


def copied(data: Path, part: str, folder: Path) -> Path:
    ran = sluice(data, "backup", part, str(folder))
    assert ran.exit_code == 0, ran.output
    return max(folder.glob(f"{part}-*"))


def test_a_copy_made_while_others_write_is_put_back_as_it_was(data: Path, tmp_path: Path) -> None:
    books, folder = data / "books.sqlite3", tmp_path / "a"
    with closing(sqlite3.connect(books, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("INSERT INTO planted VALUES ('in the log alone')")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO planted VALUES ('not committed')")
        copy = copied(data, "books", folder)
        writer.execute("COMMIT")
        _put_back(data, books, copy)


def _put_back(data: Path, books: Path, copy: Path) -> None:
    """While the log beside the books holds what came after the copy."""
    held_values = [("before",), ("in the log alone",)]
    assert asked(copy / "books.sqlite3", "SELECT value FROM planted") == held_values
    assert {path.stat().st_mode & 0o077 for path in (copy, *copy.iterdir())} == {0}
    refused = sluice(data, "restore", str(copy))
    assert (refused.exit_code, "--replace" in refused.output) == (1, True)
    assert len(asked(books, "SELECT value FROM planted")) == 3
    ran = sluice(data, "restore", str(copy), "--replace")
    assert ran.exit_code == 0, ran.output
    assert asked(books, "SELECT value FROM planted") == held_values
    aside = min(data.glob("books.sqlite3.before-*"), key=lambda path: len(path.name))
    assert len(asked(aside, "SELECT value FROM planted")) == 3


@pytest.mark.parametrize("part", ["vault", "secrets"])
def test_each_part_comes_back_in_an_empty_directory(data: Path, tmp_path: Path, part: str) -> None:
    copy = copied(data, part, tmp_path / part)
    manifest = msgspec.json.decode((copy / MANIFEST).read_bytes(), type=CopyManifest)
    other = tmp_path / "other"
    assert sluice(other, "restore", str(copy)).exit_code == 0
    for file in manifest.files:
        back = other / file.path
        assert back.stat().st_mode & 0o077 == 0
        assert back.read_bytes() == (copy / file.path).read_bytes()
    assert {file.path for file in manifest.files} == {
        "vault": {"vault.sqlite3", "audit/2026-11-28.jsonl"},
        "secrets": {"secrets/gateway.key"},
    }[part]


def test_a_damaged_store_is_named_and_leaves_no_copy(data: Path, tmp_path: Path) -> None:
    (data / "vault.sqlite3").write_bytes(b"no database" * 1000)
    ran = sluice(data, "backup", "vault", str(tmp_path / "a"))
    assert ran.exit_code == 1
    assert f"{data / 'vault.sqlite3'}: file is not a database" in ran.output
    assert list((tmp_path / "a").iterdir()) == []


def test_keys_of_persons_have_one_copy_and_no_history(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    (folder / "persons-20260101T000000Z").mkdir(parents=True)
    (folder / "persons-20260101T000000Z" / MANIFEST).write_text("{}")
    copy = copied(data, "persons", folder)
    assert list(folder.iterdir()) == [copy]


def test_a_vault_that_lacks_what_the_other_has_is_not_copied(data: Path, tmp_path: Path) -> None:
    keep_standing(data, Standing("store", 1, "vault-b"))
    unknown = sluice(data, "backup", "vault", str(tmp_path / "a"))
    assert (unknown.exit_code, "beware" in unknown.output) == (0, True)
    witness = open_witness(f"sqlite:///{data / 'witness.sqlite3'}")
    asyncio.run(witness.begin(WitnessRow("store", "vault-a", "run", "", 1)))
    for part in ("vault", "persons"):
        refused = sluice(data, "backup", part, str(tmp_path / part))
        assert (refused.exit_code, "lacks what vault-a has" in refused.output) == (1, True)
    asyncio.run(witness.change(1, WitnessRow("store", "vault-a", "run", "vault-b", 2)))
    assert sluice(data, "backup", "vault", str(tmp_path / "vault")).exit_code == 0


def test_parts_that_must_be_apart_are_not_copied_together(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    copied(data, "books", folder)
    copied(data, "vault", folder)
    for part in ("persons", "secrets"):
        ran = sluice(data, "backup", part, str(folder))
        assert (ran.exit_code, "another place" in ran.output) == (1, True)
    inside = sluice(data, "backup", "books", str(data / "copies"))
    assert (inside.exit_code, "another disk" in inside.output) == (1, True)


@pytest.mark.parametrize("fault", ["altered", "cut off", "gone", "no manifest", "outside"])
def test_a_copy_that_is_not_whole_changes_nothing(data: Path, tmp_path: Path, fault: str) -> None:
    copy = copied(data, "books", tmp_path / "a")
    file, manifest = copy / "books.sqlite3", copy / MANIFEST
    match fault:
        case "altered":
            file.write_bytes(file.read_bytes()[:-1] + b"x")
        case "cut off":
            file.write_bytes(file.read_bytes()[:-1])
        case "gone":
            file.unlink()
        case "no manifest":
            manifest.unlink()
        case _:
            manifest.write_text(manifest.read_text().replace("books.sqlite3", "../../data/books.sqlite3"))
    before = (data / "books.sqlite3").read_bytes()
    for words in (("--check",), ("--replace",)):
        ran = sluice(data, "restore", str(copy), *words)
        assert ran.exit_code == 1, ran.output
        assert "Traceback" not in ran.output
    assert (data / "books.sqlite3").read_bytes() == before


def test_nothing_is_put_back_below_a_running_stack_or_from_a_later_release(data: Path, tmp_path: Path) -> None:
    copy = copied(data, "books", tmp_path / "a")
    with held(data):
        ran = sluice(data, "restore", str(copy), "--replace")
    assert (ran.exit_code, "a stack runs" in ran.output) == (1, True)
    asked(data / "books.sqlite3", "UPDATE alembic_version SET version_num = '9999'")
    later = copied(data, "books", tmp_path / "later")
    ran = sluice(data, "restore", str(later), "--replace")
    assert (ran.exit_code, "later release" in ran.output) == (1, True)


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    postgres.sql("CREATE DATABASE copied")
    yield postgres.url("copied")
    postgres.sql("DROP DATABASE copied WITH (FORCE)")


@pytest.mark.postgres
def test_books_in_postgresql_come_back(postgres: Server, database: str, tmp_path: Path) -> None:
    migrate(database)
    postgres.sql("CREATE TABLE planted (value text); INSERT INTO planted VALUES ('before')", "copied")
    data, path = tmp_path / "data", f"{postgres._binaries}:{os.environ['PATH']}"
    (data / "secrets").mkdir(parents=True)
    (data / "secrets" / "database.password").write_text("from its file")
    ran = sluice(data, "backup", "books", str(tmp_path / "a"), SLUICE_DATABASE_URL=database, PATH=path)
    assert ran.exit_code == 0, ran.output
    [copy] = (tmp_path / "a").iterdir()
    postgres.sql("INSERT INTO planted VALUES ('after')", "copied")
    refused = sluice(data, "restore", str(copy), SLUICE_DATABASE_URL=database, PATH=path)
    assert (refused.exit_code, "drops PostgreSQL's tables" in refused.output) == (1, True)
    ran = sluice(data, "restore", str(copy), "--replace", SLUICE_DATABASE_URL=database, PATH=path)
    assert ran.exit_code == 0, ran.output
    assert postgres.sql("SELECT value FROM planted", "copied").split() == ["before"]
