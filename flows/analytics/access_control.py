"""Who may query a warehouse: a token per reader, looked at again for each statement."""

import re
import secrets
import threading
from collections.abc import Callable

import duckdb
import structlog
from cachetools import FIFOCache
from duckdb.func import SPECIAL

from connectors.logs import LoggedOnce
from connectors.sql_tokens import SqlTokensAway
from connectors.warehouse import REFUSED, quoted
from flows.analytics.readers import Readers
from flows.analytics.statements import StatementRefused, Statements
from schemas.accounts import SqlReader

CONNECTIONS_KEPT = 10_000  # a reader opens one per statement, and a statement ends within seconds
LOGGED_EVERY_S = 10.0
BATCH_CHUNKS = 64  # so all of an answer of 100,000 rows goes at once, and none waits for a client that is gone

APPENDS = re.compile(r"\s*INSERT\b", re.IGNORECASE)

# For a reader and a statement: what DuckDB runs. Raises `StatementRefused`.
Answer = Callable[[SqlReader, str], str]

log = structlog.get_logger()


class AccessControl:
    """The token behind each connection, whose it is now, and what becomes of what they ask."""

    def __init__(self, readers: Readers, answer: Answer) -> None:
        self._readers, self._answer = readers, answer
        self._tokens: FIFOCache[str, str] = FIFOCache(CONNECTIONS_KEPT)  # by connection
        self._lock = threading.Lock()  # DuckDB serves each connection in a thread of its own
        self._logged = LoggedOnce(LOGGED_EVERY_S)

    def authenticate(self, connection_id: str, token: str, _server_token: str) -> bool:
        """Whether this is the token of a reader. Called by DuckDB for each new connection.

        A connection is let in whose token cannot be checked now: each of its statements says so instead.
        """
        try:
            known = self._readers.identify(token) is not None
        except SqlTokensAway:
            known = True
        if known:
            with self._lock:
                self._tokens[connection_id] = token
        elif self._logged.is_due("token"):
            log.warning("reader.unknown")
        return known

    def authorize(self, connection_id: str, statement: str) -> str | None:
        """What DuckDB runs for a statement: what answers it, or one whose error says why not.

        None refuses it too. Quack asks so for rows that it is about to append, and would append them after any
        other answer.
        """
        if APPENDS.match(statement):
            return None
        try:
            return self._answer(self._reader(connection_id), statement)
        except StatementRefused as refusal:
            return f"SELECT error({quoted(f'{REFUSED}{refusal}')})"

    def _reader(self, connection_id: str) -> SqlReader:
        """Who asks on a connection, as of now. Raises `StatementRefused` where that is nobody any more."""
        with self._lock:
            token = self._tokens.get(connection_id)
        if token is None:
            raise StatementRefused("this connection is too old")
        try:
            reader = self._readers.identify(token)
        except SqlTokensAway as away:
            raise StatementRefused(str(away)) from None
        if reader is None:
            raise StatementRefused("this token is not valid any more")
        return reader


class ReadOnly:
    """Lets every statement through that only reads, as it stands: for our own readers."""

    def __init__(self) -> None:
        self._statements = Statements()

    def answer(self, _reader: SqlReader, statement: str) -> str:
        """The statement. Raises `StatementRefused`."""
        self._statements.check(statement)
        return statement


def serve(con: duckdb.DuckDBPyConnection, address: str, access: AccessControl) -> None:
    """Serve the warehouse at `address`, then lock all settings. Raises `duckdb.IOException` where it is in use."""
    con.create_function("authenticate", access.authenticate, ["VARCHAR"] * 3, "BOOLEAN", side_effects=True)
    con.create_function(
        "authorize", access.authorize, ["VARCHAR"] * 2, "VARCHAR", null_handling=SPECIAL, side_effects=True
    )
    con.execute("SET GLOBAL quack_authentication_function = 'authenticate'")
    con.execute("SET GLOBAL quack_authorization_function = 'authorize'")
    con.execute(f"SET GLOBAL quack_fetch_batch_chunks = {BATCH_CHUNKS}")
    con.execute("SET GLOBAL python_enable_replacements = false")  # no table is a variable of ours
    con.execute("SET GLOBAL enable_external_access = false")
    con.execute("SET GLOBAL lock_configuration = true")
    anywhere = "allow_other_hostname = true, disable_ssl = true"
    con.execute(f"CALL quack_serve({quoted(address)}, token = {quoted(secrets.token_hex(16))}, {anywhere})")
