"""Accounts that somebody began and nobody finished: they go, and the address that was typed is free again.

Until then its mailbox's owner has the account by a new password (`links`): nobody keeps an address by typing it.
"""

from collections.abc import Awaitable, Callable

from gateway.books.account_rights import is_unconfirmed, select_unconfirmed
from gateway.books.engine import Books
from gateway.policy import DAY_US
from schemas.ids import earliest_id
from schemas.times import steady_micros

KEPT_US = 7 * DAY_US
AT_ONCE = 100


async def prune_unconfirmed(books: Books, erase: Callable[[str], Awaitable[None]]) -> int:
    """Erase customers who in a week neither confirmed their address nor paid; how many.

    `erase` takes one out of books and vault.
    """
    before_id, after_id, erased = earliest_id("acc", steady_micros() - KEPT_US), "", 0
    while some := await books.browse(select_unconfirmed, after_id, before_id, AT_ONCE):
        for account_id in some:
            if await books.read(is_unconfirmed, account_id):  # it may have been confirmed, or have paid, meanwhile
                await erase(account_id)
                erased += 1
        after_id = some[-1]
    return erased
