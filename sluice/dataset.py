"""A Parquet file of transactions, and the test cards they are paid with."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import msgspec

from schemas.cards import check_digit
from schemas.money import exponent

BINS = ("411111", "555555")  # even card ids → Visa, odd → Mastercard; none of these numbers is magic
BATCH = 10_000


class DatasetTransaction(msgspec.Struct, frozen=True):
    """A row of the file. `amount` in minor units; `ts` is UTC; `is_fraud` None where the file has no labels."""

    tx_id: int
    ts: datetime
    card_id: int
    merchant_id: int
    amount: int
    is_fraud: bool | None


class NotTransactions(Exception):
    """The file is no Parquet file with the columns a replay needs."""


def read_transactions(path: Path, currency: str, offset: int, limit: int | None) -> Iterator[DatasetTransaction]:
    """The transactions in order of time, in minor units of `currency`. Raises `NotTransactions`."""
    with duckdb.connect() as db:
        try:
            source = db.read_parquet(str(path))
            fraud = "is_fraud::BOOLEAN" if "is_fraud" in source.columns else "NULL"
            rows = source.project(f"tx_id, ts, card_id, merchant_id, amount, {fraud}").order("ts, tx_id")
        except duckdb.Error as error:
            raise NotTransactions(str(error).splitlines()[0]) from None
        if limit is not None or offset:
            rows = rows.limit(limit if limit is not None else 2**62, offset)
        while batch := rows.fetchmany(BATCH):
            for tx_id, ts, card, merchant, amount, is_fraud in batch:
                yield DatasetTransaction(tx_id, _utc(ts), card, merchant, _minor(amount, currency), is_fraud)


def card_number(card_id: int) -> str:
    """The number of a test card: a test BIN, the card id, and Luhn's check digit; 16 digits."""
    payload = f"{BINS[card_id % 2]}{card_id:09d}"
    return payload + check_digit(payload)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _minor(amount: float | Decimal, currency: str) -> int:
    cents = Decimal(str(amount)) * 100  # the file's amounts have two decimals, whatever the currency
    return int(cents.scaleb(exponent(currency) - 2).to_integral_value())
