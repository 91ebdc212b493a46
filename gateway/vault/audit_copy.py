"""The copy of the audit at a vault that stands by: the same lines in the same files, byte for byte.

So the chain goes on where the other vault's ended. Of one thread.
"""

import os
from collections import deque
from pathlib import Path

from connectors.durable_files import sync
from gateway.vault import cards
from gateway.vault.audit_chain import GENESIS, AuditEntry, Head, end_before, entry_of, files, files_from, follows
from gateway.vault.audit_trail import OPENS_FILE, lines_from, new_file, opened, write_whole
from gateway.vault.frames import FOLLOW_HEADS_MAX
from gateway.vault.opens import Opens


class NotFollowing(Exception):
    """A line does not follow the one before: what comes is not the audit of which this is a copy."""


class AuditCopy:
    """The chain in a directory of its own (0700), and the file of `Opens` in it. Each may raise `OSError`.

    The constructor may read all of the audit, where that file is behind.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)
        self._open()

    def heads(self) -> list[Head]:
        """The last ones, the newest first."""
        last: deque[Head] = deque(maxlen=FOLLOW_HEADS_MAX)
        last.extend(head for _, head in lines_from(self._directory, self._tip.n - FOLLOW_HEADS_MAX))
        return list(reversed(last))

    def cut(self, n: int) -> None:
        """Take back what follows entry `n`: nobody was ever answered for it."""
        if n == self._tip.n:
            return
        self.close()
        for path in files_from(self._directory, n):
            _cut_file(path, n)
        sync(self._directory)
        cards.delete_file(self._directory / OPENS_FILE)  # it is made from the audit again
        self._open()

    def append(self, lines: bytes) -> None:
        """Write whole lines that follow the last one, on disk on return. Raises `NotFollowing`."""
        entries, waiting = [], bytearray()
        for line in lines.splitlines():
            entry, head = self._checked(line)
            if entry.event == "audit.continue":
                self._write(waiting)
                waiting.clear()
                self._turn_over(entry.n)
            waiting += line + b"\n"
            entries.append(entry)
            self._tip = head
        self._write(waiting)
        self._opens.begin()
        self._opens.catch_up(entries)
        self._opens.commit(self._tip)

    def close(self) -> None:
        """Close the files."""
        os.close(self._file)
        self._opens.close()

    def _open(self) -> None:
        self._file, self._size, self._tip = opened(self._directory)
        self._opens = self._opened_opens()

    def _checked(self, line: bytes) -> tuple[AuditEntry, Head]:
        try:
            entry, digest = entry_of(line)
        except ValueError:
            raise NotFollowing("is no entry") from None
        tip = self._tip
        if not tip.n and entry.event == "audit.continue":  # earlier ones were dropped there
            tip = Head(entry.n - 1, end_before(entry)[0] or GENESIS)
        if entry.n != tip.n + 1 or not follows(line, tip.hash):
            raise NotFollowing(f"entry {entry.n} does not follow {tip.n}")
        return entry, Head(entry.n, digest)

    def _turn_over(self, n: int) -> None:
        """Begin the file that entry `n` begins; an empty one gives way to it."""
        os.close(self._file)
        if not self._size:
            files(self._directory)[-1].unlink()
        self._file, self._size = new_file(self._directory, n), 0

    def _write(self, lines: bytes | bytearray) -> None:
        if lines:
            write_whole(self._file, lines)
            self._size += len(lines)

    def _opened_opens(self) -> Opens:
        opens = Opens(self._directory / OPENS_FILE)
        if (known := opens.tip()) != self._tip:
            opens.begin()
            opens.catch_up(entry for entry, _ in lines_from(self._directory, known.n))
            opens.commit(self._tip)
        return opens


def _cut_file(path: Path, n: int) -> None:
    """Cut a file off after entry `n`; it goes where nothing is left of it."""
    size = 0
    for line in path.read_bytes().splitlines(keepends=True):
        if entry_of(line.rstrip(b"\n"))[0].n > n:
            break
        size += len(line)
    if size:
        os.truncate(path, size)
    else:
        path.unlink()
