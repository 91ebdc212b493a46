"""Writes the audit: entries are appended, chained and synced in groups. Of one thread, that of `Audit`."""

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import structlog

from connectors.durable_files import sync
from gateway.vault.audit_chain import (
    GENESIS,
    HASH_SIZE,
    AuditEntry,
    AuditEvent,
    Head,
    end_before,
    entry_of,
    file_name,
    files,
    files_from,
    first_number,
    head_of,
    line_of,
)
from gateway.vault.opens import Opening, Opens, Rate
from schemas.cards import find_numbers
from schemas.times import now, to_micros

FILE_MAX = 16 * 1024 * 1024  # bytes; then the next file begins. A start reads the last one
OPENS_FILE = "opens.sqlite3"
NUMBER = re.compile(rb'\{"n":([0-9]{1,12}),')  # as an entry begins
OPERATION = re.compile(r"op_[0-9a-z]{1,64}", re.ASCII)

log = structlog.get_logger()


class AuditDamaged(Exception):
    """The audit does not end with an entry: it cannot be continued."""


class OpenRefused(Exception):
    """The operation may not open the card, or not now; the text is the entry's result."""


class AuditTrail:
    """The chain in a directory of its own (0700), and the file of `Opens` in it.

    `kept`: for how long. `file_max`: the size at which a file is followed by the next, in bytes.

    What `note` and `open_card` append is on disk after `commit`; `undo` takes it back. Raises `OSError`,
    `sqlite3.Error`, and `AuditDamaged` where the last file ends with no entry.
    """

    def __init__(self, directory: Path, kept: timedelta, opens_per_s: float, file_max: int = FILE_MAX) -> None:
        self._directory, self._kept, self._file_max = directory, kept, file_max
        directory.mkdir(mode=0o700, exist_ok=True)
        self._rate = Rate(opens_per_s)
        self._buffer = bytearray()
        self._to_copy: bytearray | None = None  # what is on disk here, and not sent to a vault that stands by yet
        self._file, self._size, self._tip = opened(directory)
        self._appended = self._tip
        self._opens = Opens(directory / OPENS_FILE)
        self._opens_are_behind = True
        self.begin()
        self.drop_old()
        self.commit()

    def begin(self) -> None:
        """Begin a group of entries."""
        self._opens.begin()
        if self._opens_are_behind:
            self._catch_up()
            self._opens_are_behind = False

    def note(self, event: AuditEvent, result: str, **about: str | int | None) -> Head:
        """Append an entry; `about` are further fields of `AuditEntry`. Returns the head with it."""
        if self._size + len(self._buffer) > self._file_max:
            self._turn_over()
        if not self._size + len(self._buffer):
            self._append("audit.continue", "ok", {"detail": f"{self._appended.hash} {now().isoformat()}"})
        return self._append(event, result, {name: _harmless(value) for name, value in about.items()})

    def open_card(self, asked: Opening, **about: str | int | None) -> Head:
        """Append the entry of an opened card. Raises `OpenRefused`, after an entry of its own."""
        moment = to_micros(now())
        why = self._refusal(asked, moment)
        about |= {"operation_id": asked.operation_id, "card_id": asked.card_id, "owner_id": asked.owner_id}
        mark = None if why else asked.mark()
        head = self.note("card.open", why or "ok", **about, call=mark)
        if why is None:
            self._opens.add(asked.operation_id, asked.card_id, mark, head.n, moment)
        elif why != "repeated":
            raise OpenRefused(why)
        return head

    def keep_heads(self, heads: list[str], **about: str | int | None) -> Head | None:
        """Append heads of the books' audit, in one entry; the one that was kept last.

        Whoever heard no answer sends the same ones again: those up to the newest are kept already.
        """
        newest = self._opens.books_head()
        known = next((at for at, head in enumerate(heads, 1) if head_of(head) == newest), 0)
        if heads := heads[known:]:
            self.note("audit.head", "ok", **about, detail=" ".join(heads))
            self._opens.keep_books_head(head_of(heads[-1]))
        return self._opens.books_head()

    def commit(self) -> None:
        """Put the group on disk; what its callers are answered may be answered then."""
        self._write()
        self._opens.commit(self._tip)

    def take_lines(self) -> bytes:
        """The lines that were put on disk since the last call; none before `copy_from`."""
        if not self._to_copy:
            return b""
        lines, self._to_copy = bytes(self._to_copy), bytearray()
        return lines

    def lines_after(self, n: int, most: int) -> bytes:
        """The lines after entry `n`, about `most` bytes of them and always whole ones."""
        found = bytearray()
        for line in raw_lines_from(self._directory, n + 1):
            found += line + b"\n"
            if len(found) >= most:
                break
        return bytes(found)

    def copy_from(self, n: int, most: int) -> bool:
        """Have `take_lines` return what follows entry `n`, from now on; False where that is more than `most`."""
        lines = self.lines_after(n, most)
        if len(lines) >= most:
            return False
        self._to_copy = bytearray(lines)
        return True

    def begin_copy(self, heads: list[Head]) -> int:
        """The number of the newest of these heads that stands in this audit, 0 if none does: a copy goes on there.

        `take_lines` returns none until `copy_from`.
        """
        self._to_copy = None
        wanted = {head.n: head.hash for head in heads}
        common, last = 0, max(wanted, default=0)
        for entry, head in lines_from(self._directory, min(wanted, default=self._tip.n + 1)):
            if entry.n > last:
                break
            if wanted.get(entry.n) == head.hash:
                common = entry.n
        return common

    def undo(self) -> None:
        """Take the group back, as far as it is not on disk."""
        self._buffer.clear()
        self._appended = self._tip
        self._opens_are_behind = True
        self._opens.undo()
        os.ftruncate(self._file, self._size)

    def close(self) -> None:
        """Close the files."""
        os.close(self._file)
        self._opens.close()

    def drop_old(self) -> None:
        """Delete the files whose last entry is older than they are kept, and tell of it in an entry."""
        there, first = files(self._directory), 0
        for path, following in pairwise(there):
            ended = _ended_before(following)
            if ended is None or ended > now() - self._kept:
                break
            path.unlink()
            first = first_number(following)
        if first:
            self._opens.forget_before(first)
            self.note("audit.drop", "ok", detail=f"before {first}")

    def _append(self, event: AuditEvent, result: str, fields: dict[str, str | int | None]) -> Head:
        values = {"n": self._appended.n + 1, "at": now(), "event": event, "result": result} | fields
        line, digest = line_of(AuditEntry(**values), self._appended.hash)  # type: ignore[arg-type]
        self._buffer += line
        self._appended = Head(self._appended.n + 1, digest)
        return self._appended

    def _write(self) -> None:
        write_whole(self._file, self._buffer)
        if self._to_copy is not None:
            self._to_copy += self._buffer
        self._size += len(self._buffer)
        self._buffer.clear()
        self._tip = self._appended

    def _turn_over(self) -> None:
        """Begin the next file."""
        self._write()
        old = self._file
        self._file, self._size = new_file(self._directory, self._tip.n + 1), 0
        os.close(old)
        self.drop_old()

    def _refusal(self, asked: Opening, moment: int) -> str | None:
        if not OPERATION.fullmatch(asked.operation_id) or find_numbers(asked.operation_id):
            return "malformed"
        why = self._opens.refusal(asked, moment)
        return "too_fast" if why is None and not self._rate.take() else why

    def _catch_up(self) -> None:
        """Have `Opens` know of all entries, and tell in an entry where some are gone that it knows."""
        known = self._opens.tip()
        lines = lines_from(self._directory, known.n)
        if known.n and next(lines, (None, None))[1] != known:
            log.error("audit.cut", known=known.n, last=self._tip.n)
            self.note("audit.cut", "missing", detail=f"{known.n} entries were known")
            lines = lines_from(self._directory, 0)
        self._opens.catch_up(entry for entry, _ in lines)


