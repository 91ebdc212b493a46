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
from gateway.vault.frames import CardCounts, StoredCard
from gateway.vault.keys import HashKeys, KeyFiles, UnusableKey
from gateway.vault.writer import CopyTarget, Writer, transaction
from schemas.cards import brand_of, luhn_valid

HASH_ROOT = 0  # the "version" of the hashing root in the table of keys
BATCH = 100  # cards rewrapped per commit: a few milliseconds, in which stores wait and reads do not


class NoSuchCard(Exception):
    """This owner has no such card."""


class InvalidNumber(ValueError):
    """The number is no card number of a supported brand. The message does not quote it."""


class Secret(msgspec.Struct, frozen=True, array_like=True):
    """The content of an envelope. The name is kept for processors that compare it; no call returns it yet."""

    number: str
    exp_month: int
    exp_year: int
    name: str | None

    def __repr__(self) -> str:
        return "Secret(…)"


class RotationBatch(NamedTuple):
    """The cards of one commit of a rotation: the last one's id, and the ids of those that did not open."""

    last: str
    damaged: list[str]


class FileLost(Exception):
    """A file that the vault had is not there: to begin it anew would make what was sealed with it unreadable."""


class Safe:
    """Stores, opens and deletes cards.

    Raises `UnusableKey` if the keys are not those that the file was written with. `target`: what gets a copy.
    """

    def __init__(self, path: Path, files: KeyFiles, target: CopyTarget | None = None) -> None:
        self._files = files
        self._reader = cards.connect(path)
        self._decoder = msgspec.msgpack.Decoder(Secret)
        self._hashes = files.hashes(generate=not cards.select_proofs(self._reader))
        with transaction(self._reader):
            self._keks = load_keks(self._reader, files, self._hashes)
        self._current = max(self._keks)
        self.writer = Writer(cards.connect(path), "cards", target)

    @property
    def key_version(self) -> int:
        """The version of the key-encryption key that wraps what is new."""
        return self._current

    def check_companion(self, path: Path) -> None:
        """Raises `FileLost` where a file that this one had beside it is missing, as after half a restore."""
        if cards.has_companion(self._reader, path.name) and not path.exists():
            raise FileLost(f"{path} is missing: put its newest copy back (docs/operators.md, What to copy)")

    def note_companion(self, path: Path) -> None:
        """A file is beside this one, from now on."""
        cards.insert_companion(self._reader, path.name)

    def open(self, card_id: str, owner_id: str) -> CardDetails:
        """A card of this owner. Raises `NoSuchCard`, and `NotOpened` where its row was altered."""
        envelope = cards.select_envelope(self._reader, card_id, owner_id)
        if envelope is None:
            raise NoSuchCard
        if (kek := self._keks.get(envelope.key_version)) is None:
            raise NotOpened("a key version that was never current")
        secret = self._decoder.decode(unseal(kek, card_id, owner_id, envelope))
        return CardDetails(secret.number, secret.exp_month, secret.exp_year)

    async def store(self, owner_id: str, secret: Secret) -> StoredCard:
        """Store a card; a number that its owner stored before keeps its token and takes the new expiry and name.

        Raises `InvalidNumber`, and `cards.KeyExhausted` where the current key may not be used any more.
        """
        return await self.writer.write(self._store, owner_id, secret)

    async def delete(self, card_id: str, owner_id: str) -> bool:
        """Destroy a card and its data key, in the write-ahead log too; False where there is none."""
        found = await self.writer.write(cards.delete_card, card_id, owner_id)
        if found:
            await self.writer.wipe_log()
        return found

    async def delete_all(self, owner_id: str) -> list[str]:
        """Destroy every card of an owner, as `delete` does; their ids."""
        found = await self.writer.write(cards.delete_cards, owner_id)
        if found:
            await self.writer.wipe_log()
        return found

    def digest(self, data: bytes) -> bytes:
        """A keyed hash (32 bytes), by which requests that hold a card number are compared."""
        return keys.digest(self._hashes.digest_key, data)

    async def count(self) -> CardCounts:
        """The counts at this moment."""
        return await self.writer.write(cards.count)

    async def begin_rotation(self, stuck: int = 0) -> CardCounts:
        """Begin a new key version, or none where more than `stuck` cards are still under older versions.

        Returns the counts of the version to rotate to. Raises `NoNewerKey`, `UnusableKey`.
        """
        counts = await self.writer.write(self._begin_rotation, stuck)
        self._current = counts.key_version  # only now: its row is on disk
        return counts

    async def rotate_some(self, after: str) -> RotationBatch | None:
        """Rewrap the data keys of the next cards after the token `after`; None after the last one.

        Every card stays readable throughout: a kill undoes one batch.
        """
        batch = await self.writer.write(self._rotate_some, after)
        if batch is None:
            await self.writer.wipe_log()
        return batch

    def close(self) -> None:
        """Finish running writes, then close the file."""
        self.writer.close()
        self._reader.close()

    def _store(self, conn: sqlite3.Connection, owner_id: str, secret: Secret) -> StoredCard:
        number, kek = secret.number, self._keks[self._current]
        brand = brand_of(number)
        if brand is None or not luhn_valid(number):
            raise InvalidNumber
        fingerprint = keys.fingerprint(self._hashes.fingerprint_key, number)
        known_id = cards.select_token(conn, owner_id, fingerprint)
        card_id = known_id or keys.new_token()
        cards.count_wraps(conn, kek.version, 1)
        envelope = seal(kek, card_id, owner_id, msgspec.msgpack.encode(secret))
        cards.upsert_card(conn, card_id, owner_id, fingerprint, envelope)
        return StoredCard(card_id, brand, number[:6], number[-4:], fingerprint, created=known_id is None)

    def _begin_rotation(self, conn: sqlite3.Connection, stuck: int) -> CardCounts:
        counts = cards.count(conn)
        if counts.left > stuck:
            return counts
        version = self._files.newer_than(counts.key_version)
        key = self._files.kek(version)
        self._keks[version] = keys.cipher(version, key)  # before a row may name it
        cards.insert_key(conn, version, keys.proof(key))
        return cards.count(conn)

    def _rotate_some(self, conn: sqlite3.Connection, after: str) -> RotationBatch | None:
        new = self._keks[self._current]
        older = cards.select_older(conn, new.version, after, BATCH)
        rewrapped = {
            card_id: self._rewrap(new, card_id, owner_id, old, key) for card_id, owner_id, old, key in older
        }
        wrapped = [(data_key, card_id) for card_id, data_key in rewrapped.items() if data_key]
        cards.count_wraps(conn, new.version, len(wrapped))
        cards.update_wrapped(conn, new.version, wrapped)
        if not older:
            return None
        return RotationBatch(older[-1][0], [card_id for card_id, data_key in rewrapped.items() if not data_key])

    def _rewrap(self, new: Kek, card_id: str, owner_id: str, version: int, wrapped: bytes) -> bytes | None:
        # None for an altered row: it must not stop the rotation of all cards after it.
        old = self._keks.get(version)
        try:
            return rewrap(old, new, card_id, owner_id, wrapped) if old else None
        except NotOpened:
            return None


def load_keks(conn: sqlite3.Connection, files: KeyFiles, hashes: HashKeys) -> dict[int, Kek]:
    """The key versions in use, each checked against its proof; a new file of cards takes the newest key file."""
    proofs = cards.select_proofs(conn)
    if not proofs:
        cards.insert_key(conn, HASH_ROOT, hashes.proof)
        newest = files.newer_than(0)
        cards.insert_key(conn, newest, keys.proof(files.kek(newest)))
        proofs = cards.select_proofs(conn)
    if proofs[HASH_ROOT] != hashes.proof:
        raise UnusableKey("vault.hmac is not the key this file of cards was written with")
    # A version that a row names but no proof does was written by somebody else: its cards do not open.
    versions = {cards.select_current_version(conn)} | (cards.select_used_versions(conn) & proofs.keys())
    return {version: _load_kek(files, version, proofs[version]) for version in versions}


def _load_kek(files: KeyFiles, version: int, expected: bytes) -> Kek:
    key = files.kek(version)
    if keys.proof(key) != expected:
        raise UnusableKey(f"vault.kek.{version} is not the key this file of cards was written with")
    return keys.cipher(version, key)
