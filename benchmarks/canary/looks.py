"""Looks into files, Kafka's logs, topics, SQLite, the warehouse and live memory, piece by piece.

A look names where each piece stands. What a piece must not hold, a suspect of `canaries` says.
"""

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.canary.canaries import Suspect
from benchmarks.canary.kafka_segments import batches
from connectors.kafka import admin_client
from connectors.kafka_login import Bootstrap
from connectors.record_reader import until_now
from connectors.records import Record
from connectors.warehouse import Table

Piece = tuple[str, bytes]  # where it stands, and what
Query = Callable[[str], Table]

CHUNK, OVERLAP = 2**23, 2**8
SQLITE = b"SQLite format 3\0"
ROWS_AT_ONCE = 1_000
WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw.. \S+ \S+ (\d+)\s*(.*)")


def found(suspect: Suspect, pieces: Iterable[Piece]) -> dict[str, str]:
    """What is wrong where, by place."""
    return {place: wrong for place, content in pieces if (wrong := suspect(content))}


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


def records(bootstrap: Bootstrap, topics: Collection[str] = ()) -> Iterator[Piece]:
    """Every record as a consumer gets it; of every topic, Kafka's own included, unless some are named."""
    every = admin_client(bootstrap).list_topics(timeout=10).topics
    for record in all_records(bootstrap, topics or every):
        headers = [value if isinstance(value, bytes) else b"" for _, value in record.headers]
        yield record.topic, b" ".join([record.key or b"", *headers, record.value or b""])


def all_records(bootstrap: Bootstrap, topics: Collection[str]) -> Iterator[Record]:
    """The records on these topics now, from the beginning."""
    return chain.from_iterable(until_now(bootstrap, topics))


def kafka_segments(directory: Path) -> Iterator[Piece]:
    """Every batch in a broker's segments, decompressed; deleted segments too, as long as they are there."""
    for place, content in files(directory):
        if ".log" in place:
            for batch in batches(content):
                yield f"{place} decompressed", batch


def sqlite_files(directory: Path) -> Iterator[Piece]:
    """Every row of every SQLite file: a long value is spread over several pages of its file."""
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and _begins_with(path, SQLITE):
                for table, content in sqlite_rows(path):
                    yield f"{path.relative_to(directory)} table {table}", content


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def sqlite_rows(file: Path) -> Iterator[Piece]:
    """Every row of every table of a SQLite file."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        tables = conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            cursor = conn.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield table, row_bytes(names, row)


def warehouse(query: Query) -> Iterator[Piece]:
    """Every row of every table, asked in SQL."""
    for schema, table in query(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name <> 'answers'"
    ).rows:
        for found in _by_pieces(query, f'"{schema}"."{table}"'):
            for row in found.rows:
                yield f"{schema}.{table}", row_bytes(found.columns, row)


def _by_pieces(query: Query, table: str) -> Iterator[Table]:
    """As many rows at once as the server answers, by `rowid`: one that goes moves no other, a new one is last.

    A checkpoint that compacts a table numbers its rows anew: what is moved by that, the look at the file finds.
    """
    for first in count(0, ROWS_AT_ONCE):
        [(last,)] = query(f"SELECT max(rowid) FROM {table}").rows
        if last is None or last < first:
            return
        yield query(f"SELECT * FROM {table} WHERE rowid >= {first} AND rowid < {first + ROWS_AT_ONCE}")


def asked_of(conn: duckdb.DuckDBPyConnection) -> Query:
    """Queries of a file that is open here."""

    def query(sql: str) -> Table:
        found = conn.execute(sql)
        return Table([column[0] for column in found.description], found.fetchall())

    return query


def row_bytes(names: Iterable[str], row: Iterable[Any]) -> bytes:
    """A row as `name='value'`, blobs as they are."""
    values = [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b" ".join(b"%b='%b'" % (name.encode(), value) for name, value in zip(names, values, strict=True))


def memory(pid: int) -> Iterator[Piece]:
    """What a process has in memory that it can write to; needs root, or a process of one's own."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as content, suppress(ProcessLookupError):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if (region := WRITABLE.fullmatch(line)) and not region[4].startswith("[v"):
                for at, chunk in _chunks(content.fileno(), int(region[1], 16), int(region[2], 16)):
                    yield f"{region[4] or 'memory'} at {at:x}", chunk


def _chunks(file: int, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Stretches that overlap, so that nothing is cut in two; a region that is gone meanwhile is passed over."""
    with suppress(OSError):
        for at in range(begin, end, CHUNK):
            yield at, os.pread(file, min(CHUNK + OVERLAP, end - at), at)


def open_files(pid: int, apart_from: Path) -> Iterator[Piece]:
    """The files outside of a directory that a process writes to, those that have no name any more too."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            name = os.readlink(link)
            is_elsewhere = not name.startswith((str(apart_from), "/dev/", "/proc/")) or name.endswith(" (deleted)")
            if is_elsewhere and link.is_file() and _is_written_to(pid, link.name):  # a socket or a pipe is no file
                yield f"open {name}", link.read_bytes()


def _is_written_to(pid: int, number: str) -> bool:
    flags = re.search(r"flags:\s*([0-7]+)", Path(f"/proc/{pid}/fdinfo/{number}").read_text())
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY


def named_texts(said: dict[str, str]) -> Iterator[Piece]:
    """Texts by the name of who showed them."""
    for name, text in said.items():
        yield name, text.encode()
