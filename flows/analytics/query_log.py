"""Who asked what, and what came of it: a line of JSON for each statement (PCI DSS 10.2.1 to 10.2.2).

Texts and numbers that stand in a statement are left out: they may be somebody's address or card. What was asked of
which view and column is there.
"""

import logging
import os
import re
import threading
from datetime import datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
from prometheus_client import REGISTRY

from flows.metrics import StatementMetrics
from schemas.accounts import Sees, SqlReader
from schemas.cards import mask_numbers
from schemas.times import now

BYTES_MAX = 20_000_000  # of one file: some 50,000 statements
FILES = 10
STATEMENT_MAX = 2_000  # characters
LOOKED_AT = 4 * STATEMENT_MAX  # 272 KiB, which is refused for its length, would hold all threads for a second

WORD = re.compile(r"""\w+|"\w+"|[/-]?[^\w\s"'/-]+|[/-]""")

Outcome = Literal["answered", "refused", "failed", "interrupted"]


METRICS = StatementMetrics(REGISTRY)


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the log. `token`: the id of a person's token, or the name of a file token of this machine."""

    at: datetime
    account: str
    token: str
    sees: Sees
    outcome: Outcome
    milliseconds: float
    statement: str
    rows: int | None = None
    merchant: str | None = None
    reason: str | None = None


class PrivateFiles(RotatingFileHandler):
    """Each file is its owner's alone, whatever the process's umask."""

    def _open(self) -> TextIOWrapper:
        private = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return open(private, "a", encoding="utf-8")  # closed by the handler


class QueryLog:
    """The file, its owner's alone. Any number of threads may write; a full disk loses lines and stops nobody."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = PrivateFiles(path, maxBytes=BYTES_MAX, backupCount=FILES - 1, encoding="utf-8")
        self._lock = threading.Lock()
        self._is_closed = False

    def write(self, asked: Asked) -> None:
        """Add a line; none once the file is closed, which a handler would open again."""
        METRICS.seconds.labels(asked.outcome).observe(asked.milliseconds / 1000)
        line = msgspec.json.encode(asked).decode()
        with self._lock:
            if not self._is_closed:
                self._handler.handle(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """Close the file. DuckDB's threads may still end a statement."""
        with self._lock:
            self._is_closed = True
            self._handler.close()


def asked(
    reader: SqlReader,
    statement: str,
    outcome: Outcome,
    seconds: float,
    rows: int | None = None,
    reason: str | None = None,
) -> Asked:
    """The line of a statement that ended now."""
    return Asked(
        now(),
        reader.account_id,
        reader.token_id,
        reader.sees,
        outcome,
        round(seconds * 1000, 1),
        without_literals(statement)[:STATEMENT_MAX],
        rows,
        reader.merchant_id,
        reason,
    )


def without_literals(statement: str) -> str:
    """The beginning of a statement: `?` for each text and number, no comments and no names that are no words.

    Where it is cut, DuckDB leaves out a text that has no end.
    """
    begin = statement[:LOOKED_AT]
    text = begin.encode()  # DuckDB counts bytes
    tokens = duckdb.tokenize(begin)
    begins = [*(place for place, _ in tokens), len(text)]
    words = [_shown(text[place:end], kind) for (place, kind), end in zip(tokens, begins[1:], strict=True)]
    return mask_numbers(" ".join(words))


def _shown(piece: bytes, kind: duckdb.token_type) -> str:
    """A token, of a piece that ends where the next one begins."""
    if kind in (duckdb.token_type.string_const, duckdb.token_type.numeric_const):
        return "?"
    word = WORD.match(piece.decode(errors="replace"))
    return word[0] if word else "?"
