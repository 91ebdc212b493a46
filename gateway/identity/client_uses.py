"""When clients were last used, kept to the hour so that no request waits for it, and which soon run out."""

import structlog
from sqlalchemy.exc import OperationalError

from connectors.logs import LoggedOnce
from gateway.books import clients
from gateway.books.engine import Books, Outdated
from gateway.policy import DAY_US, HOUR_US, SECOND_US
from schemas.times import now_micros, steady_micros

WARNED_US = 14 * DAY_US  # before its end

log = structlog.get_logger()


class ClientUses:
    """What a gateway saw of its clients. `note` is for one that was just admitted."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._noted = LoggedOnce(HOUR_US / SECOND_US)
        self._warned = LoggedOnce(DAY_US / SECOND_US)

    def is_due(self, client_id: str, last_used_at: int | None) -> bool:
        """Whether to note that a client is used now: it was not for an hour, by what the books say, and here."""
        is_fresh = last_used_at is not None and last_used_at > now_micros() - HOUR_US
        return not is_fresh and self._noted.is_due(client_id)

    async def note(self, client_id: str) -> None:
        """Keep that a client is used. Raises nothing: it is tried again in an hour."""
        now = now_micros()
        try:
            await self._books.write(clients.note_use, client_id, now, now - HOUR_US)
        except (OperationalError, Outdated) as error:
            log.warning("client_use.not_kept", client_id=client_id, reason=type(error).__name__)

    def warn(self, client_id: str, expires_at: int | None) -> None:
        """Log once a day that a client is in use whose end (steady clock) is near."""
        left_us = WARNED_US if expires_at is None else expires_at - steady_micros()
        if left_us < WARNED_US and self._warned.is_due(client_id):
            log.warning("client.expires_soon", client_id=client_id, hours=left_us // HOUR_US)


async def count_expiring(books: Books) -> int:
    """How many clients run out within two weeks, used or not."""
    now = steady_micros()
    return await books.read(clients.count_expiring, now, now + WARNED_US)
