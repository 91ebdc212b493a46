"""Who may query the warehouse, and with which statements: a token per reader, and only statements that read."""

import hmac
import secrets
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
from cachetools import FIFOCache

from connectors.warehouse import quoted
from schemas.times import now

STATEMENT_MAX = 64 * 1024  # characters
LOCKOUT_MAX = timedelta(hours=1)  # one that seems longer was written before the clock was set back
CONNECTIONS_KEPT = 10_000  # a reader opens one per statement, and a statement ends within seconds

# Of the functions that return a table, those that show nothing but what every reader may see.
TABLES_ALLOWED = ("range", "generate_series", "unnest", "duckdb_tables", "duckdb_views", "duckdb_columns")
# Scalar functions that change or block something, and those that this module adds.
EFFECTS = ("write_log", "nextval", "currval", "setseed", "sleep_ms", "pg_sleep", "authenticate", "authorize")

# Read-only by parsing: DuckDB serializes a single SELECT (SHOW, DESCRIBE and SUMMARIZE are some) and nothing else,
# and all functions in it can be listed. Table names are not checked: with external access off, none names a file.
AUTHORIZE = """
CREATE OR REPLACE MACRO authorize(connection, statement) AS (
    length(statement) <= {longest} AND (
        SELECT tree ->> 'error' = 'false' AND json_array_length(tree -> 'statements') = 1 AND NOT list_has_any(
            list_transform(json_extract_string(tree, '$..function_name'), name -> lower(name)), {refused}
        )
        FROM (SELECT json_serialize_sql(statement::VARCHAR) AS tree)
    )
)
"""

Lockouts = dict[str, datetime]  # by reader: until when (UTC) it is locked out


class AccessControl:
    """The readers' tokens, the reader behind each connection, and the readers that are locked out for a while."""

    def __init__(self, tokens: Mapping[str, str], lockouts_path: Path) -> None:
        """`lockouts_path` keeps the lockouts for the next process: a lockout ends this one (see `query_guard`)."""
        self._tokens = {reader: token.encode() for reader, token in tokens.items()}
        self._path = lockouts_path
        self._lockouts = msgspec.json.decode(self._path.read_bytes(), type=Lockouts) if self._path.exists() else {}
        self._readers: FIFOCache[str, str] = FIFOCache(CONNECTIONS_KEPT)
        self._lock = threading.Lock()  # DuckDB authenticates each connection in a thread of its own

    def authenticate(self, connection_id: str, token: str, _server_token: str) -> bool:
        """Whether a connection with this token may query now. Called by DuckDB for each new connection."""
        given = token.encode()
        reader = next((name for name, known in self._tokens.items() if hmac.compare_digest(known, given)), None)
        if reader is None or self._is_locked_out(reader):
            return False
        with self._lock:
            self._readers[connection_id] = reader
        return True

    def reader_of(self, connection_id: str) -> str | None:
        """The reader behind a connection; None where it is unknown."""
        with self._lock:
            return self._readers.get(connection_id)

    def _is_locked_out(self, reader: str) -> bool:
        until = self._lockouts.get(reader)
        return until is not None and timedelta() < until - now() <= LOCKOUT_MAX

    def lock_out(self, reader: str, seconds: float) -> None:
        """Refuse a reader's connections for so many seconds, in the next process too."""
        self._lockouts[reader] = now() + timedelta(seconds=seconds)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._lockouts))
        fresh.replace(self._path)


def serve(con: duckdb.DuckDBPyConnection, address: str, access: AccessControl) -> None:
    """Serve the warehouse at `address`, then lock all settings. Raises `duckdb.IOException` where it is in use."""
    con.create_function("authenticate", access.authenticate, ["VARCHAR"] * 3, "BOOLEAN", side_effects=True)
    con.execute(AUTHORIZE.format(longest=STATEMENT_MAX, refused=_refused_functions(con)))
    con.execute("SET GLOBAL quack_authentication_function = 'authenticate'")
    con.execute("SET GLOBAL quack_authorization_function = 'authorize'")
    con.execute("SET GLOBAL enable_external_access = false")
    con.execute("SET GLOBAL lock_configuration = true")
    anywhere = "allow_other_hostname = true, disable_ssl = true"
    con.execute(f"CALL quack_serve({quoted(address)}, token = {quoted(secrets.token_hex(16))}, {anywhere})")


def _refused_functions(con: duckdb.DuckDBPyConnection) -> str:
    """The functions no reader may call, as a SQL list: those that return a table or change something."""
    names = {
        name.lower()
        for name, kind in con.execute("SELECT function_name, function_type FROM duckdb_functions()").fetchall()
        if kind in ("table", "table_macro", "pragma") or name.startswith("quack_")
    }
    return "[" + ", ".join(quoted(name) for name in sorted(names - {*TABLES_ALLOWED} | {*EFFECTS})) + "]"
