"""Files that a power cut leaves whole; what reaches the disk is seen by the calls of fsync."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from connectors.durable_files import GroupSync, sync_tree, write_durably
from connectors.keyfiles import read_or_make
from schemas.settings import Settings
from tests.patience import eventually


def test_a_file_is_on_disk_before_its_name_is(tmp_path: Path, synced: list[str]) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old")
    write_durably(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert synced == [str(tmp_path / "key.new"), str(tmp_path)]


def test_a_tree_is_on_disk_with_every_name_in_it(tmp_path: Path, synced: list[str]) -> None:
    inner = tmp_path / "tree" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    (inner.parent / "other").touch()
    sync_tree(tmp_path / "tree")
    assert sorted(synced) == sorted(
        map(str, (tmp_path, inner.parent, inner, inner / "file", inner.parent / "other"))
    )
    assert synced[-1] == str(tmp_path)


def test_a_new_secret_is_on_disk_before_it_encrypts_anything(tmp_path: Path, synced: list[str]) -> None:
    settings = Settings(data=tmp_path)
    assert read_or_make(settings, "a.key", lambda: b"secret") == b"secret"
    assert synced[-1] == str(settings.secrets())


async def test_who_waits_at_once_shares_one_sync_that_began_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = 0, threading.Semaphore(0)

    def slow(_file: int) -> None:
        nonlocal begun
        begun += 1
        may_end.acquire()

    monkeypatch.setattr(os, "fsync", slow)
    (tmp_path / "log").touch()
    log = GroupSync(tmp_path / "log")
    first = asyncio.create_task(log.synced())
    await eventually(lambda: begun == 1)
    others = [asyncio.create_task(log.synced()) for _ in range(20)]
    may_end.release()
    await first
    await eventually(lambda: begun == 2)
    assert not any(other.done() for other in others), "the first sync may have missed what they wrote"
    may_end.release()
    await asyncio.gather(*others)
    assert begun == 2
    log.close()
