"""Origins of merchants, whose pages browsers let read our answers (docs/api.md, docs/decisions/0050).

All of them are held in memory and read anew after `KEPT_S`, once for whoever asks meanwhile: a flood of preflights
costs the books nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from time import monotonic

import msgspec
import structlog
from cachetools import TTLCache
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway.books.accounts import list_origins
from gateway.books.clients import by_id
from gateway.books.engine import Books
from gateway.return_urls import allows_loopback, is_loopback, origin
from schemas.settings import ProfileName

KEPT_S = 5.0  # so long a merchant waits for an origin that it added or removed to count
CLIENTS_MAX = 10_000

Registered = Mapping[str, frozenset[str]]

_texts = msgspec.json.Decoder(list[str])

log = structlog.get_logger()


class Origins:
    """Who may read what from a page of another origin."""

    def __init__(self, books: Books, profile: ProfileName) -> None:
        self._books, self._profile = books, profile
        self._registered: Registered = {}  # origin → merchants that are not suspended
        self._read_at = -KEPT_S  # monotonic
        self._reading = asyncio.Lock()
        self._merchants: TTLCache[str, str | None] = TTLCache(CLIENTS_MAX, KEPT_S)  # client → its merchant

    async def knows(self, given: str) -> bool:
        """Whether it is a registered origin of any merchant, or loopback where the profile has that."""
        return self._is_local(given) or given in await self._all()

    async def knows_of(self, given: str, client_id: str) -> bool:
        """Whether it is one of the merchant whose client this is; clients of ours have none."""
        if self._is_local(given):
            return True
        return await self._merchant_of(client_id) in (await self._all()).get(given, ())

    def _is_local(self, given: str) -> bool:
        return allows_loopback(self._profile) and is_loopback(given) and origin(given) == given

    async def _all(self) -> Registered:
        if monotonic() - self._read_at >= KEPT_S:
            async with self._reading:
                if monotonic() - self._read_at >= KEPT_S:
                    await self._read()
        return self._registered

    async def _read(self) -> None:
        try:
            self._registered = await self._books.browse(_by_origin)
        except SQLAlchemyError as error:  # what was known counts on, until the books are back
            log.warning("origins.unread", reason=type(error).__name__)
        self._read_at = monotonic()

    async def _merchant_of(self, client_id: str) -> str | None:
        if client_id not in self._merchants:
            client = await self._books.read(by_id, client_id)
            self._merchants[client_id] = client.account_id if client else None
        return self._merchants.get(client_id)


def _by_origin(conn: Connection) -> Registered:
    merchants: defaultdict[str, set[str]] = defaultdict(set)
    for account_id, origins in list_origins(conn):
        for registered in _texts.decode(origins):
            merchants[registered].add(account_id)
    return {registered: frozenset(ids) for registered, ids in merchants.items()}
