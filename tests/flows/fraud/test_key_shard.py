"""Shards: who shares one cannot be guessed, and who is pushed out when one is full."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest
from bytewax.recovery import init_db_dir

from flows.fraud.inputs import DAY, LabelInput
from flows.fraud.instruments import Instrument
from flows.fraud.key_shard import CANDIDATES, SHARDS, KeyShard, shard_key, shard_of
from flows.fraud.pipeline import outcome_of
from tests.flows.fraud.conftest import payment_input


def stolen(shard: KeyShard[Instrument], key: str) -> Instrument:
    """A card that somebody said was stolen."""
    card = shard.get(key)
    card.learn(LabelInput(f"l_{key}", key, "acc", "EUR", True, 1e9))
    return card


def paid(shard: KeyShard[Instrument], key: str, number: int = 0) -> Instrument:
    card, sample = shard.get(key), payment_input(number, instrument_id=key)
    card.update(sample)
    card.settle(outcome_of(sample, paid=True))
    return card


def test_a_shard_evicts_the_longest_unused_and_never_grows() -> None:
    shard = KeyShard(Instrument, 3)
    for key in ("a", "b", "c", "a", "d"):
        shard.get(key)
    assert list(shard.histories) == ["c", "a", "d"]
    for number in range(1000):
        shard.get(str(number))
    assert len(shard.histories) == 3


def test_cards_that_are_made_up_push_out_neither_a_stolen_card_nor_one_that_paid() -> None:
    shard = KeyShard(Instrument, CANDIDATES)
    known, customer = stolen(shard, "fp_stolen"), paid(shard, "fp_customer")
    for number in range(1000):
        shard.get(f"fp_made_up_{number}").update(payment_input(number, instrument_id=f"fp_made_up_{number}"))
    assert (shard.get("fp_stolen"), shard.get("fp_customer")) == (known, customer)
    assert len(shard.histories) == CANDIDATES


def test_cards_that_pay_push_out_no_stolen_card() -> None:
    shard = KeyShard(Instrument, CANDIDATES)
    known = stolen(shard, "fp_stolen")
    for number in range(1000):
        paid(shard, f"fp_{number}", number)
    assert shard.get("fp_stolen") is known


def test_stolen_cards_keep_at_most_half_the_room_and_one() -> None:
    shard = KeyShard(Instrument, CANDIDATES)
    for number in range(1000):
        stolen(shard, f"fp_stolen_{number}")
    for number in range(CANDIDATES):
        paid(shard, f"fp_{number}", number)
    labelled = [key for key, card in shard.histories.items() if card.labels.frauds]
    assert len(shard.histories) == CANDIDATES
    assert labelled == [f"fp_stolen_{number}" for number in range(1000 - CANDIDATES // 2, 1000)], "the newest"


def test_keys_spread_over_the_shards_and_by_the_secret() -> None:
    found = [shard_of(f"fp_{number}", b"one") for number in range(10_000)]
    assert len(set(found)) > 8_000
    assert all(0 <= int(shard) < SHARDS for shard in found)
    of_one_shard = [f"fp_{number}" for number in range(100_000) if shard_of(f"fp_{number}", b"guessed") == "7"]
    assert len(of_one_shard) > 1
    assert len({shard_of(key, b"secret") for key in of_one_shard}) == len(of_one_shard)


def test_a_store_has_a_secret_of_its_own_that_stays(tmp_path: Path) -> None:
    first = shard_key(tmp_path)
    assert (len(first), shard_key(tmp_path)) == (16, first)
    assert (tmp_path / "shard.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError, match="No such file"):
        shard_key(tmp_path / "nowhere")


def test_the_secret_of_a_store_is_on_disk_before_its_first_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []

    def fsync(file: int) -> None:
        synced.append((os.fstat(file).st_ino, os.fstat(file).st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    shard_key(tmp_path)
    key, directory = tmp_path / "shard.key", tmp_path
    assert [inode for inode, _ in synced] == [key.stat().st_ino, directory.stat().st_ino]
    assert synced[0][1] == 16


def test_a_store_of_an_earlier_release_is_resumed_by_the_shards_it_has(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    with closing(sqlite3.connect(tmp_path / "part-0.sqlite3")) as database, database:
        database.execute("INSERT INTO snaps VALUES ('now', 'fraud.instrument.stateful_batch', '7', 1, x'00')")
    assert shard_key(tmp_path) == b""
    assert shard_of("fp_1", b"") == str(crc32(b"fp_1") % SHARDS)


def test_a_known_card_is_new_again_only_when_it_was_forgotten() -> None:
    shard = KeyShard(Instrument, CANDIDATES)
    paid(shard, "fp_1")
    later = shard.get("fp_1").update(payment_input(1, at=1e9 + 2 * DAY))
    assert later
    assert later["new_card"] == 0
