"""The safe without its socket: which cards are the same, which open, and what a deleted one leaves behind."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.vault import cards
from gateway.vault.cards import KeyExhausted, UnknownLayout
from gateway.vault.envelope import NotOpened
from gateway.vault.keys import KeyFiles
from gateway.vault.safe import InvalidNumber, NoSuchCard, Safe, Secret
from gateway.vault.settings import VaultSettings

NUMBER = "4111111111111111"
OTHER = "5555555555554444"

Sql = Callable[..., list[Any]]
Numbers = Callable[[int], str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The safe's file."""
    return tmp_path / "vault.sqlite3"


@pytest.fixture
def safe(file: Path, tmp_path: Path) -> Iterator[Safe]:
    """An empty safe of the local profile."""
    made = Safe(file, KeyFiles(VaultSettings(data=tmp_path)))
    yield made
    made.close()


@pytest.fixture
def sql(file: Path, safe: Safe) -> Iterator[Sql]:
    """`sql(statement, …)` on the safe's file, as somebody with a copy of SQLite would."""
    conn = sqlite3.connect(file, isolation_level=None)
    yield lambda statement, *values: conn.execute(statement, values).fetchall()
    conn.close()


def secret(number: str = NUMBER, year: int = 2039, name: str | None = None) -> Secret:
    return Secret(number, 1, year, name)


async def test_what_goes_in_comes_out(safe: Safe) -> None:
    stored = await safe.store("acc_a", secret(OTHER))
    assert (stored.brand, stored.bin, stored.last4, stored.created) == ("mastercard", "555555", "4444", True)
    opened = safe.open(stored.card_id, "acc_a")
    assert (opened.number, opened.exp_month, opened.exp_year, opened.cvc) == (OTHER, 1, 2039, None)


async def test_the_same_number_of_the_same_owner_is_the_same_card_with_the_new_expiry(safe: Safe) -> None:
    first = await safe.store("acc_a", secret(year=2030))
    again = await safe.store("acc_a", secret(year=2041))
    assert again.card_id == first.card_id
    assert again.fingerprint == first.fingerprint
    assert not again.created
    assert safe.open(first.card_id, "acc_a").exp_year == 2041
    assert (await safe.count()).cards == 1


async def test_another_owner_has_another_card_of_the_same_fingerprint(safe: Safe) -> None:
    a, b = await safe.store("acc_a", secret()), await safe.store("acc_b", secret())
    assert a.card_id != b.card_id
    assert a.fingerprint == b.fingerprint
    for card_id, owner_id in ((a.card_id, "acc_b"), (b.card_id, "acc_a"), ("card_none", "acc_a")):
        with pytest.raises(NoSuchCard):
            safe.open(card_id, owner_id)


@pytest.mark.parametrize("number", ["4111111111111112", "9111111111111111", "6011111111111117", "0" * 16])
async def test_no_card_number_is_no_card(safe: Safe, number: str) -> None:
    with pytest.raises(InvalidNumber) as refusal:
        await safe.store("acc_a", secret(number))
    assert number not in str(refusal.value)
    assert (await safe.count()).cards == 0


async def test_a_deleted_card_is_gone_and_its_number_gets_a_new_token(safe: Safe) -> None:
    card_id = (await safe.store("acc_a", secret())).card_id
    assert not await safe.delete(card_id, "acc_b")
    assert safe.open(card_id, "acc_a").number == NUMBER
    assert await safe.delete(card_id, "acc_a")
    assert not await safe.delete(card_id, "acc_a")
    with pytest.raises(NoSuchCard):
        safe.open(card_id, "acc_a")
    assert (await safe.store("acc_a", secret())).card_id != card_id


async def test_nothing_of_a_deleted_card_stays_in_the_file_or_its_log(safe: Safe, file: Path, sql: Sql) -> None:
    card_id = (await safe.store("acc_a", secret())).card_id
    [(wrapped, sealed)] = sql("SELECT wrapped, sealed FROM cards")
    assert wrapped in content(file)
    assert sealed in content(file)
    await safe.delete(card_id, "acc_a")
    for trace in (wrapped, sealed, wrapped[13:], sealed[13:], card_id.encode()):
        assert trace not in content(file)


@pytest.mark.parametrize("column", ["wrapped", "sealed"])
async def test_half_a_row_moved_to_another_card_does_not_open(safe: Safe, sql: Sql, column: str) -> None:
    a, b = await safe.store("acc_a", secret()), await safe.store("acc_a", secret(OTHER))
    sql(
        f"UPDATE cards SET {column} = (SELECT {column} FROM cards WHERE card = ?) WHERE card = ?",
        a.card_id,
        b.card_id,
    )
    with pytest.raises(NotOpened):
        safe.open(b.card_id, "acc_a")
    assert safe.open(a.card_id, "acc_a").number == NUMBER


