"""The safe: the file of cards together with the keys that open it. It knows nothing of sockets.

Reads run where they are called (a few microseconds); writes wait for the disk, in the writer's thread.
"""

import sqlite3
from pathlib import Path
from typing import NamedTuple

import msgspec

from connectors.processors.contract import CardDetails
from gateway.vault import cards, keys
from gateway.vault.envelope import Kek, NotOpened, rewrap, seal, unseal
from gateway.vault.frames import Stats, Stored
from gateway.vault.keys import HashKeys, KeyFiles, UnusableKey, cipher, proof
from gateway.vault.writer import Writer, transaction
from schemas.cards import brand_of, luhn_valid

HASHES = 0  # the "version" of the hashing root in the table of keys
BATCH = 100  # cards wrapped anew per commit: a few milliseconds, in which stores wait and reads do not


class CardUnknown(Exception):
    """This owner has no such card."""


class BadCard(ValueError):
    """The number is no card number of a brand we know. It does not say which number."""


class Secret(msgspec.Struct, frozen=True, array_like=True):
    """What an envelope holds. The name is kept for processors that compare it; no call returns it so far."""

    number: str
    exp_month: int
    exp_year: int
    name: str | None

    def __repr__(self) -> str:
        return "Secret(…)"


class Batch(NamedTuple):
    """Cards that a rotation came past: the last of them, and those whose altered rows stay as they are."""

    last: str
    damaged: list[str]


class Safe:
    """Cards in, tokens out. Raises `UnusableKey` where the keys are not those the file was written with."""

    def __init__(self, path: Path, files: KeyFiles) -> None:
        self._files = files
        self._reader = cards.connect(path)
        self._decoder = msgspec.msgpack.Decoder(Secret)
        self._hashes = files.hashes(generate=not cards.select_proofs(self._reader))
        with transaction(self._reader):
            self._keks = _load_keys(self._reader, files, self._hashes)
        self._current = max(self._keks)
        self._writer = Writer(cards.connect(path))

    def open(self, card: str, owner: str) -> CardDetails:
        """A card of this owner. Raises `CardUnknown`, and `NotOpened` where its row was tampered with."""
        envelope = cards.select_envelope(self._reader, card, owner)
        if envelope is None:
            raise CardUnknown
        if (kek := self._keks.get(envelope.kek)) is None:
            raise NotOpened("a key version that was never current")
        secret = self._decoder.decode(unseal(kek, card, owner, envelope))
        return CardDetails(secret.number, secret.exp_month, secret.exp_year)

    async def store(self, owner: str, secret: Secret) -> Stored:
        """Keep a card; the same number of the same owner keeps its token and takes the new expiry and name.

        Raises `BadCard`, and `cards.WornOut` where the current key may not be used any more.
        """
        return await self._writer.write(self._store, owner, secret)

    async def delete(self, card: str, owner: str) -> bool:
        """Destroy a card and its data key, in the write-ahead log too; False where there is none."""
        found = await self._writer.write(cards.delete_card, card, owner)
        if found:
            await self._writer.between(cards.wipe_log)
        return found

    def digest(self, data: bytes) -> bytes:
        """A keyed hash, for comparing requests that hold a number."""
        return keys.digest(self._hashes.digest_key, data)

    async def count(self) -> Stats:
        """The figures of this moment."""
        return await self._writer.write(cards.count)

    async def begin_rotation(self, stuck: int = 0) -> Stats:
        """A new key version; where more than `stuck` cards are left under older ones, go on with those instead.

        Raises `NoNewerKey`, `UnusableKey`.
        """
        stats = await self._writer.write(self._begin_rotation, stuck)
        self._current = stats.key  # only now: its row is on disk
        return stats

    async def rotate_some(self, after: str) -> Batch | None:
        """Wrap the data keys of the next cards past the token `after` under the current version; None at the end.

        Each batch leaves every card readable: a kill costs one batch.
        """
        batch = await self._writer.write(self._rotate_some, after)
        if batch is None:
            await self._writer.between(cards.wipe_log)
        return batch

    def close(self) -> None:
        """Finish what runs, then close the file."""
        self._writer.close()
        self._reader.close()

    def _store(self, conn: sqlite3.Connection, owner: str, secret: Secret) -> Stored:
        number, kek = secret.number, self._keks[self._current]
        brand = brand_of(number)
        if brand is None or not luhn_valid(number):
            raise BadCard
        fingerprint = keys.fingerprint(self._hashes.fingerprint_key, number)
        known = cards.select_token(conn, owner, fingerprint)
        card = known or keys.new_token()
        cards.count_wraps(conn, kek.version, 1)
        envelope = seal(kek, card, owner, msgspec.msgpack.encode(secret))
        cards.upsert_card(conn, card, owner, fingerprint, envelope)
        return Stored(card, brand, number[:6], number[-4:], fingerprint, created=known is None)

    def _begin_rotation(self, conn: sqlite3.Connection, stuck: int) -> Stats:
        stats = cards.count(conn)
        if stats.left > stuck:
            return stats
        version = self._files.newer_than(stats.key)
        key = self._files.kek(version)
        self._keks[version] = cipher(version, key)  # before a row may name it
        cards.insert_key(conn, version, proof(key))
        return cards.count(conn)

    def _rotate_some(self, conn: sqlite3.Connection, after: str) -> Batch | None:
        new = self._keks[self._current]
        older = cards.select_older(conn, new.version, after, BATCH)
        rewrapped = {card: self._rewrap(new, card, owner, old, key) for card, owner, old, key in older}
        wrapped = [(data_key, card) for card, data_key in rewrapped.items() if data_key]
        cards.count_wraps(conn, new.version, len(wrapped))
        cards.update_wrapped(conn, new.version, wrapped)
        if not older:
            return None
        return Batch(older[-1][0], [card for card, data_key in rewrapped.items() if not data_key])

    def _rewrap(self, new: Kek, card: str, owner: str, version: int, wrapped: bytes) -> bytes | None:
        old = self._keks.get(version)
        try:
            return rewrap(old, new, card, owner, wrapped) if old else None
        except NotOpened:
            return None


def _load_keys(conn: sqlite3.Connection, files: KeyFiles, hashes: HashKeys) -> dict[int, Kek]:
    """The key versions in use; a new file of cards takes the newest there is."""
    proofs = cards.select_proofs(conn)
    if not proofs:
        cards.insert_key(conn, HASHES, hashes.proof)
        newest = files.newer_than(0)
        cards.insert_key(conn, newest, proof(files.kek(newest)))
        proofs = cards.select_proofs(conn)
    if proofs[HASHES] != hashes.proof:
        raise UnusableKey("vault.hmac is not the key this file of cards was written with")
    versions = {cards.select_current(conn)} | (cards.select_used(conn) & proofs.keys())
    return {version: _load_kek(files, version, proofs[version]) for version in versions}


def _load_kek(files: KeyFiles, version: int, expected: bytes) -> Kek:
    key = files.kek(version)
    if proof(key) != expected:
        raise UnusableKey(f"vault.kek.{version} is not the key this file of cards was written with")
    return cipher(version, key)
