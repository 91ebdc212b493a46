"""The audit's files: what an entry is, how each is chained to the one before, and how a chain is checked.

A line is `HASH JSON`. HASH is SHA-256 over the hash of the line before and the JSON, as 64 letters, in which no
card number can be read. So nothing changes unless every line from there on is written anew. That, and a tail that
is cut off, show against the heads that others keep: the operation of each opened card has one in the books (PCI
DSS 10.3.4, 10.5.1).

Files follow one another: `audit.000000000001.jsonl` is named by its first entry, an `audit.continue` that tells
where the file before ended, so that the chain can be checked from any file on.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from schemas.ids import HEX_LETTERS
from schemas.times import as_utc

GENESIS = "a" * 64
HASH_SIZE = 64  # letters
KEPT_SIZE = 32  # of each hash, while a chain is checked: 128 bits
GAP_MAX = 10_000_000  # entries: what claims to be further away is no gap but a made-up number
OPENED, BOOKS_HEADS = b'"event":"card.open","result":"ok"', b'"event":"audit.head","result":"ok"'
FAULTS_MAX = 100  # told one by one; the rest is counted

AuditEvent = Literal[
    "vault.start",
    "vault.stop",
    "peer.connect",  # of a user who may not
    "client.prove",  # failed
    "card.open",
    "card.store",
    "card.delete",
    "person.keys",  # read
    "person.make",
    "person.destroy",
    "keys.rotate",
    "audit.head",  # heads of the books' audit, which tell of a change there
    "audit.continue",  # a new file
    "audit.drop",  # files past their time
    "audit.cut",  # entries that were there at the last stop are gone
    "standby.join",  # another vault has a copy of all, and of each entry from here on before it is answered
]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry: who, what, when, with which result (PCI DSS 10.2.2).

    Who: `pid` and `uid` of the process that asked, or its `certificate` where it asked from another host.
    `n` counts all entries from 1. Nothing of a card but its token. `result` is `ok`, or why it was refused.
    `call`: by what a caller who opened a card is known again, should it never get the reply.
    """

    n: int
    at: datetime
    event: AuditEvent
    result: str
    pid: int | None = None
    uid: int | None = None
    certificate: str | None = None
    operation_id: str | None = None
    card_id: str | None = None
    owner_id: str | None = None
    call: str | None = None
    detail: str | None = None


class Head(NamedTuple):
    """Where a chain ends: the number of its last entry, and that one's hash."""

    n: int
    hash: str

    def __str__(self) -> str:
        return f"{self.n}:{self.hash}"


class KeptHead(NamedTuple):
    """A head that is kept outside of the chain, and by whom: an operation's id, or what else to name it by."""

    kept_by: str
    head: Head


class AuditFault(NamedTuple):
    """Where a chain is not what was written, and how."""

    n: int
    what: str


def heads_in(entry: AuditEntry) -> list[Head]:
    """The heads of the books' audit that an `audit.head` keeps. Raises `ValueError` for any other detail."""
    return [head_of(text) for text in (entry.detail or "").split()]


DECODER = msgspec.json.Decoder(AuditEntry)
_encoder = msgspec.json.Encoder()


def head_of(text: str) -> Head:
    """The head that `str` wrote. Raises `ValueError`."""
    n, _, digest = text.partition(":")
    return Head(int(n), digest)


def line_of(entry: AuditEntry, previous: str) -> tuple[bytes, str]:
    """The line of an entry that follows the hash `previous`, and its own hash."""
    body = _encoder.encode(entry)
    digest = _hash(previous.encode() + body)
    return b"%s %s\n" % (digest, body), digest.decode()


def entry_of(line: bytes) -> tuple[AuditEntry, str]:
    """The entry and the hash that stand on a line. Raises `ValueError` for what is none."""
    return DECODER.decode(line[HASH_SIZE + 1 :]), line[:HASH_SIZE].decode()


def follows(line: bytes, previous: str) -> bool:
    """Whether a line follows the hash `previous`, unaltered."""
    return _hash(previous.encode() + line[HASH_SIZE + 1 :]) == line[:HASH_SIZE]


def end_before(entry: AuditEntry) -> tuple[str, datetime | None]:
    """By which hash and when the file before ended, as the first entry of a file says; None: it tells no time."""
    previous, _, ended = (entry.detail or "").partition(" ")
    try:
        return previous, as_utc(datetime.fromisoformat(ended))
    except ValueError:
        return previous, None