async def test_a_whole_row_moved_to_another_token_or_owner_does_not_open(safe: Safe, sql: Sql) -> None:
    victim, thief = await safe.store("acc_a", secret()), await safe.store("acc_b", secret(OTHER))
    sql(
        "UPDATE cards SET (kek, wrapped, sealed) = (SELECT kek, wrapped, sealed FROM cards WHERE card = ?)"
        " WHERE card = ?",
        victim.card_id,
        thief.card_id,
    )
    with pytest.raises(NotOpened):
        safe.open(thief.card_id, "acc_b")
    sql("UPDATE cards SET owner = 'acc_c' WHERE card = ?", victim.card_id)
    with pytest.raises(NotOpened):
        safe.open(victim.card_id, "acc_c")


async def test_a_row_under_another_key_version_does_not_open(safe: Safe, sql: Sql) -> None:
    card_id = (await safe.store("acc_a", secret())).card_id
    await safe.begin_rotation()
    for version in (2, 7):
        sql("UPDATE cards SET kek = ?", version)
        with pytest.raises(NotOpened):
            safe.open(card_id, "acc_a")


async def test_a_name_is_sealed_with_the_number_and_stands_nowhere_in_clear(safe: Safe, file: Path) -> None:
    await safe.store("acc_a", secret(name="Ada Countess Lovelace"))
    assert b"Lovelace" not in content(file)
    assert NUMBER.encode() not in content(file)


async def test_a_worn_out_key_wraps_nothing_more(safe: Safe, sql: Sql) -> None:
    card_id = (await safe.store("acc_a", secret())).card_id
    assert sql("SELECT wraps FROM keys WHERE version = 1") == [(1,)]
    sql("UPDATE keys SET wraps = ? WHERE version = 1", cards.WRAPS_MAX - 1)
    await safe.store("acc_b", secret())
    with pytest.raises(KeyExhausted):
        await safe.store("acc_c", secret())
    assert (await safe.count()).cards == 2
    assert safe.open(card_id, "acc_a").number == NUMBER
    await safe.begin_rotation()
    await safe.store("acc_c", secret())


async def test_a_rotation_takes_every_card_to_the_new_version(
    safe: Safe, sql: Sql, number: Numbers, file: Path
) -> None:
    stored = [(await safe.store("acc_a", secret(number(i)))).card_id for i in range(250)]
    before = dict(sql("SELECT card, sealed FROM cards"))
    wrapped = [each for (each,) in sql("SELECT wrapped FROM cards")]
    assert (await safe.begin_rotation()).left == 250
    batches = await rotate(safe)
    assert batches == 3
    assert sql("SELECT DISTINCT kek FROM cards") == [(2,)]
    assert dict(sql("SELECT card, sealed FROM cards")) == before  # only data keys were wrapped anew
    assert sql("SELECT wraps FROM keys WHERE version = 2") == [(250,)]
    written = content(file)
    assert not any(each in written for each in wrapped)  # the old key opens nothing of this file any more
    assert {safe.open(card_id, "acc_a").number for card_id in stored} == {number(i) for i in range(250)}


async def test_a_second_call_joins_a_rotation_that_is_not_finished(safe: Safe) -> None:
    await safe.store("acc_a", secret())
    assert (await safe.begin_rotation()).key_version == 2
    assert (await safe.begin_rotation()).key_version == 2
    await rotate(safe)
    assert (await safe.begin_rotation()).key_version == 3


async def test_a_row_that_was_altered_does_not_stop_a_rotation(safe: Safe, sql: Sql, number: Numbers) -> None:
    stored = sorted([(await safe.store("acc_a", secret(number(i)))).card_id for i in range(120)])
    sql("UPDATE cards SET wrapped = zeroblob(61) WHERE card = ?", stored[3])
    await safe.begin_rotation()
    sql("UPDATE cards SET kek = -1 WHERE card = ?", stored[119])
    damaged, last = [], ""
    while (batch := await safe.rotate_some(last)) is not None:
        last, damaged = batch.last, damaged + batch.damaged
    assert damaged == [stored[3], stored[119]]
    assert (await safe.count()).left == 2
    assert (await safe.begin_rotation(stuck=2)).key_version == 3
    assert safe.open(stored[4], "acc_a")


async def test_the_file_of_a_later_version_is_left_alone(file: Path, tmp_path: Path) -> None:
    conn = sqlite3.connect(file)
    conn.execute("PRAGMA user_version = 2")
    conn.close()
    with pytest.raises(UnknownLayout):
        Safe(file, KeyFiles(VaultSettings(data=tmp_path)))


def test_commits_are_on_disk_and_deleted_bytes_overwritten(file: Path) -> None:
    conn = cards.connect(file)
    settings = {name: conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert conn.execute("PRAGMA secure_delete").fetchone() == (1,)
    conn.close()


async def rotate(safe: Safe) -> int:
    """Rotate to the end; the number of batches."""
    batches, last = 0, ""
    while (batch := await safe.rotate_some(last)) is not None:
        batches, last = batches + 1, batch.last
    return batches


def content(file: Path) -> bytes:
    """The bytes of the file and its write-ahead log."""
    return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
