"""Tokens of persons, as the process `sql` asks the gateway about them: whose each one is, and what they see now.

A token is one for SQL alone, or the access token of somebody who is logged in (the dashboards ask by it).

It is asked for each statement, so an answer is kept for a second only. Who comes with made-up tokens costs the
gateway little: of tokens that were never good here only so many are asked about in a second.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable
from secrets import token_urlsafe
from time import monotonic

from aiohttp import ClientTimeout
from cachetools import LRUCache, TTLCache
from structlog import get_logger

from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable
from connectors.keyfiles import SecretMissing
from connectors.logs import LoggedOnce
from connectors.loop_thread import LoopThread
from connectors.oauth_tokens import ClientCredentials
from connectors.secret_files import secret_file
from schemas.accounts import SqlReader
from schemas.settings import Settings

CLIENT_ID = "sql"
SECRET_FILE = "sql.secret"  # noqa: S105 (the name of a file)
SCOPE = "sql_tokens:check"
PATH = "/v1/sql-tokens/check"
# An SQL token, or a signed one (RFC 7519 §3), of which the gateway takes no longer ones either.
FORM = re.compile(r"sqt_[A-Za-z0-9_-]{43}|(?=.{30,4096}\Z)eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

KEPT_S = 1.0  # from the question on: so old may an answer be
KEPT_MAX = 10_000
STRANGERS_PER_S = 50  # tokens that were never good here; each costs the gateway a request, or a signature to check
ANSWERED_WITHIN_S = 3.0  # with a new access token, where that is due
CONNECTIONS = 8
LOGGED_EVERY_S = 60.0

log = get_logger()


class SqlTokensAway(Exception):
    """Nobody can say now whose the token is. The message is a line for whoever came with it."""

    def __init__(self) -> None:
        super().__init__("your token cannot be checked at the moment: try again")


class SqlTokens:
    """Asks the gateway as the service `sql`. Any number of threads may share it."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        """`clock`: seconds, by which answers are kept."""
        self._settings = settings
        self._gateway: GatewayClient | None = None
        self._asked: TTLCache[bytes, asyncio.Task[SqlReader | None]] = TTLCache(KEPT_MAX, KEPT_S, clock)
        self._friends: LRUCache[bytes, None] = LRUCache(KEPT_MAX)
        self._strangers: TTLCache[bytes, None] = TTLCache(STRANGERS_PER_S, 1.0, clock)
        self._logged = LoggedOnce(LOGGED_EVERY_S)
        self._loop = LoopThread()

    def check(self, token: str) -> SqlReader | None:
        """Whose token it is, and what they see; None: nobody's any more. Blocks for `ANSWERED_WITHIN_S` at most.

        Raises `SqlTokensAway` where the gateway cannot be asked.
        """
        if not FORM.fullmatch(token):
            return None
        return self._loop.run(self._check(token))

    def close(self) -> None:
        """Close the connections; nobody may be checking any more."""
        if self._gateway is not None:
            self._loop.run(self._gateway.close())
        self._loop.close()

    async def _check(self, token: str) -> SqlReader | None:
        key = hashlib.sha256(token.encode()).digest()  # nothing here can be used as a token
        asked = self._asked.get(key)
        if asked is None:
            self._admit(key)
            asked = self._asked[key] = asyncio.create_task(self._ask(token, key))
        try:
            return await asked
        except SqlTokensAway:
            self._asked.pop(key, None)
            raise

    def _admit(self, key: bytes) -> None:
        """Raises `SqlTokensAway` for a token that was never good here, where many of them come."""
        if key in self._friends:
            return
        self._strangers.expire()
        if len(self._strangers) >= STRANGERS_PER_S:
            raise self._away("strangers")
        self._strangers[key] = None

    async def _ask(self, token: str, key: bytes) -> SqlReader | None:
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                reader: SqlReader | None = await self._client().post(PATH, {"token": token}, type=SqlReader)
        except GatewayRefused as refused:
            if refused.code != "not_found":
                raise self._away(str(refused)) from None
            reader = None
        except (GatewayUnavailable, SecretMissing, TimeoutError) as error:
            raise self._away(type(error).__name__) from None
        if reader is None:
            self._friends.pop(key, None)
        else:
            self._friends[key] = None
        return reader

    def _client(self) -> GatewayClient:
        """Made when it is first needed, on the loop that it belongs to. Raises `SecretMissing`."""
        if self._gateway is None:
            secret = secret_file(self._settings, SECRET_FILE, new_secret)
            credentials = ClientCredentials(CLIENT_ID, secret, SCOPE)
            timeout = ClientTimeout(total=ANSWERED_WITHIN_S)
            self._gateway = GatewayClient(
                self._settings.gateway_url(), credentials, connections=CONNECTIONS, timeout=timeout
            )
        return self._gateway

    def _away(self, reason: str) -> SqlTokensAway:
        if self._logged.is_due(reason):
            log.warning("sql_token.unchecked", reason=reason)
        return SqlTokensAway()


def new_secret() -> bytes:
    """A secret for the service client, where the local profile has none yet."""
    return token_urlsafe(32).encode()