def opened(directory: Path) -> tuple[int, int, Head]:
    """The last file, its size and its head; what a kill or a power cut left without an end is cut off."""
    for path in reversed(files(directory)):
        content = path.read_bytes()
        size = content.rfind(b"\n") + 1
        if size:
            os.truncate(path, size)
            return _appending(path), size, _head_of(path, content[:size])
        path.unlink()  # begun, and then killed before its first entry
    return new_file(directory, 1), 0, Head(0, GENESIS)


def _head_of(path: Path, content: bytes) -> Head:
    try:
        entry, digest = entry_of(content[:-1].rpartition(b"\n")[2])
    except ValueError:
        raise AuditDamaged(f"{path} does not end with an entry: `sluice audit verify` says more") from None
    return Head(entry.n, digest)


def new_file(directory: Path, n: int) -> int:
    """The file that entry `n` begins, to append to."""
    path = directory / file_name(n)
    file = _appending(path)
    sync(directory)
    return file


def write_whole(file: int, content: bytes | bytearray) -> None:
    """Append all of it, on disk on return. Raises `OSError`."""
    view = memoryview(bytes(content))
    written = 0
    while written < len(view):
        written += os.write(file, view[written:])
    os.fsync(file)


def _appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def lines_from(directory: Path, n: int) -> Iterator[tuple[AuditEntry, Head]]:
    """The entries from number `n` on, each with its head; those that cannot be read are passed over."""
    for line in raw_lines_from(directory, n):
        try:
            entry, digest = entry_of(line)
        except ValueError:
            continue
        if entry.n >= n:
            yield entry, Head(entry.n, digest)


def raw_lines_from(directory: Path, n: int) -> Iterator[bytes]:
    """The lines from entry `n` on, as far as they tell their number, without their ends."""
    for path in files_from(directory, n):
        for line in path.read_bytes().split(b"\n")[:-1]:
            found = NUMBER.match(line, HASH_SIZE + 1)
            if found is None or int(found[1]) >= n:
                yield line


def _ended_before(path: Path) -> datetime | None:
    """When the file before `path` ended, by the first entry of this one."""
    with path.open("rb") as file:
        line = file.readline()
    try:
        entry, _ = entry_of(line.rstrip(b"\n"))
        return end_before(entry)[1]
    except ValueError:
        return None


def _harmless(value: str | int | None) -> str | int | None:
    """What a caller named, without anything that could be a card number: it may have mixed up its arguments."""
    if not isinstance(value, str):
        return value
    return "malformed" if find_numbers(value) or value.isdecimal() else value
