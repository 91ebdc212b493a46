"""The lists in force, found by value: a payment asks for each thing it names, however many entries there are."""

import hashlib
from collections.abc import Iterator
from datetime import datetime

import msgspec

from schemas.fraud import ListEntry
from schemas.lists import FraudListing, Listable, ListKind, ListName, deciding_entry, places_of
from schemas.times import as_utc

DIGEST_BYTES = 8
DIGEST_MASK = 2 ** (8 * DIGEST_BYTES) - 1

_encoder = msgspec.json.Encoder()


class EntryInForce(msgspec.Struct, frozen=True, gc=False):
    """What is kept of an entry, of whatever release: 1,000,000 of them may be in force. `digest`: of all of it."""

    id: str
    list: ListName
    kind: ListKind
    value: str
    expires_at: datetime | None
    version: int
    digest: int


class Lists:
    """The entries in force, each by its id and by its value. Changing one costs the same however many there are.

    `digest` says which are in force, in whatever order they came: the sum of theirs.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, EntryInForce] = {}
        self._by_value: dict[str, EntryInForce | tuple[EntryInForce, ...]] = {}
        self.digest = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, told: ListEntry | FraudListing) -> bool:
        """Put an entry in force; it replaces the one of its id, unless that is a later version. Whether it did."""
        entry, before = _in_force(told), self._by_id.get(told.id)
        if before is not None and (before.digest == entry.digest or before.version > entry.version):
            return False
        self.remove(told.id)
        self._by_id[entry.id] = entry
        others = self._by_value.get(entry.value)
        self._by_value[entry.value] = entry if others is None else (*_each(others), entry)
        self.digest = (self.digest + entry.digest) & DIGEST_MASK
        return True

    def remove(self, entry_id: str) -> bool:
        """Take an entry away. Whether it was there."""
        entry = self._by_id.pop(entry_id, None)
        if entry is None:
            return False
        left = tuple(other for other in _each(self._by_value[entry.value]) if other is not entry)
        if left:
            self._by_value[entry.value] = left
        else:
            del self._by_value[entry.value]
        self.digest = (self.digest - entry.digest) & DIGEST_MASK
        return True

    def deciding(self, payment: Listable, moment: datetime) -> EntryInForce | None:
        """The entry that decides about a payment at `moment`."""
        if not self._by_id:
            return None
        return deciding_entry(list(self._about(payment)), moment)

    def _about(self, payment: Listable) -> Iterator[EntryInForce]:
        for kind, value in places_of(payment):
            found = self._by_value.get(value)
            if found is not None:
                yield from (entry for entry in _each(found) if entry.kind == kind)


def _each(found: EntryInForce | tuple[EntryInForce, ...]) -> tuple[EntryInForce, ...]:
    return (found,) if isinstance(found, EntryInForce) else found


def _in_force(told: ListEntry | FraudListing) -> EntryInForce:
    """What counts of an entry. One of an earlier release has no version: the one told last counts."""
    expires_at = None if told.expires_at is None else as_utc(told.expires_at)
    said = _encoder.encode([told.id, told.list, told.kind, told.value, expires_at])
    digest = int.from_bytes(hashlib.blake2b(said, digest_size=DIGEST_BYTES).digest())
    kind: ListKind = "card" if told.kind == "instrument" else told.kind
    version = told.version if isinstance(told, FraudListing) else 0
    return EntryInForce(told.id, told.list, kind, told.value, expires_at, version, digest)