def files(directory: Path) -> list[Path]:
    """The chain's files, the oldest first."""
    return sorted(directory.glob("audit.*.jsonl"))


def file_name(n: int) -> str:
    """The name of the file that begins with entry `n`."""
    return f"audit.{n:012}.jsonl"


def first_number(path: Path) -> int:
    """The number of a file's first entry, by its name. Raises `ValueError`."""
    return int(path.name.split(".")[1])


def files_from(directory: Path, n: int) -> list[Path]:
    """The files that hold entry `n` and what follows it, the oldest first."""
    there = files(directory)
    return there[max((i for i, path in enumerate(there) if first_number(path) <= n), default=0) :]


class CheckedChain:
    """A chain as it was read, file by file: its entries from number `first` on, and the faults that it shows."""

    def __init__(self) -> None:
        self.first = 0
        self.last = Head(0, GENESIS)
        self.entries = 0
        self.faults: list[AuditFault] = []
        self.faults_left_out = 0
        self._hashes = bytearray()  # `KEPT_SIZE` of each entry

    def read(self, path: Path, kept: timedelta, now: datetime) -> Iterator[AuditEntry]:
        """Check a file, the next one; yield the entries of cards that were opened and of the books' heads.

        The first file must begin with the first entry of all, or with what follows entries older than `kept`.
        """
        # What has no end is being written just now, or was when a vault was killed: nobody was answered for it.
        *lines, _unended = path.read_bytes().split(b"\n")
        if lines and not self.entries:
            self._begin(lines[0], kept, now)
        yield from self._check(lines)

    def fault(self, n: int, what: str) -> None:
        """Note a fault at entry `n`."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(AuditFault(n, what))
        else:
            self.faults_left_out += 1

    def compare(self, kept: Iterable[KeptHead]) -> int:
        """Note each head that somebody keeps and the chain does not have; the number of those it has.

        What is older than the chain's first entry counts as neither.
        """
        found = 0
        for kept_by, head in kept:
            if head.n > self.last.n:
                self.fault(head.n, f"cut off: {kept_by} keeps it, and the chain ends at {self.last.n}")
            elif head.n >= self.first and self._hash_at(head.n) != head.hash[:KEPT_SIZE].encode():
                self.fault(head.n, f"another entry than {kept_by} keeps: from here or before on written anew")
            else:
                found += head.n >= self.first
        return found

    def _begin(self, line: bytes, kept: timedelta, now: datetime) -> None:
        """Begin the chain where its first file says that the one before ended."""
        try:
            entry, _ = entry_of(line)
            previous, ended = end_before(entry)
            self.first = entry.n
        except ValueError:
            previous, ended, self.first = GENESIS, None, 1
        self.last = Head(self.first - 1, previous or GENESIS)
        if self.first > 1 and (ended is None or ended > now - kept):
            self.fault(self.first, "the entries before are missing, and not old enough to be dropped")

    def _check(self, lines: list[bytes]) -> Iterator[AuditEntry]:
        n, previous = self.last.n, self.last.hash.encode()
        hashes = self._hashes
        for line in lines:
            n += 1
            digest, body = line[:HASH_SIZE], line[HASH_SIZE + 1 :]
            right = _hash(previous + body) == digest and line[HASH_SIZE : HASH_SIZE + 1] == b" "
            if not right or not body.startswith(b'{"n":%d,' % n):
                n = self._note_wrong(n, line)
            hashes += digest[:KEPT_SIZE].ljust(KEPT_SIZE)
            previous = digest
            if right and (OPENED in body or BOOKS_HEADS in body):
                yield DECODER.decode(body)
            elif b'"event":"audit.cut"' in body:
                self.fault(n, "the vault missed entries at its start")
        self.entries += len(lines)
        self.last = Head(n, previous.decode(errors="replace"))

    def _note_wrong(self, n: int, line: bytes) -> int:
        """Note that a line is not entry `n`; the number to go on from, where entries before it are missing."""
        try:
            entry, _ = entry_of(line)
        except (ValueError, RecursionError):
            self.fault(n, "is no entry")
            return n
        self.fault(n, "altered, removed, added or out of its place")
        if n < entry.n <= n + GAP_MAX:
            self._hashes.extend(b" " * KEPT_SIZE * (entry.n - n))
            return entry.n
        return n

    def _hash_at(self, n: int) -> bytes:
        place = (n - self.first) * KEPT_SIZE
        return bytes(self._hashes[place : place + KEPT_SIZE])


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode().translate(HEX_LETTERS)
