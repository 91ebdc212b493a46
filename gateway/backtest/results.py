"""What a backtest answers: the figures of all parts of its span together."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from math import sqrt
from operator import itemgetter
from typing import Any

import msgspec

from schemas.expressions import Expression, names_of

Z = 1.96  # of a normal distribution, 95 % lie within

FigureRow = dict[str, Any]  # of one week and currency, as the warehouse answers


class CurrencyFigures(msgspec.Struct, frozen=True):
    """The sums of what was caught and lost in one currency, in minor units.

    `caught_interval`, `lost_interval`: where the sums of as long a span lie with 95 % (`sums_between`).
    """

    currency: str
    caught: int
    lost: int
    caught_interval: tuple[int, int] | None
    lost_interval: tuple[int, int] | None


class WeekFigures(msgspec.Struct, frozen=True):
    """What a rule would have done in a week, which begins on `week` (a Monday, UTC)."""

    week: date
    payments: int
    hits: int
    frauds_caught: int
    good_lost: int
    amounts: list[CurrencyFigures]


class Backtest(msgspec.Struct, frozen=True):
    """What a rule would have done. `precision`: frauds among the hits that are known; null where there are none.

    `interval`: where it lies with 95 % (Wilson). `good_lost`: hits that a label calls good, or that were paid and
    that none calls fraud. `coverage`: of each name the share of the payments that had a value of it.
    """

    payments: int
    hits: int
    frauds_caught: int
    good_lost: int
    amounts: list[CurrencyFigures]
    precision: float | None
    interval: tuple[float, float] | None
    by_week: list[WeekFigures]
    coverage: dict[str, float]


def total(expression: Expression, rows: Sequence[FigureRow]) -> Backtest:
    """The figures of all parts together."""
    sums = _sums(rows)
    caught, known = sums["frauds_caught"], sums["frauds_caught"] + sums["good_lost"]
    return Backtest(
        payments=sums["payments"],
        hits=sums["hits"],
        frauds_caught=caught,
        good_lost=sums["good_lost"],
        amounts=_amounts(rows),
        precision=caught / known if known else None,
        interval=wilson(caught, known) if known else None,
        by_week=[_week(week, of_it) for week, of_it in _by(rows, "week")],
        coverage={
            name: sums[f"known_{name}"] / sums["payments"] if sums["payments"] else 0.0
            for name in sorted(names_of(expression))
        },
    )


def wilson(successes: int, tries: int) -> tuple[float, float]:
    """Between which shares the true one lies with 95 %: Wilson's interval, which holds for few tries too."""
    share, spread = successes / tries, Z * Z / tries
    middle = share + spread / 2
    reach = Z * sqrt(share * (1 - share) / tries + spread / tries / 4)
    return max(0.0, (middle - reach) / (1 + spread)), min(1.0, (middle + reach) / (1 + spread))


def sums_between(total: int, squares: float) -> tuple[int, int] | None:
    """Between which sums of amounts the expected one lies with 95 %; None where there was no payment to tell by.

    `squares`: the sum of the amounts' squares. Payments come by chance (Poisson) and their amounts differ, which
    is as if fewer came, all of one amount: mean and variance are the same. Of so many the interval is Byar's
    approximation, which holds for few payments too.
    """
    if not squares:
        return None
    payments, each = total * total / squares, squares / total
    return round(each * _byar(payments, -Z)), round(each * _byar(payments + 1, Z))


def _byar(payments: float, z: float) -> float:
    return payments * max(0.0, 1 - 1 / (9 * payments) + z / (3 * sqrt(payments))) ** 3


def _week(week: date, rows: Sequence[FigureRow]) -> WeekFigures:
    sums = _sums(rows)
    return WeekFigures(
        week, sums["payments"], sums["hits"], sums["frauds_caught"], sums["good_lost"], _amounts(rows)
    )


def _amounts(rows: Sequence[FigureRow]) -> list[CurrencyFigures]:
    return [_currency(currency, of_it) for currency, of_it in _by(rows, "currency")]


def _currency(currency: str, rows: Sequence[FigureRow]) -> CurrencyFigures:
    sums = _sums(rows)
    caught_squares, lost_squares = (sum(row[f"{kind}_squares"] for row in rows) for kind in ("caught", "lost"))
    return CurrencyFigures(
        currency,
        sums["caught"],
        sums["lost"],
        sums_between(sums["caught"], caught_squares),
        sums_between(sums["lost"], lost_squares),
    )


def _by(rows: Sequence[FigureRow], key: str) -> Iterator[tuple[Any, list[FigureRow]]]:
    for found, of_it in groupby(sorted(rows, key=itemgetter(key)), itemgetter(key)):
        yield found, list(of_it)


def _sums(rows: Sequence[FigureRow]) -> Counter[str]:
    """The sums of all columns that count."""
    sums: Counter[str] = Counter()
    for row in rows:
        sums.update({name: value for name, value in row.items() if isinstance(value, int)})
    return sums
