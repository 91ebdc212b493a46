"""What a twin shows of a call when it is asked later: one JSON document per call, without card numbers.

`family` is what a vendor groups by, an order; `kind` is the vendor's word for the call.
"""

import sqlite3
from typing import Any

import msgspec

from schemas.payments import ProcessorName

TABLE = """
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY,
    processor TEXT NOT NULL,
    id TEXT NOT NULL,            -- the vendor's
    kind TEXT NOT NULL,          -- the vendor's word for it
    family TEXT NOT NULL,        -- what a vendor groups by: an order
    request_id TEXT NOT NULL,    -- the merchant's
    row INTEGER REFERENCES ledger (id),
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS documents_id ON documents (processor, id);
CREATE INDEX IF NOT EXISTS documents_family ON documents (processor, family);
CREATE INDEX IF NOT EXISTS documents_request_id ON documents (processor, request_id);
"""

INSERT = "INSERT INTO documents (processor, id, kind, family, request_id, row, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
BY_ID = """
SELECT id, kind, family, request_id, row, body FROM documents WHERE processor = ? AND id = ?
"""
BY_KIND = """
SELECT id, kind, family, request_id, row, body FROM documents WHERE processor = ? AND kind = ? ORDER BY number
"""
BY_FAMILY = """
SELECT id, kind, family, request_id, row, body FROM documents
WHERE processor = ? AND family = ? ORDER BY number
"""
BY_REQUEST = """
SELECT id, kind, family, request_id, row, body FROM documents
WHERE processor = ? AND request_id = ? ORDER BY number
"""


class StoredAnswer(msgspec.Struct, frozen=True):
    """`row` is the id of the call's ledger row; None where no money moved."""

    id: str
    kind: str
    family: str
    request_id: str
    row: int | None
    body: Any


def put(conn: sqlite3.Connection, processor: ProcessorName, stored: StoredAnswer) -> None:
    """Store an answer. Raises `sqlite3.IntegrityError` where its id is taken."""
    values = msgspec.structs.astuple(stored)[:-1]
    conn.execute(INSERT, (processor, *values, msgspec.json.encode(stored.body)))


def replace_body(conn: sqlite3.Connection, processor: ProcessorName, id: str, body: Any) -> None:
    """Replace the body of the answer `id`."""
    values = (msgspec.json.encode(body), processor, id)
    conn.execute("UPDATE documents SET body = ? WHERE processor = ? AND id = ?", values)


def give_row(conn: sqlite3.Connection, processor: ProcessorName, id: str, row: int) -> None:
    """Name the ledger row of the answer `id`, whose money has moved now."""
    conn.execute("UPDATE documents SET row = ? WHERE processor = ? AND id = ?", (row, processor, id))


def of_kind(conn: sqlite3.Connection, processor: ProcessorName, kind: str) -> list[StoredAnswer]:
    """All answers of a kind, oldest first: a scan, for what is asked seldom."""
    return _select(conn, BY_KIND, processor, kind)


def get(conn: sqlite3.Connection, processor: ProcessorName, id: str) -> StoredAnswer | None:
    """The answer with the vendor's id."""
    return next(iter(_select(conn, BY_ID, processor, id)), None)


def of_family(conn: sqlite3.Connection, processor: ProcessorName, family: str) -> list[StoredAnswer]:
    """The answers of one family, oldest first."""
    return _select(conn, BY_FAMILY, processor, family)


def of_request(conn: sqlite3.Connection, processor: ProcessorName, request_id: str) -> list[StoredAnswer]:
    """The answers with the merchant's request id, oldest first."""
    return _select(conn, BY_REQUEST, processor, request_id)


def _select(conn: sqlite3.Connection, query: str, processor: ProcessorName, value: str) -> list[StoredAnswer]:
    found = conn.execute(query, (processor, value))
    return [
        StoredAnswer(id, kind, family, request_id, row, msgspec.json.decode(body))
        for id, kind, family, request_id, row, body in found
    ]
