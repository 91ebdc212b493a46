"""Persons' keys: the gateway seals with them what the books hold of a person, and to destroy one erases it all.

A copy of the books that was made before then opens for nobody any more (docs/decisions/0046). Keys are random, and
wrapped by a key that is derived from each version of the key-encryption key. Reads run where they are called.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from gateway.vault import keys, person_file
from gateway.vault.envelope import KEY_BYTES, Kek, NotOpened, unwrap_person, wrap_person
from gateway.vault.keys import KeyFiles
from gateway.vault.opens import Rate
from gateway.vault.person_file import WrappedKey
from gateway.vault.writer import CopyTarget, Writer

BATCH = 100  # keys rewrapped per commit

log = structlog.get_logger()


class KeysTooFast(Exception):
    """More keys are asked for than may be read in a second."""


class FoundKeys(NamedTuple):
    """`keys` by person, without those who have none; `made_ids`: whose was made just now."""

    keys: dict[str, bytes]
    made_ids: list[str]


class PersonKeys:
    """The file of persons' keys with what opens it. `version`: the KEK's current one. Raises `UnusableKey`.

    `per_s`: how many keys may be read in a second; `find` and `find_or_make` raise `KeysTooFast` past it.
    """

    def __init__(
        self, path: Path, files: KeyFiles, version: int, per_s: float, target: CopyTarget | None = None
    ) -> None:
        self._files = files
        self._rate = Rate(per_s)
        self._reader = person_file.connect(path)
        versions = person_file.select_used_versions(self._reader) | {version}
        self._keks = {each: keys.person_cipher(each, files.kek(each)) for each in versions}
        self._current = version
        self.writer = Writer(person_file.connect(path), "persons", target)

    def find(self, person_ids: Sequence[str]) -> dict[str, bytes]:
        """The keys of those of these persons who have one; a row that was altered opens as none."""
        if not self._rate.take(len(person_ids)):
            raise KeysTooFast
        return self._found(person_ids)

    async def find_or_make(self, person_ids: Sequence[str]) -> FoundKeys:
        """As `find`; whoever never had a key has one from now on, on disk already."""
        found = self.find(person_ids)
        new_ids = [person_id for person_id in dict.fromkeys(person_ids) if person_id not in found]
        if not new_ids:
            return FoundKeys(found, [])
        made_ids = await self.writer.write(self._make, new_ids)
        return FoundKeys(found | self._found(new_ids), made_ids)

    async def destroy(self, person_id: str) -> bool:
        """Destroy a key, in the write-ahead log too; no other is ever made for its person. False: had none."""
        had_one = await self.writer.write(person_file.destroy_key, person_id)
        await self.writer.wipe_log()
        return had_one

    def count_older(self) -> int:
        """How many keys are wrapped by an older version than the current one."""
        return person_file.count_older(self._reader, self._current)

    async def rewrap_all(self, version: int) -> None:
        """Have every key wrapped by `version` and nothing else; a kill undoes one batch."""
        self._keks[version] = keys.person_cipher(version, self._files.kek(version))
        self._current, last_id = version, ""
        while (reached_id := await self.writer.write(self._rewrap_some, last_id)) is not None:
            last_id = reached_id
        await self.writer.wipe_log()

    def close(self) -> None:
        """Finish running writes, then close the file."""
        self.writer.close()
        self._reader.close()

    def _found(self, person_ids: Sequence[str]) -> dict[str, bytes]:
        opened = {}
        for key in person_file.select_keys(self._reader, person_ids):
            try:
                opened[key.person_id] = self._opened(key)
            except NotOpened:
                log.error("person_key.damaged", person_id=key.person_id)
        return opened

    def _make(self, conn: sqlite3.Connection, person_ids: list[str]) -> list[str]:
        return [person_id for person_id in person_ids if person_file.insert_key(conn, self._new(person_id))]

    def _new(self, person_id: str) -> WrappedKey:
        kek = self._keks[self._current]
        return WrappedKey(person_id, kek.version, wrap_person(kek, person_id, os.urandom(KEY_BYTES)))

    def _rewrap_some(self, conn: sqlite3.Connection, after_id: str) -> str | None:
        older = person_file.select_older(conn, self._current, after_id, BATCH)
        rewrapped = [self._rewrapped(key) for key in older]
        person_file.update_wrapped(conn, [key for key in rewrapped if key])
        return older[-1].person_id if older else None

    def _rewrapped(self, key: WrappedKey) -> WrappedKey | None:
        """None for an altered row: it must not stop the rotation of all keys after it."""
        kek = self._keks[self._current]
        try:
            return WrappedKey(key.person_id, kek.version, wrap_person(kek, key.person_id, self._opened(key)))
        except NotOpened:
            log.error("vault.rotate", person_id=key.person_id, result="NotOpened")
            return None

    def _opened(self, key: WrappedKey) -> bytes:
        kek: Kek | None = self._keks.get(key.key_version)
        if kek is None:
            raise NotOpened("a key version that was never current")
        return unwrap_person(kek, key.person_id, key.wrapped)
