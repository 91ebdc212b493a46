"""The safe: the file of cards together with the keys that open it. It knows nothing of sockets.

Reads run where they are called (a few microseconds); writes run one after another in a thread, because each waits
for the disk.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import msgspec

from connectors.processors.contract import CardDetails
from gateway.vault import cards, tokens
from gateway.vault.envelope import Kek, NotOpened, rewrap, seal, unseal
from gateway.vault.frames import Stats, Stored
from gateway.vault.keys import HashKeys, KeyFiles, KeyTrouble, cipher, proof
from schemas.cards import brand_of, luhn_valid

P = ParamSpec("P")
R = TypeVar("R")

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
    """Cards in, tokens out. Raises `KeyTrouble` where the keys are not those the file was written with."""

    def __init__(self, path: Path, files: KeyFiles) -> None:
        self._files = files
        self._reader = cards.connect(path)
        self._writer = cards.connect(path)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="safe")
        self._decoder = msgspec.msgpack.Decoder(Secret)
        self._hashes = files.hashes(generate=not cards.select_proofs(self._writer))
        with cards.transaction(self._writer):
            self._keks = _load_keys(self._writer, files, self._hashes)
        self._current = max(self._keks)

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
        return await self._write(self._store, owner, secret)

    async def delete(self, card: str, owner: str) -> bool:
        """Destroy a card and its data key, in the write-ahead log too; False where there is none."""
        return await self._write(self._delete, card, owner)

    def digest(self, data: bytes) -> bytes:
        """A keyed hash, for comparing requests that hold a number."""
        return tokens.digest(self._hashes.digest, data)

    async def count(self) -> Stats:
        """The figures of this moment."""
        return await self._write(cards.count, self._writer)

    async def begin_rotation(self, stuck: int = 0) -> Stats:
        """A new key version; where more than `stuck` cards are left under older ones, go on with those instead.

        Raises `NoNewerKey`, `KeyTrouble`.
        """
        return await self._write(self._begin_rotation, stuck)

    async def rotate_some(self, after: str) -> Batch | None:
        """Wrap the data keys of the next cards past the token `after` under the current version; None at the end.

        Each batch is a commit of its own and leaves every card readable: a kill costs one batch.
        """
        return await self._write(self._rotate_some, after)

    def close(self) -> None:
        """Finish what was asked, then close the file."""
        self._disk.shutdown()
        self._reader.close()
        self._writer.close()

    async def _write(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._disk, lambda: fn(*args, **kwargs))

    def _store(self, owner: str, secret: Secret) -> Stored:
        number, conn = secret.number, self._writer
        brand = brand_of(number)
        if brand is None or not luhn_valid(number):
            raise BadCard
        fingerprint = tokens.fingerprint(self._hashes.fingerprint, number)
        with cards.transaction(conn):
            known = cards.select_token(conn, owner, fingerprint)
            card = known or tokens.new_token()
            cards.count_wraps(conn, self._current, 1)
            envelope = seal(self._keks[self._current], card, owner, msgspec.msgpack.encode(secret))
            cards.upsert_card(conn, card, owner, fingerprint, envelope)
        return Stored(card, brand, number[:6], number[-4:], fingerprint, created=known is None)

    def _delete(self, card: str, owner: str) -> bool:
        with cards.transaction(self._writer):
            found = cards.delete_card(self._writer, card, owner)
        if found:
            cards.wipe_log(self._writer)
        return found

    def _begin_rotation(self, stuck: int) -> Stats:
        stats = cards.count(self._writer)
        if stats.left > stuck:
            return stats
        version = self._files.newer_than(stats.key)
        key = self._files.kek(version)
        self._keks[version] = cipher(version, key)  # before a row may name it
        with cards.transaction(self._writer):
            cards.insert_key(self._writer, version, proof(key))
        self._current = version
        return cards.count(self._writer)

    def _rotate_some(self, after: str) -> Batch | None:
        new, conn = self._keks[self._current], self._writer
        with cards.transaction(conn):
            older = cards.select_older(conn, new.version, after, BATCH)
            rewrapped = {card: self._rewrap(new, card, owner, old, key) for card, owner, old, key in older}
            wrapped = [(data_key, card) for card, data_key in rewrapped.items() if data_key]
            cards.count_wraps(conn, new.version, len(wrapped))
            cards.update_wrapped(conn, new.version, wrapped)
        if not older:
            cards.wipe_log(conn)
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
        raise KeyTrouble("vault.hmac is not the key this file of cards was written with")
    versions = {cards.select_current(conn)} | (cards.select_used(conn) & proofs.keys())
    return {version: _load_kek(files, version, proofs[version]) for version in versions}


def _load_kek(files: KeyFiles, version: int, expected: bytes) -> Kek:
    key = files.kek(version)
    if proof(key) != expected:
        raise KeyTrouble(f"vault.kek.{version} is not the key this file of cards was written with")
    return cipher(version, key)
