"""What an amount is worth in euro, by the reference rates of the European Central Bank."""

from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from zipfile import BadZipFile

from currency_converter import SINGLE_DAY_CURRENCY_FILE, CurrencyConverter

from schemas.money import UnknownCurrency, unit
from schemas.settings import BadSetting

NO_RATE = frozenset(["", " ", "N/A", " N/A"])  # the table of one day has blanks after its commas
UNREADABLE = (OSError, ValueError, ArithmeticError, StopIteration, BadZipFile)


class EuroRates:
    """Rates by day, read once: those that the package brings along, or of a `file` of the ECB's own format.

    That is `eurofxref.csv` (one day), `eurofxref-hist.csv` or a `.zip` of one: a line `Date, USD, JPY, …`, then a
    line per day with the units of each currency for one euro. A currency without one on the newest day has none.

    Raises `BadSetting` where the file cannot be read.
    """

    def __init__(self, file: Path | None = None) -> None:
        path = Path(SINGLE_DAY_CURRENCY_FILE) if file is None else file.absolute()
        try:
            self._converter = CurrencyConverter(
                str(path),
                na_values=NO_RATE,
                decimal=True,
                fallback_on_wrong_date=True,
                fallback_on_missing_rate=True,
                fallback_on_missing_rate_method="last_known",
            )
            bounds = self._converter.bounds
            newest = max(bounds[currency].last_date for currency in bounds)
            self.currencies = {currency for currency in bounds if bounds[currency].last_date == newest}
            usable = all(self._euro(Decimal(1), currency) > 0 for currency in self.currencies)
        except UNREADABLE as error:
            raise BadSetting(f"SLUICE_EURO_RATES: {path} is no table of rates ({type(error).__name__})") from None
        if not usable:
            raise BadSetting(f"SLUICE_EURO_RATES: {path} has a rate that is not above zero")

    def cents(self, amount: int, currency: str) -> int | None:
        """`amount` (minor units) in euro cents by the newest rate, rounded up; None where there is none."""
        return self.cents_on(amount, currency, None)

    def cents_on(self, amount: int, currency: str, moment: datetime | None) -> int | None:
        """The same by the rate of the day of `moment` (UTC), or the last one before.

        Where the table begins later, as one of a single day may, its first rate stands for the days before.
        """
        if currency not in self.currencies:
            return None
        try:
            whole = Decimal(amount) / unit(currency)
        except UnknownCurrency:
            return None
        day = moment.date() if moment else None
        return int((self._euro(whole, currency, day) * 100).to_integral_value(ROUND_CEILING))

    def _euro(self, amount: Decimal, currency: str, day: date | None = None) -> Decimal:
        return Decimal(self._converter.convert(amount, currency, "EUR", date=day))
