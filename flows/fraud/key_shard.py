"""Bounded state for any number of keys: each shard holds some histories and evicts what is worth least.

A shard is a plain dict in order of use and not a `cachetools.LRUCache`: a look-up takes 0.13 µs instead of 0.28
(a million look-ups among 5,000 keys), each payment needs five and each label two more, and the dict is what the
snapshot of the shard holds.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar
from zlib import crc32

from connectors.durable_files import write_durably

SHARDS = 32_768  # part of the recovery state: with another number each key would be looked for in another shard
SHARD_KEY_BYTES = 16
CANDIDATES = 8  # for eviction, the longest unused: a whole shard at the default of SLUICE_FRAUD_KEYS_MAX
NOBODY = "nobody"
FRAUD, KNOWN, UNKNOWN = 2, 1, 0  # what a history can be worth


class Worthy(Protocol):
    """A history that says what it is worth."""

    @property
    def worth(self) -> int:
        """`FRAUD`: a label says so; `KNOWN`: somebody paid; `UNKNOWN`: anyone may have made it up."""


History = TypeVar("History", bound=Worthy)


def place_of(key: str | None, secret: bytes) -> str:
    """The name of the shard of a key, and of what an item without that key goes by."""
    return shard_of(key, secret) if key else NOBODY


def shard_of(key: str, secret: bytes) -> str:
    """The name of the shard that holds `key`. There are many, so that each is small and cheap to snapshot.

    Nobody without the `secret` can tell which keys share a shard: whoever makes up cards cannot aim at one.
    Without a secret it is the shard of an earlier release.
    """
    if not secret:
        return str(crc32(key.encode()) % SHARDS)
    digest = blake2b(key.encode(), key=secret, digest_size=4).digest()
    return str(int.from_bytes(digest) % SHARDS)


def shard_key(store: Path) -> bytes:
    """The secret of a recovery store, made before its first snapshot: its histories are found by it alone.

    Empty for a store of a release without one, which goes on as it was until it is deleted and built anew.
    Raises `OSError` where the store's directory is not there or not ours.
    """
    file = store / "shard.key"
    if not file.exists():
        if _has_snapshots(store):
            return b""
        write_durably(file, os.urandom(SHARD_KEY_BYTES))  # before a snapshot that needs it
    return file.read_bytes()


def _has_snapshots(store: Path) -> bool:
    for part in store.glob("part-*.sqlite3"):
        with closing(sqlite3.connect(f"file:{part}?mode=ro", uri=True)) as database:
            if database.execute("SELECT 1 FROM snaps LIMIT 1").fetchone():
                return True
    return False


class KeyShard(Generic[History]):
    """At most `size_max` histories by key, the least recently used first.

    `histories` may come from a snapshot; `make` makes the empty history of a new key.
    """

    def __init__(
        self, make: Callable[[], History], size_max: int, histories: dict[str, History] | None = None
    ) -> None:
        self._make, self._size_max = make, size_max
        self.histories: dict[str, History] = histories or {}

    def get(self, key: str) -> History:
        """The history of `key`, now the most recently used. A new key gets an empty one and may evict another."""
        history = self.histories.pop(key, None)
        if history is None:
            history = self._make()
            while len(self.histories) >= self._size_max:
                del self.histories[self._least()]
        self.histories[key] = history
        return history

    def _least(self) -> str:
        """The key to evict: of what is worth least, the longest unused. Frauds keep at most half the room."""
        worth = {key: history.worth for key, history in islice(self.histories.items(), CANDIDATES)}
        frauds = [key for key, value in worth.items() if value == FRAUD]
        return frauds[0] if len(frauds) > CANDIDATES // 2 else min(worth, key=worth.__getitem__)
