"""What each account of the ledger comes to: by the postings in the books, and as the warehouse has it.

The warehouse adds up what events tell of postings, and keeps the sums when it lets go of the rows. So its payments
may agree with the books one by one where its balances do not.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, cast, func, select

from connectors.warehouse import WarehouseReader
from gateway.books.opening import run_once
from gateway.books.postings import postings

PAGE = 10_000
NEXT = """
    SELECT account, currency, amount FROM balances
    WHERE account || ' ' || currency > '{after}' ORDER BY account || ' ' || currency LIMIT {most}
"""


class LedgerAccount(NamedTuple):
    """An account of the ledger, in one currency."""

    account: str
    currency: str


class Posted(NamedTuple):
    """What is posted on an account: the sum in minor units, and the number of postings."""

    amount: int
    postings: int


class Unequal(NamedTuple):
    """An account that the warehouse has otherwise than the books; minor units."""

    account: LedgerAccount
    books: int
    warehouse: int

    def __str__(self) -> str:
        account, currency = self.account
        return f"{account} {currency} (books {self.books}, warehouse {self.warehouse})"


def posted(conn: Connection) -> dict[LedgerAccount, Posted]:
    """What is posted on each account."""
    c = postings.c
    summed = select(c.account, c.currency, cast(func.sum(c.amount), BigInteger), func.count())
    rows = conn.execute(summed.group_by(c.account, c.currency))
    return {
        LedgerAccount(account, currency): Posted(int(amount), count) for account, currency, amount, count in rows
    }


def unbalanced(found: Mapping[LedgerAccount, Posted]) -> dict[str, int]:
    """The sum of all postings of a currency (minor units), where it is not zero, as it must be."""
    totals: dict[str, int] = {}
    for account, sums in found.items():
        totals[account.currency] = totals.get(account.currency, 0) + sums.amount
    return {currency: total for currency, total in totals.items() if total}


def read_balances(reader: WarehouseReader) -> dict[LedgerAccount, int]:
    """The balances as the warehouse has them now, in minor units. Raises `WarehouseAway`."""
    found: dict[LedgerAccount, int] = {}
    after = ""
    while True:
        page = reader.query(NEXT.format(after=after, most=PAGE)).rows
        found |= {
            LedgerAccount(str(account), str(currency)): int(str(amount)) for account, currency, amount in page
        }
        if len(page) < PAGE:
            return found
        after = f"{page[-1][0]} {page[-1][1]}"


def unequal(
    books: Mapping[LedgerAccount, Posted], warehouse: Mapping[LedgerAccount, int], url: str
) -> list[Unequal]:
    """The accounts of which the warehouse has another sum than the books had at the cut.

    Those on which something was posted since are left out: the warehouse may have that. `url`: of the books.
    """
    differing = list(_differing(books, warehouse))
    if not differing:
        return []
    current = run_once(url, posted, readonly=True)
    return [each for each in differing if current.get(each.account) == books.get(each.account)]


def _differing(books: Mapping[LedgerAccount, Posted], warehouse: Mapping[LedgerAccount, int]) -> Iterator[Unequal]:
    for account in sorted({*books, *warehouse}):
        ours = books[account].amount if account in books else 0
        theirs = warehouse.get(account, 0)
        if ours != theirs:
            yield Unequal(account, ours, theirs)
