"""The books' audit: read and checked entry by entry, and compared with the heads that the vault keeps of it."""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial

import click
import msgspec

from gateway.books.audit import GENESIS, Act, ActRow, hash_of, list_entries, record, sealing
from gateway.books.opening import run_once
from gateway.books.tables import FOR_EVER
from gateway.settings import GatewaySettings
from gateway.vault.audit_chain import FAULTS_MAX, GAP_MAX, KEPT_SIZE, AuditFault, Head
from schemas.times import from_micros, to_micros

PAGE = 10_000
CARRIED = timedelta(minutes=1)  # clocks of two machines differ, and a head follows its entry
WAITS_MAX = timedelta(hours=1)  # for the vault; then an entry could have been changed by whoever keeps it away


class EntryLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of `sluice audit heads`: an entry of the books' audit, and when it was made, in microseconds UTC.

    `whole`: its hash is that of what it says and of the entry before it.
    """

    entry: int
    at: int
    hash: str
    whole: bool = True


def gateway_key(settings: GatewaySettings) -> bytes:
    """The key that the entries are hashed with. Raises `ClickException` where there is none."""
    path = settings.secrets() / "gateway.key"
    if not path.exists():
        raise click.ClickException(f"{path} does not exist: without it nobody can check the books' audit")
    return path.read_bytes()


def entries(settings: GatewaySettings) -> Iterator[ActRow]:
    """All entries of the books' audit, in order."""
    url, last = settings.books_url(), -FOR_EVER  # none of ours is below 1
    while page := run_once(url, partial(list_entries, after=last, most=PAGE), readonly=True):
        yield from page
        last = page[-1].n


def exported_acts(settings: GatewaySettings, since: datetime | None, until: datetime | None) -> Iterator[bytes]:
    """The entries from `since` on and before `until`, each as JSON with what its hash is made of."""
    begin, end = (to_micros(moment) if moment else None for moment in (since, until))
    for entry in entries(settings):
        if (begin is None or entry.at >= begin) and (end is None or entry.at < end):
            yield msgspec.json.encode(entry)


def record_export(settings: GatewaySettings, detail: dict[str, str]) -> None:
    """Record that entries are written out, by whoever runs this command, before any is."""
    act = Act("export", f"uid:{os.getuid()}", "audit", detail)
    run_once(settings.books_url(), lambda conn: record(conn, act), seal=sealing(gateway_key(settings)))


def entry_lines(settings: GatewaySettings) -> Iterator[EntryLine]:
    """All entries, each checked against the one before it."""
    previous, key = GENESIS, b""
    for entry in entries(settings):
        key = key or gateway_key(settings)
        yield EntryLine(entry.n, entry.at, entry.hash, whole=hash_of(key, previous, entry) == entry.hash)
        previous = entry.hash


class VaultHeads:
    """What the vault keeps of the books' audit: of each hash the first part alone.

    `due`: the last number that a file which was written at `read_at` must have; None: entries are read after it.
    """

    def __init__(self, read_at: datetime | None = None) -> None:
        self.first, self.last, self.due = 0, 0, 0
        self._due_before = read_at - CARRIED if read_at else None
        self.contradicted: list[int] = []  # numbers of which it keeps two hashes
        self._hashes = bytearray()

    def add(self, head: Head, at: datetime) -> None:
        """The vault wrote a head at `at`."""
        self.first = self.first or head.n
        if head.n < self.first:  # of another gateway, which was overtaken
            return
        if head.n > self.last + GAP_MAX:
            self.contradicted.append(head.n)
            return
        place, kept = (head.n - self.first) * KEPT_SIZE, head.hash[:KEPT_SIZE].encode()
        if head.n > self.last:
            self._hashes.extend(b" " * (place + KEPT_SIZE - len(self._hashes)))
            self.last = head.n
            self.due = self.due if self._due_before and at >= self._due_before else head.n
        elif self._hashes[place : place + KEPT_SIZE] not in (kept, b" " * KEPT_SIZE):
            self.contradicted.append(head.n)
            return
        self._hashes[place : place + KEPT_SIZE] = kept

    def knows(self, n: int) -> bool:
        """Whether the vault has to have a head of entry `n`, as it has one of before and one of after."""
        return self.first <= n <= self.last

    def has(self, n: int, digest: str) -> bool:
        """Whether it has this one."""
        place = (n - self.first) * KEPT_SIZE
        return self._hashes[place : place + KEPT_SIZE] == digest[:KEPT_SIZE].encode()


class CheckedBooks:
    """The books' audit as it was read, and the faults that it shows, in the order of its entries."""

    def __init__(self) -> None:
        self.entries, self.waiting = 0, 0
        self.faults: list[AuditFault] = []
        self.faults_left_out = 0
        self._last = 0

    def check(self, lines: Iterable[EntryLine], heads: VaultHeads, now: datetime) -> None:
        """Check entries, which were read at `now`, against the vault's heads."""
        for line in lines:
            self._check(line, heads, now)
        if heads.due > self._last:
            self._fault(
                self._last + 1, f"cut off: the vault keeps {heads.due}, and the audit ends at {self._last}"
            )
        for n in heads.contradicted:
            self._fault(n, "the vault keeps two heads of it: it was written anew, or the books were restored")
        self.faults.sort()

    def _check(self, line: EntryLine, heads: VaultHeads, now: datetime) -> None:
        n, self.entries = line.entry, self.entries + 1
        if n != self._last + 1:
            self._fault(min(n, self._last + 1), f"missing, or one too many: {n} follows {self._last}")
        self._last = n
        if not line.whole:
            self._fault(n, "altered, added or out of its place: its hash is not that of what it says")
        if heads.knows(n) and not heads.has(n, line.hash):
            self._fault(n, "the vault keeps another head of it: from here or before on written anew")
        if n > heads.last:
            self._note_waiting(line, now)

    def _note_waiting(self, line: EntryLine, now: datetime) -> None:
        self.waiting += 1
        if self.waiting == 1 and from_micros(line.at) < now - WAITS_MAX:
            self._fault(line.entry, f"the vault keeps no head of it, since {from_micros(line.at).isoformat()}")

    def _fault(self, n: int, what: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(AuditFault(n, what))
        else:
            self.faults_left_out += 1
