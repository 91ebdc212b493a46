"""When sessions are used: noted once a minute each, beside the answer, so that no request waits for a write."""

import structlog
from cachetools import LRUCache
from sqlalchemy.exc import SQLAlchemyError

from gateway.books import sessions
from gateway.books.engine import Books
from gateway.books.sessions import NOTED_US
from schemas.times import steady_micros

REMEMBERED_MAX = 10_000

log = structlog.get_logger()


class SessionUses:
    """The uses that this process noted a moment ago: many requests at once make one note."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._noted: LRUCache[str, int] = LRUCache(REMEMBERED_MAX)

    def is_due(self, session_id: str, last_used_at: int) -> bool:
        """Whether its use now is to be noted; the books say `last_used_at` (steady clock). True once a minute."""
        now = steady_micros()
        if now - max(last_used_at, self._noted.get(session_id, 0)) < NOTED_US:
            return False
        self._noted[session_id] = now
        return True

    async def note(self, session_id: str) -> None:
        """Write it down. Raises nothing: at worst a session that was used is taken for an idle one."""
        try:
            await self._books.write(sessions.use, session_id, steady_micros())
        except SQLAlchemyError as error:  # such as a full disk
            log.warning("session.not_noted", error=type(error).__name__)
