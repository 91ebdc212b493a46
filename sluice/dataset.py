"""A Parquet file of transactions, and the test cards they are paid with."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import msgspec

from schemas.cards import check_digit
from schemas.money import AMOUNT_MAX, exponent, unit
from schemas.times import from_micros, to_micros
from sluice.columns import DatasetColumns, WrongColumns

BINS = ("411111", "555555")  # even card ids → Visa, odd → Mastercard; none of these numbers is magic
BATCH = 10_000
FOREVER = 253_402_300_800_000_000 - 1  # microseconds: the last one of the year 9999


class DatasetTransaction(msgspec.Struct, frozen=True):
    """A row of the file. `amount` in minor units; `ts` is UTC; `is_fraud` None where the file does not say.

    Cards have the ids of the file where these are whole numbers of nine digits at most, and merchants where they
    are whole numbers; else their places among the file's, in order.
    """

    tx_id: int | str
    ts: datetime
    card_id: int
    merchant_id: int
    amount: int
    is_fraud: bool | None


class NotTransactions(Exception):
    """The file holds no transactions that could be read; the message says why, in one line."""


class TransactionFile:
    """The rows of a file that are transactions, in order of time. `left_out` counts the others by what they lack.

    `currency` is that of the amounts; those after `until` are left out. Use it by `open_transactions`.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, path: Path, currency: str, until: datetime | None) -> None:
        self._db, self._currency = db, currency
        db.read_parquet(_literally(path)).create_view("file")
        columns = DatasetColumns(
            db, most=AMOUNT_MAX / unit(currency), until=to_micros(until) if until else FOREVER
        )
        db.execute(f"CREATE VIEW transactions AS {columns.query()}")
        counted = db.sql("SELECT why, count(*) FROM transactions GROUP BY ALL ORDER BY ALL").fetchall()
        self.left_out = {why: count for why, count in counted if why is not None}
        if len(counted) == len(self.left_out):
            of = ", ".join(f"{count} with {why}" for why, count in self.left_out.items())
            raise NotTransactions(f"none of its rows is a transaction: {of}" if of else "it has no rows")

    def transactions(self, offset: int = 0, limit: int | None = None) -> Iterator[DatasetTransaction]:
        """All of them, or `limit` at most after the first `offset`."""
        rows = self._db.sql("SELECT * EXCLUDE why FROM transactions WHERE why IS NULL ORDER BY micros, tx_id")
        rows = rows.limit(limit if limit is not None else 2**62, offset)
        while batch := rows.fetchmany(BATCH):
            for tx_id, micros, card, merchant, amount, is_fraud in batch:
                minor = _minor(amount, self._currency)
                yield DatasetTransaction(tx_id, from_micros(micros), card, merchant, minor, is_fraud)


@contextmanager
def open_transactions(path: Path, currency: str, until: datetime | None = None) -> Iterator[TransactionFile]:
    """The file, for as long as the block lasts.

    Raises `NotTransactions`, inside the block too: what a column holds is seen when it is read.
    """
    if not path.is_file():
        raise NotTransactions("there is no such file")
    with duckdb.connect() as db:
        try:
            yield TransactionFile(db, path, currency, until)
        except WrongColumns as error:
            raise NotTransactions(str(error)) from None
        except duckdb.Error as error:
            raise NotTransactions(str(error).splitlines()[0].split("Error: ", 1)[-1]) from None


def card_number(card_id: int) -> str:
    """The number of a test card: a test BIN, the card id, and Luhn's check digit; 16 digits."""
    payload = f"{BINS[card_id % 2]}{card_id:09d}"
    return payload + check_digit(payload)


def _literally(path: Path) -> str:
    """The path as DuckDB reads it: to it `*`, `?` and `[` stand for other names."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path.absolute()))


def _minor(amount: float | Decimal, currency: str) -> int:
    cents = Decimal(str(amount)) * 100  # the file's amounts have two decimals, whatever the currency
    return int(cents.scaleb(exponent(currency) - 2).to_integral_value())
