"""Rates: what an amount is worth in euro, always rounded against the payer, or that nobody knows."""

from datetime import UTC, datetime
from pathlib import Path

import currency_converter
import pytest

from gateway.euro_rates import EuroRates
from schemas.settings import BadSetting

HEADER = "Date, USD, JPY, KRW, \n"


def rates(folder: Path, text: str, name: str = "rates.csv") -> EuroRates:
    file = folder / name
    file.write_text(text)
    return EuroRates(file)


def test_a_release_brings_the_rates_of_29_currencies() -> None:
    assert len(EuroRates().currencies - {"EUR"}) == 29
    assert 3_000 < (EuroRates().cents(60_000, "KRW") or 0) < 5_000
    assert EuroRates().cents(49_000, "KWD") is None


def test_amounts_count_in_their_own_minor_units_and_are_rounded_up(tmp_path: Path) -> None:
    found = rates(tmp_path, HEADER + "2026-10-30, 1.25, 160, 1600, \n")
    assert [found.cents(amount, "USD") for amount in (125, 126, 1)] == [100, 101, 1]
    assert [found.cents(amount, "JPY") for amount in (160, 1, 161)] == [100, 1, 101]
    assert (found.cents(1, "EUR"), found.cents(10**12, "EUR")) == (1, 10**12)


def test_an_amount_is_worth_what_it_was_on_its_day(tmp_path: Path) -> None:
    found = rates(
        tmp_path, HEADER + "2026-10-30, 2, 160, 1600, \n2026-10-27, 1.6, N/A, 1600, \n2026-10-26, 1.25, 80, , \n"
    )
    days = {day: datetime(2026, 10, day, 23, tzinfo=UTC) for day in (1, 26, 27, 29, 30, 31)}
    dollars = {day: found.cents_on(1000, "USD", moment) for day, moment in days.items()}
    assert dollars == {1: 800, 26: 800, 27: 625, 29: 625, 30: 500, 31: 500}
    assert found.cents_on(1000, "JPY", days[27]) == 1250, "the day before had the last rate"
    assert found.cents_on(1000, "EUR", days[1]) == 1000
    assert found.cents_on(1000, "KWD", days[27]) is None


def test_a_currency_that_has_no_rate_on_the_newest_day_has_none(tmp_path: Path) -> None:
    found = rates(tmp_path, HEADER + "2026-10-30, 1.25, N/A, , \n2026-10-29, 1.20, 160, 1600, \n")
    assert (found.cents(125, "USD"), found.cents(160, "JPY"), found.cents(1600, "KRW")) == (100, None, None)


def test_the_table_of_all_days_says_the_same_as_that_of_the_newest() -> None:
    days = EuroRates(Path(currency_converter.CURRENCY_FILE))  # a .zip, as the European Central Bank publishes it
    assert days.currencies == EuroRates().currencies


@pytest.mark.parametrize(
    "text", ["", "no table", HEADER, HEADER + "2026-10-30, 0, 1, 1", HEADER + "2026-10-30, -1, 1, 1"]
)
def test_a_file_that_is_no_table_of_rates_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSetting, match="SLUICE_EURO_RATES"):
        rates(tmp_path, text)
    with pytest.raises(BadSetting, match="BadZipFile"):
        rates(tmp_path, text, "rates.zip")
    with pytest.raises(BadSetting, match="FileNotFoundError"):
        EuroRates(tmp_path / "none.csv")
