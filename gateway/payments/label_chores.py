"""What becomes of labels that wait: told once their time has come."""

import asyncio
from typing import NoReturn

import structlog
from sqlalchemy.exc import OperationalError

from gateway.books.engine import Books, Outdated
from gateway.payments.labels import release_due
from gateway.policy import Policy

LOOKS_EVERY_S = 10.0
AT_ONCE = 100

log = structlog.get_logger()


async def release_labels(books: Books, policy: Policy) -> NoReturn:
    """Tell of labels that waited long enough, for as long as the gateway runs."""
    while True:
        try:
            while await books.write(release_due, policy, AT_ONCE) == AT_ONCE:
                pass
        except (OperationalError, Outdated) as error:
            log.warning("labels.postponed", reason=type(error).__name__)
        await asyncio.sleep(LOOKS_EVERY_S)
