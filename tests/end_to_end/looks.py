"""Searches files, topics, the books and the warehouse for card numbers, piece by piece."""

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from connectors.record_reader import RecordReader, places
from connectors.records import Record
from tests.gateway.vault.test_canary import disguises

Piece = tuple[str, bytes]  # where it stands, and what
Suspect = Callable[[bytes], object]
Query = Callable[[str], list[tuple[Any, ...]]]

CODE = rb"""(?:cvc|cvv|cvn|code)\W{1,8}%(code)b\b|["']%(code)b["']"""


def card_data_in(numbers: Collection[str], codes: Collection[str]) -> Suspect:
    """Whether a piece holds a card number, in clear or in one of several encodings, or a CVC as a value.

    As mere digits a CVC stands in many a time.
    """
    forms = [form for number in numbers for form in disguises(number).values()]
    as_value = re.compile(b"|".join(CODE % {b"code": code.encode()} for code in codes), re.IGNORECASE)
    return lambda content: any(form in content for form in forms) or as_value.search(content)


def text_in(texts: Collection[str]) -> Suspect:
    """Whether a piece holds one of these texts, in upper or lower case."""
    return lambda content: any(text.lower().encode() in content.lower() for text in texts)


def found(suspect: Suspect, pieces: Iterator[Piece]) -> list[str]:
    """The names of the pieces that hold something suspect."""
    return sorted({place for place, content in pieces if suspect(content)})


def files(directory: Path) -> Iterator[Piece]:
    """Every file."""
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):  # renamed under our eyes: it is found under its new name, or next time
            if path.is_file():
                yield str(path.relative_to(directory)), _content(path)


def _content(path: Path) -> bytes:
    """The content of a file, without the holes that Kafka preallocates for its indexes."""
    with path.open("rb", buffering=0) as file:
        size, content, at = os.fstat(file.fileno()).st_size, [], 0
        while at < size and (begin := _seek(file.fileno(), at, os.SEEK_DATA, size)) < size:
            at = _seek(file.fileno(), begin, os.SEEK_HOLE, size)
            content.append(os.pread(file.fileno(), at - begin, begin))
    return b"".join(content)


def _seek(file: int, at: int, kind: int, end: int) -> int:
    try:
        return os.lseek(file, at, kind)
    except OSError:  # ENXIO: a hole up to the end
        return end


def records(bootstrap: str) -> Iterator[Piece]:
    """Every record of every topic as a consumer gets it, Kafka's own topics included."""
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    for record in all_records(bootstrap, topics):
        headers = [value if isinstance(value, bytes) else b"" for _, value in record.headers]
        yield record.topic, b" ".join([record.key or b"", *headers, record.value or b""])


def all_records(bootstrap: str, topics: Collection[str]) -> Iterator[Record]:
    """The records on these topics now, from the beginning."""
    reader = RecordReader(bootstrap)
    try:
        for place in places(bootstrap, topics):
            reader.add(place)
        while not reader.at_end():
            yield from reader.poll()
    finally:
        reader.close()


def books(file: Path) -> Iterator[Piece]:
    """Every row of every table of a SQLite file."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        tables = conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in conn.execute(f'SELECT * FROM "{table}"'):
                yield table, row_bytes(row)


def warehouse(query: Query) -> Iterator[Piece]:
    """Every row of every table, asked in SQL."""
    for schema, table in query("SELECT schema_name, table_name FROM duckdb_tables()"):
        for row in query(f'SELECT * FROM "{schema}"."{table}"'):
            yield f"{schema}.{table}", row_bytes(row)


def row_bytes(row: tuple[Any, ...]) -> bytes:
    """A row's values as text, blobs as they are."""
    return b" ".join(b"'%b'" % (v if isinstance(v, bytes) else str(v).encode()) for v in row)
