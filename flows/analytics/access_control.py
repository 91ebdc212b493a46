"""Who may query a warehouse, and with which statements: a token per reader, and only statements that read."""

import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import duckdb
from cachetools import FIFOCache
from duckdb.func import SPECIAL

from connectors.warehouse import REFUSED, quoted
from flows.analytics.statements import StatementRefused, Statements

CONNECTIONS_KEPT = 10_000  # a reader opens one per statement, and a statement ends within seconds

APPENDS = re.compile(r"\s*INSERT\b", re.IGNORECASE)

# With reader, connection and statement, which is checked inside. Raises `StatementRefused`.
Admit = Callable[[str, str, str], AbstractContextManager[None]]


def everybody(_reader: str, _connection_id: str, _statement: str) -> AbstractContextManager[None]:
    """Admit each statement of each reader."""
    return nullcontext()


class AccessControl:
    """The readers' tokens, the reader behind each connection, and what it may ask."""

    def __init__(self, tokens: Mapping[str, str], admit: Admit = everybody) -> None:
        """`admit` is asked before a statement is checked, which costs something itself."""
        self._tokens = {reader: token.encode() for reader, token in tokens.items()}
        self._admit = admit
        self._statements = Statements()
        self._readers: FIFOCache[str, str] = FIFOCache(CONNECTIONS_KEPT)
        self._lock = threading.Lock()  # DuckDB serves each connection in a thread of its own

    def authenticate(self, connection_id: str, token: str, _server_token: str) -> bool:
        """Whether this is the token of a reader. Called by DuckDB for each new connection."""
        given = token.encode()
        reader = next((name for name, known in self._tokens.items() if hmac.compare_digest(known, given)), None)
        if reader is None:
            return False
        with self._lock:
            self._readers[connection_id] = reader
        return True

    def authorize(self, connection_id: str, statement: str) -> str | None:
        """What DuckDB runs for a statement: itself, or one whose error says why not.

        None refuses it too. Quack asks so for rows that it is about to append, and would append them after any
        other answer.
        """
        if APPENDS.match(statement):
            return None
        with self._lock:
            reader = self._readers.get(connection_id)
        try:
            if reader is None:
                raise StatementRefused("this connection is too old")
            with self._admit(reader, connection_id, statement):
                self._statements.check(statement)
        except StatementRefused as refusal:
            return f"SELECT error({quoted(f'{REFUSED}{refusal}')})"
        return statement


def serve(con: duckdb.DuckDBPyConnection, address: str, access: AccessControl) -> None:
    """Serve the warehouse at `address`, then lock all settings. Raises `duckdb.IOException` where it is in use."""
    con.create_function("authenticate", access.authenticate, ["VARCHAR"] * 3, "BOOLEAN", side_effects=True)
    con.create_function(
        "authorize", access.authorize, ["VARCHAR"] * 2, "VARCHAR", null_handling=SPECIAL, side_effects=True
    )
    con.execute("SET GLOBAL quack_authentication_function = 'authenticate'")
    con.execute("SET GLOBAL quack_authorization_function = 'authorize'")
    con.execute("SET GLOBAL python_enable_replacements = false")  # no table is a variable of ours
    con.execute("SET GLOBAL enable_external_access = false")
    con.execute("SET GLOBAL lock_configuration = true")
    anywhere = "allow_other_hostname = true, disable_ssl = true"
    con.execute(f"CALL quack_serve({quoted(address)}, token = {quoted(secrets.token_hex(16))}, {anywhere})")
