"""Files of transactions: read in order of time, in minor units, and paid with numbers of the test BINs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cards import luhn_valid
from sluice.cli import DURATION
from sluice.dataset import NotTransactions, card_number, read_transactions
from sluice.freshness import quantiles

COLUMNS = "tx_id, ts, card_id, merchant_id, amount"


def file_of(path: Path, rows: str, columns: str) -> Path:
    with duckdb.connect() as db:
        db.sql(f"SELECT * FROM (VALUES {rows}) AS t({columns})").write_parquet(str(path))
    return path


def test_rows_come_in_order_of_time(tmp_path: Path) -> None:
    rows = (
        "(2, TIMESTAMP '2018-04-01 00:02:00', 7, 1, 12.30, 1), (1, TIMESTAMP '2018-04-01 00:01:00', 8, 2, 0.1, 0)"
    )
    path = file_of(tmp_path / "t.parquet", rows, f"{COLUMNS}, is_fraud")
    first, second = read_transactions(path, "EUR", 0, None)
    assert (first.tx_id, first.amount, first.is_fraud) == (1, 10, False)
    assert (second.tx_id, second.amount, second.is_fraud) == (2, 1230, True)
    assert first.ts == datetime(2018, 4, 1, 0, 1, tzinfo=UTC)


def test_labels_are_optional_and_a_part_can_be_taken(tmp_path: Path) -> None:
    rows = ", ".join(f"({n}, TIMESTAMP '2018-04-01 00:00:0{n}', 1, 1, 5.0)" for n in range(6))
    path = file_of(tmp_path / "t.parquet", rows, COLUMNS)
    taken = list(read_transactions(path, "EUR", 2, 3))
    assert [t.tx_id for t in taken] == [2, 3, 4]
    assert taken[0].is_fraud is None


@pytest.mark.parametrize(("currency", "minor"), [("EUR", 1234), ("JPY", 12), ("KWD", 12340)])
def test_amounts_are_in_the_currency_s_own_units(tmp_path: Path, currency: str, minor: int) -> None:
    path = file_of(tmp_path / "t.parquet", "(1, TIMESTAMP '2018-04-01', 1, 1, 12.34)", COLUMNS)
    (transaction,) = read_transactions(path, currency, 0, None)
    assert transaction.amount == minor


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "not.parquet").write_text("tx_id\n1\n")
    with pytest.raises(NotTransactions) as refused:
        list(read_transactions(tmp_path / "not.parquet", "EUR", 0, None))
    assert "\n" not in str(refused.value)
    with pytest.raises(NotTransactions):
        list(read_transactions(file_of(tmp_path / "a.parquet", "(1)", "tx_id"), "EUR", 0, None))


@given(st.integers(min_value=0, max_value=10**9 - 1))
def test_numbers_are_valid_and_even_is_visa(card_id: int) -> None:
    number = card_number(card_id)
    assert len(number) == 16
    assert luhn_valid(number)
    assert number[0] == ("5" if card_id % 2 else "4")


def test_durations_have_a_unit() -> None:
    assert DURATION.convert("7d", None, None) == timedelta(days=7)
    assert DURATION.convert("90s", None, None) == timedelta(seconds=90)
    with pytest.raises(click.BadParameter, match="not a duration"):
        DURATION.convert("90", None, None)


def test_quantiles_are_of_whatever_came() -> None:
    assert quantiles([]) == {}
    assert quantiles([1.0]) == {"p50": 1.0, "p99": 1.0}
    assert quantiles([float(n) for n in range(101)]) == {"p50": 50.0, "p99": 99.0}
