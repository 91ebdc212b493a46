"""Files of transactions: read in order of time, in minor units, and paid with numbers of the test BINs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cards import luhn_valid
from sluice.cli import DURATION
from sluice.dataset import DatasetTransaction, NotTransactions, card_number, open_transactions
from sluice.freshness import quantiles
from sluice.replay import keyable

COLUMNS = "tx_id, ts, card_id, merchant_id, amount"


def file_of(path: Path, rows: str, columns: str) -> Path:
    with duckdb.connect() as db:
        db.sql(f"SELECT * FROM (VALUES {rows}) AS t({columns})").write_parquet(str(path))
    return path


def read(
    path: Path, currency: str = "EUR", *part: int, **how: Any
) -> tuple[list[DatasetTransaction], dict[str, int]]:
    with open_transactions(path, currency, **how) as found:
        return list(found.transactions(*part)), found.left_out


def test_rows_come_in_order_of_time(tmp_path: Path) -> None:
    rows = (
        "(2, TIMESTAMP '2018-04-01 00:02:00', 7, 1, 12.30, 1), (1, TIMESTAMP '2018-04-01 00:01:00', 8, 2, 0.1, 0)"
    )
    path = file_of(tmp_path / "t.parquet", rows, f"{COLUMNS}, is_fraud")
    (first, second), _ = read(path)
    assert (first.tx_id, first.amount, first.is_fraud) == (1, 10, False)
    assert (second.tx_id, second.amount, second.is_fraud) == (2, 1230, True)
    assert first.ts == datetime(2018, 4, 1, 0, 1, tzinfo=UTC)


def test_names_of_columns_are_read_in_any_case(tmp_path: Path) -> None:
    row = "(1, TIMESTAMP '2018-04-01', 1, 1, 5.0)"
    assert len(read(file_of(tmp_path / "t.parquet", row, COLUMNS.upper()))[0]) == 1


def test_labels_are_optional_and_a_part_can_be_taken(tmp_path: Path) -> None:
    rows = ", ".join(f"({n}, TIMESTAMP '2018-04-01 00:00:0{n}', 1, 1, 5.0)" for n in range(6))
    path = file_of(tmp_path / "t.parquet", rows, COLUMNS)
    taken, _ = read(path, "EUR", 2, 3)
    assert [t.tx_id for t in taken] == [2, 3, 4]
    assert taken[0].is_fraud is None


@pytest.mark.parametrize(("currency", "minor"), [("EUR", 1234), ("JPY", 12), ("KWD", 12340), ("CLF", 123400)])
def test_amounts_are_in_the_currency_s_own_units(tmp_path: Path, currency: str, minor: int) -> None:
    path = file_of(tmp_path / "t.parquet", "(1, TIMESTAMP '2018-04-01', 1, 1, 12.34)", COLUMNS)
    (transaction,), _ = read(path, currency)
    assert transaction.amount == minor


WHOLE = [
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "UINTEGER",
    "UBIGINT",
    "DOUBLE",
    "FLOAT",
    "DECIMAL(18,0)",
]


@pytest.mark.parametrize("kind", WHOLE)
def test_ids_are_whole_numbers_of_any_width(tmp_path: Path, kind: str) -> None:
    row = f"(7::{kind}, TIMESTAMP '2018-04-01', 9::{kind}, 3::{kind}, 5::{kind}, 1::{kind})"
    (found,), left_out = read(file_of(tmp_path / "t.parquet", row, f"{COLUMNS}, is_fraud"))
    assert (found.tx_id, found.card_id, found.merchant_id, found.amount) == (7, 9, 3, 500)
    assert (found.is_fraud, left_out) == (True, {})


@pytest.mark.parametrize(
    "moment",
    [
        "TIMESTAMPTZ '2018-04-01 02:30:00+02:30'",
        "TIMESTAMP '2018-04-01'",
        "TIMESTAMP_NS '2018-04-01'",
        "TIMESTAMP_MS '2018-04-01'",
        "DATE '2018-04-01'",
    ],
)
def test_a_time_is_utc_or_has_its_zone(tmp_path: Path, moment: str) -> None:
    (found,), _ = read(file_of(tmp_path / "t.parquet", f"(1, {moment}, 1, 1, 5.0)", COLUMNS))
    assert found.ts == datetime(2018, 4, 1, tzinfo=UTC)


def test_ids_of_text_or_beyond_nine_digits_are_numbered_by_their_order_in_the_file(tmp_path: Path) -> None:
    noon = "TIMESTAMP '2018-04-01 12:00:00'"
    texts = f"('t-1', {noon}, 'c', 'shop', 5.0), ('t-2', {noon}, 'a', 'café', 5.0), ('t-3', {noon}, 'c', 'x', 5.0)"
    path = file_of(tmp_path / "t.parquet", texts, COLUMNS)
    found, _ = read(path)
    assert [(t.tx_id, t.card_id, t.merchant_id) for t in found] == [("t-1", 1, 1), ("t-2", 0, 0), ("t-3", 1, 2)]
    assert read(path, "EUR", 2)[0] == found[2:]
    wide = f"(1, {noon}, 10000000000, 4, 5.0), (2, {noon}, -3, 10000000000, 5.0)"
    found, _ = read(file_of(tmp_path / "u.parquet", wide, COLUMNS))
    assert [(t.card_id, t.merchant_id) for t in found] == [(1, 4), (0, 10_000_000_000)]
    assert len({card_number(t.card_id) for t in found}) == 2


LACKING = [
    ("(NULL, TIMESTAMP '2018-04-01', 1, 1, 5.0)", "no tx_id"),
    ("(2, NULL, 1, 1, 5.0)", "no ts since 1970"),
    ("(2, TIMESTAMP 'infinity', 1, 1, 5.0)", "no ts since 1970"),
    ("(2, TIMESTAMP '1969-12-31 23:59:59', 1, 1, 5.0)", "no ts since 1970"),
    ("(2, TIMESTAMP '2999-01-01', 1, 1, 5.0)", "a ts to come"),
    ("(2, TIMESTAMP '2018-04-01', NULL, 1, 5.0)", "no card_id"),
    ("(2, TIMESTAMP '2018-04-01', 'nan'::DOUBLE, 1, 5.0)", "no card_id"),
    ("(2, TIMESTAMP '2018-04-01', 1.5::DOUBLE, 1, 5.0)", "no card_id"),
    ("(2, TIMESTAMP '2018-04-01', 1, NULL, 5.0)", "no merchant_id"),
    ("(2, TIMESTAMP '2018-04-01', 1, 1, NULL)", "no amount"),
    ("(2, TIMESTAMP '2018-04-01', 1, 1, 'nan'::DOUBLE)", "no amount"),
    ("(2, TIMESTAMP '2018-04-01', 1, 1, 'inf'::DOUBLE)", "no amount"),
    ("(2, TIMESTAMP '2018-04-01', 1, 1, -0.01)", "an amount out of range"),
    ("(2, TIMESTAMP '2018-04-01', 1, 1, 1e10)", "an amount out of range"),
    ("(1, TIMESTAMP '2018-04-02', 1, 1, 5.0)", "a tx_id that came before"),
]


@pytest.mark.parametrize(("row", "why"), LACKING)
def test_a_row_that_is_no_transaction_is_left_out_and_counted(tmp_path: Path, row: str, why: str) -> None:
    rows = f"(1, TIMESTAMP '2018-04-01', 1::DOUBLE, 1, 5.0::DOUBLE), {row}"
    found, left_out = read(file_of(tmp_path / "t.parquet", rows, COLUMNS), until=datetime.now(UTC))
    assert ([t.tx_id for t in found], left_out) == ([1], {why: 1})


@pytest.mark.parametrize("label", ["NULL::INTEGER", "'nan'::DOUBLE", "NULL::BOOLEAN", "'?'"])
def test_a_label_that_says_nothing_is_none(tmp_path: Path, label: str) -> None:
    row = f"(1, TIMESTAMP '2018-04-01', 1, 1, 5.0, {label})"
    (found,), left_out = read(file_of(tmp_path / "t.parquet", row, f"{COLUMNS}, is_fraud"))
    assert (found.is_fraud, left_out) == (None, {})


@pytest.mark.parametrize(
    ("row", "columns", "told"),
    [
        ("(1)", "tx_id", "it has no column ts, card_id, merchant_id, amount"),
        ("(1, '2018-04-01', 1, 1, 5.0)", COLUMNS, "its column ts is VARCHAR, no time"),
        ("(1, TIMESTAMP '2018-04-01', 1, 1, '5')", COLUMNS, "its column amount is VARCHAR, no number"),
        ("(1, TIMESTAMP '2018-04-01', [1], 1, 5)", COLUMNS, "its column card_id is INTEGER[], neither"),
        (
            "('café', TIMESTAMP '2018-04-01', 1, 1, 5)",
            COLUMNS,
            "none of its rows is a transaction: 1 with a tx_id",
        ),
        ("(1, TIMESTAMP '2018-04-01', 1, 1, 5) LIMIT 0", COLUMNS, "it has no rows"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, row: str, columns: str, told: str) -> None:
    path = tmp_path / "t.parquet"
    with duckdb.connect() as db:
        value, _, limit = row.partition(" LIMIT")
        clause = f"LIMIT{limit}" if limit else ""
        db.sql(f"SELECT * FROM (VALUES {value}) AS t({columns}) {clause}").write_parquet(str(path))
    with pytest.raises(NotTransactions) as refused:
        read(path)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


def test_what_is_no_parquet_file_is_refused_in_one_line_and_its_name_is_taken_as_it_stands(tmp_path: Path) -> None:
    for name, content in (("text.parquet", b"tx_id\n1\n"), ("empty.parquet", b""), ("half.parquet", b"PAR1" * 9)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NotTransactions) as refused:
            read(tmp_path / name)
        assert "\n" not in str(refused.value)
    for missing in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(NotTransactions, match="there is no such file"):
            read(missing)
    stars = file_of(tmp_path / "plain.parquet", "(1, TIMESTAMP '2018-04-01', 1, 1, 5.0)", COLUMNS)
    assert len(read(stars.rename(tmp_path / "a[1]*?.parquet"))[0]) == 1


def test_an_id_that_reads_as_a_card_number_is_in_no_key() -> None:
    rows = [DatasetTransaction(id, datetime.now(UTC), 1, 1, 100, None) for id in (7, 4111111111111111, "t-1")]
    kept, left_out = keyable(rows)
    assert ([t.tx_id for t in kept], left_out) == ([7, "t-1"], {"a tx_id that reads as a card number": 1})
    assert keyable(kept) == (kept, {})


@given(st.integers(min_value=0, max_value=10**9 - 1))
def test_numbers_are_valid_and_even_is_visa(card_id: int) -> None:
    number = card_number(card_id)
    assert len(number) == 16
    assert luhn_valid(number)
    assert number[0] == ("5" if card_id % 2 else "4")


def test_durations_have_a_unit() -> None:
    assert DURATION.convert("7d", None, None) == timedelta(days=7)
    assert DURATION.convert("90s", None, None) == timedelta(seconds=90)
    for wrong in ("90", "9999999999d", "١d", "-1d"):
        with pytest.raises(click.BadParameter, match="not a duration"):
            DURATION.convert(wrong, None, None)
    with pytest.raises(click.BadParameter, match="more than 36500d"):
        DURATION.convert("999999999d", None, None)


def test_quantiles_are_of_whatever_came() -> None:
    assert quantiles([]) == {}
    assert quantiles([1.0]) == {"p50": 1.0, "p99": 1.0}
    assert quantiles([float(n) for n in range(101)]) == {"p50": 50.0, "p99": 99.0}
