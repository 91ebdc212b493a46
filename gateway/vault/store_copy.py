"""The copy of all stores at a vault that stands by: the same files, which a vault that serves opens as its own."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import assert_never

from gateway.vault import cards, copy_frames, person_file, row_copies
from gateway.vault.audit_chain import Head
from gateway.vault.audit_copy import AuditCopy
from gateway.vault.copy_frames import CopiedFile
from gateway.vault.keys import KeyFiles
from gateway.vault.safe import load_keks
from gateway.vault.standing import Standing, keep_standing
from gateway.vault.writer import transaction

CARDS, PERSONS, AUDIT = "vault.sqlite3", "persons.sqlite3", "audit"


class StoreCopy:
    """The files in the data directory of the vault `name`. Of one thread; raises `sqlite3.Error` and `OSError`."""

    def __init__(self, data: Path, name: str, files: KeyFiles) -> None:
        self._data, self._name, self._files = data, name, files
        self._open()
        self._audit = AuditCopy(data / AUDIT)
        self._store_id = ""

    def heads(self) -> list[Head]:
        """The last ones of its audit, the newest first."""
        return self._audit.heads()

    def apply(self, frame: copy_frames.CopyFrame) -> None:
        """Have what a frame tells on disk.

        Raises `UnusableKey` where the keys here are not those of the cards, and `NotFollowing`.
        """
        match frame:
            case copy_frames.CopyBegun():
                self._begin(frame)
            case copy_frames.CopyRows():
                self._write(frame)
            case copy_frames.CopyWiped():
                cards.wipe_log(self._conns[frame.file])
            case copy_frames.CopyLines():
                self._audit.append(frame.lines)
            case copy_frames.CopyWhole():
                keep_standing(self._data, Standing(self._store_id, frame.term, self._name))
            case copy_frames.CopyBeat():
                pass
            case _:
                assert_never(frame)

    def close(self) -> None:
        """Close the files."""
        self._close_files()
        self._audit.close()

    def _begin(self, frame: copy_frames.CopyBegun) -> None:
        # Half a copy is known as such before the first row of it goes.
        keep_standing(self._data, Standing(frame.store_id, 0, self._name))
        self._store_id = frame.store_id
        self._close_files()
        for name in (CARDS, PERSONS):
            cards.delete_file(self._data / name)
        self._open()
        self._audit.cut(frame.audit_n)

    def _write(self, frame: copy_frames.CopyRows) -> None:
        conn = self._conns[frame.file]
        with transaction(conn):
            row_copies.apply_changes(conn, frame.file, frame.rows)
            if any(change.table == "keys" for change in frame.rows) and cards.select_current_version(conn):
                load_keks(conn, self._files, self._files.hashes(generate=False))

    def _open(self) -> None:
        self._conns: dict[CopiedFile, sqlite3.Connection] = {
            "cards": cards.connect(self._data / CARDS),
            "persons": person_file.connect(self._data / PERSONS),
        }

    def _close_files(self) -> None:
        for conn in self._conns.values():
            conn.close()


def has_any(data: Path) -> bool:
    """Whether a card or a person's key is in a data directory."""
    return any(
        (data / name).exists() and _has_rows(data / name, table)
        for name, table in ((CARDS, "cards"), (PERSONS, "persons"))
    )


def _has_rows(path: Path, table: str) -> bool:
    with closing(sqlite3.connect(path)) as conn:
        try:
            return conn.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None  # noqa: S608
        except sqlite3.OperationalError:  # begun, and killed before it had tables
            return False
