"""Copies of the books, and what somebody reads in one with the keys of a day: for `benchmarks.shredding`."""

import re
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.books.persons import (
    ACCOUNT_TEXTS,
    CONFIRMATION_TEXTS,
    MARK,
    NONCE_BYTES,
    PAYMENT_TEXTS,
    REFUND_TEXTS,
)
from gateway.vault import person_file
from gateway.vault.envelope import NotOpened, unwrap_person
from gateway.vault.keys import person_cipher

KEY_BYTES = 32
PLACES = [
    (columns.table, column)
    for columns in (ACCOUNT_TEXTS, CONFIRMATION_TEXTS, PAYMENT_TEXTS, REFUND_TEXTS)
    for column in columns.gone
]
SEALED = re.compile(MARK + r"([0-9a-z_]+):([0-9A-Za-z_=-]+)")
ID = re.compile(r"\b[a-z]{2,5}_[0-9a-z]{6,}\b")
BYTES = re.compile(r"\\x([0-9a-f]+)")  # as pg_dump writes them


class Today(msgspec.Struct, frozen=True):
    """`persons`: every person's key that the vault has. `others`: every other key and secret, made a key of."""

    persons: dict[str, bytes]
    others: list[bytes]


def keys_of_today(data: Path) -> Today:
    """All that opens anything, from the secrets of a data directory and the vault's file of persons' keys."""
    secrets = {path.name: path.read_bytes() for path in (data / "secrets").iterdir() if path.is_file()}
    keks = {int(name.rpartition(".")[2]): key for name, key in secrets.items() if name.startswith("vault.kek.")}
    with closing(person_file.connect(data / "persons.sqlite3")) as conn:
        ids = [row[0] for row in conn.execute("SELECT person FROM persons")]
        wrapped = person_file.select_keys(conn, ids)
    persons = {}
    for key in wrapped:
        kek = person_cipher(key.key_version, keks[key.key_version])
        persons[key.person_id] = unwrap_person(kek, key.person_id, key.wrapped)
    return Today(persons, [key for key in secrets.values() if len(key) == KEY_BYTES])


def rows_of_sqlite(file: Path) -> Iterator[str]:
    """Every row of a copy, as text."""
    with closing(sqlite3.connect(file)) as conn:
        names = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in conn.execute(f"SELECT * FROM {name}"):
                yield "\t".join(_text(value) for value in row)


def rows_of_dump(dump: str) -> Iterator[str]:
    """Every line of what pg_dump wrote, with its bytes as text."""
    for line in dump.splitlines():
        yield BYTES.sub(lambda found: _text(bytes.fromhex(found[1][: len(found[1]) // 2 * 2])), line)


def texts_of(row: str, keys: Today) -> Iterator[str]:
    """A row as it stands, and each sealed text in it that any key opens in any place it may be of."""
    yield row
    ids = set(ID.findall(row))
    for person_id, blob in SEALED.findall(row):
        ids.add(person_id)
        opened = _opened(person_id, urlsafe_b64decode(blob), ids, [*keys.persons.values(), *keys.others])
        if opened is not None:
            yield opened


def sealed_texts(row: str, person_id: str) -> int:
    """How many sealed texts of a person a row has."""
    return sum(found == person_id for found, _ in SEALED.findall(row))


def _opened(person_id: str, blob: bytes, row_ids: Collection[str], keys: Collection[bytes]) -> str | None:
    for key in keys:
        cipher = AESGCM(key)
        for table, column in PLACES:
            for row_id in row_ids:
                context = msgspec.msgpack.encode((table, column, row_id, person_id))
                try:
                    return cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], context).decode()
                except (InvalidTag, NotOpened):
                    continue
    return None


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
