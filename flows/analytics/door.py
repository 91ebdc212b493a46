"""Who may ask the warehouse, and what: a token per reader, and only statements that cannot change anything."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import msgspec

from connectors.warehouse import quoted
from schemas.times import now

STATEMENT_MAX = 64 * 1024  # characters
CONNECTIONS_KEPT = 10_000  # a reader makes one per statement, and a statement is over after seconds

# Of the functions that give a table, those that read nothing but what everyone may see.
TABLES_ALLOWED = ("range", "generate_series", "unnest", "duckdb_tables", "duckdb_views", "duckdb_columns")
# Plain functions that change or hold something, and those this door is made of.
EFFECTS = ("write_log", "nextval", "currval", "setseed", "sleep_ms", "pg_sleep", "authenticate", "authorize")

# Read-only by parse: DuckDB serializes one SELECT (SHOW, DESCRIBE, SUMMARIZE are some) and nothing else, and all
# functions in it can be listed. Names of tables are not looked at: there is no file behind one, external access is
# off.
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


Refused = dict[str, datetime]  # until when (UTC) a reader must wait


class Door:
    """Knows the readers' tokens, who is behind a connection, and who is not let in for a while."""

    def __init__(self, tokens: Mapping[str, str], refusals: Path) -> None:
        """`refusals`: where to keep who must wait, since who is refused ends this process (see `limits`)."""
        self._tokens = {reader: token.encode() for reader, token in tokens.items()}
        self._refusals = refusals
        self._refused = msgspec.json.decode(refusals.read_bytes(), type=Refused) if refusals.exists() else {}
        self._readers: OrderedDict[str, str] = OrderedDict()

    def authenticate(self, connection: str, token: str, _server_token: str) -> bool:
        """Whether this token opens the door now. Called by DuckDB for each new connection."""
        given = token.encode()
        reader = next((name for name, known in self._tokens.items() if hmac.compare_digest(known, given)), None)
        if reader is None or (reader in self._refused and now() < self._refused[reader]):
            return False
        self._readers[connection] = reader
        if len(self._readers) > CONNECTIONS_KEPT:
            self._readers.popitem(last=False)
        return True

    def reader(self, connection: str) -> str | None:
        """Who is behind a connection."""
        return self._readers.get(connection)

    def refuse(self, reader: str, seconds: float) -> None:
        """Do not let a reader in for so long, in the next process either."""
        self._refused[reader] = now() + timedelta(seconds=seconds)
        self._refusals.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._refusals.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._refused))
        fresh.replace(self._refusals)


def serve(con: duckdb.DuckDBPyConnection, address: str, door: Door) -> None:
    """Serve the warehouse at `address`, then lock all settings. Raises `duckdb.IOException` where it is taken."""
    con.create_function("authenticate", door.authenticate, ["VARCHAR"] * 3, "BOOLEAN", side_effects=True)
    con.execute(AUTHORIZE.format(longest=STATEMENT_MAX, refused=_refused(con)))
    con.execute("SET GLOBAL quack_authentication_function = 'authenticate'")
    con.execute("SET GLOBAL quack_authorization_function = 'authorize'")
    con.execute("SET GLOBAL enable_external_access = false")
    con.execute("SET GLOBAL lock_configuration = true")
    con.execute(f"CALL quack_serve({quoted(address)}, token = {quoted(secrets.token_hex(16))})")


def _refused(con: duckdb.DuckDBPyConnection) -> str:
    """The functions nobody may call, as a list in SQL: all that give a table or set something, but a few."""
    names = {
        name.lower()
        for name, kind in con.execute("SELECT function_name, function_type FROM duckdb_functions()").fetchall()
        if kind in ("table", "table_macro", "pragma") or name.startswith("quack_")
    }
    return "[" + ", ".join(quoted(name) for name in sorted(names - {*TABLES_ALLOWED} | {*EFFECTS})) + "]"
