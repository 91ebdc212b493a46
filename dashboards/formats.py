"""Figures and texts from outside, formatted for the page; the examples are as an English reader sees them."""

import re
import unicodedata
from datetime import UTC, date, datetime, time

from dashboards.locales import reader
from schemas.money import Money, UnknownCurrency

NONE = "–"


def count(number: float) -> str:
    """`12,345`."""
    return reader().number(number)


def rate(per_second: float) -> str:
    """`0.4`, `37`, `1,200`: a decimal below 10 only."""
    return reader().number(per_second, 1) if per_second < 10 else count(per_second)


def percent(part: float, whole: float) -> str:
    """`97.3%`; a dash where there is nothing to divide, and never 100% while something is missing."""
    if not whole:
        return NONE
    share = 100 * part / whole
    shown = min(share, 99.9) if part < whole else share
    return reader().number(shown, 0 if share == 100 else 1) + reader().percent


def millis(ms: float | None) -> str:
    """`4.2 ms`, `38 ms`, `1.3 s`."""
    if ms is None:
        return NONE
    if ms >= 1000:
        return f"{reader().number(ms / 1000, 1)} s"
    return f"{reader().number(ms, 0 if ms >= 10 else 1)} ms"


def age(seconds: float) -> str:
    """`now`, `12 s`, `5 min`, `3 h`, `2 d`; a clock ahead of ours is `now`."""
    if seconds < 1:
        return "now"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{int(seconds)} s"


def when(seconds: float) -> str:
    """So long ago: `just now`, `12 s ago`."""
    return f"{age(seconds)} ago" if seconds >= 1 else "just now"


def amount(minor: int, currency: str) -> str:
    """`1,234.56`, with the decimals of the currency; minor units where the currency is unknown."""
    try:
        return reader().grouped(Money(minor, currency).decimal())
    except UnknownCurrency:
        return f"{count(minor)} minor units"


def money(minor: int, currency: str) -> str:
    """`1,234.56 EUR`; `minor` in the currency's minor units."""
    return f"{amount(minor, currency)} {currency}"


def shortened(value: float, decimals_max: int = 4) -> str:
    """`1,234.5`: without zeros behind the point that say nothing."""
    digits = f"{value:.{decimals_max}f}"
    return reader().grouped(digits.rstrip("0").rstrip("."))


def dated(local: datetime, this_year: int, *, seconds: bool = True) -> str:
    """`27 Nov 14:03:07`, or `Nov 27` where one writes so; of another year with it."""
    day = f"{local:%b %d}" if reader().month_first else f"{local:%d %b}"
    year = "" if local.year == this_year else f" {local.year}"
    return f"{day}{year} {local:%H:%M:%S}" if seconds else f"{day}{year} {local:%H:%M}"


def clock(moment: datetime) -> str:
    """`14:03:07`, UTC."""
    return moment.strftime("%H:%M:%S")


def start_of(day: date | None) -> datetime | None:
    """The first moment of a day in UTC, as the gateway is asked; None for none."""
    return datetime.combine(day, time(), UTC) if day else None


def moment(at: datetime) -> str:
    """`2026-11-23 14:03:07 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def plain(text: object, length_max: int = 60) -> str:
    """A text from outside on one line of `length_max` characters at most, without control characters."""
    kept = "".join(
        letter if unicodedata.category(letter)[0] != "C" else " " for letter in str(text)[: length_max * 4]
    )
    words = " ".join(kept.split())
    return words if len(words) <= length_max else words[: length_max - 1] + "…"


def literal(text: str) -> str:
    """A text from outside, for where Markdown is read: it means nothing there but itself."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~:$&])", r"\\\1", text)
