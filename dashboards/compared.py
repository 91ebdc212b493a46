"""Big figures with their course through the period, and their change against the same time before.

They are made of the rows of a statement over `$spans` (see `Look.statement`): each has the `span` it belongs to,
of what is `shown` also the `step` of the course, and whether its minutes are over (`is_over`): the running minute
counts, but is not compared with a whole one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.locales import reader
from dashboards.look import Look
from dashboards.page import html
from schemas.times import now

Sums = Mapping[str, int]
Value = Callable[[Sums], float | None]
# Which way is up: `good` figures should rise, `bad` ones fall, of others neither is better.
Rise = Literal["good", "bad", ""]
Way = Literal["of_it", "points"]  # a change as a share of what was, or in percentage points
MARKS_MAX = 9.99  # what rose by more than 999% is told as a multiple
POINTS_LEAST, SHARE_LEAST = 0.005, 0.1  # what moved less is neither better nor worse
LEAST = 2  # pixels: how high the least value of a course stands


class FigureChange(msgspec.Struct, frozen=True):
    """`+4.2%`, against what, and whether that is good or bad news."""

    text: str
    against: str
    tone: Literal["better", "worse", ""] = ""


class Figure(msgspec.Struct, frozen=True):
    """A figure as it is shown. `course`: its shape as CSS's `polygon` has it; empty without one."""

    label: str
    value: str
    note: str = ""
    course: str = ""
    changes: Sequence[FigureChange] = ()


class ComparedRows:
    """Sums of the columns of such a statement. Columns that hold no number are passed over."""

    def __init__(self, table: Table) -> None:
        self._rows = table.by_name()

    def shown(self) -> Sums:
        """All of the period, the running minute too."""
        return _sums(row for row in self._rows if row["span"] == "shown")

    def ended(self, span: str) -> Sums | None:
        """The whole minutes of a span; None where nothing is known of that time."""
        rows = [row for row in self._rows if row["span"] == span and row["is_over"]]
        return _sums(rows) if rows else None

    def course(self, look: Look, value: Value) -> list[tuple[float, float]]:
        """The values from the first step that is known on, each at its place in the period, 0 to 1."""
        steps: dict[datetime, list[dict[str, object]]] = {}
        for row in self._rows:
            if row["span"] == "shown" and row["is_over"]:
                steps.setdefault(row["step"], []).append(row)
        end = (look.until or look.at or now()).replace(second=0, microsecond=0)
        last = max(1, round(look.length / look.step) - 1)
        placed = {last + 1 - round((end - step) / look.step): _sums(rows) for step, rows in steps.items()}
        known = range(max(0, min(placed, default=last)), last + 1)
        valued = [(place / last, value(placed.get(place, Counter()))) for place in known]
        return [(at, number) for at, number in valued if number is not None]

    def changes(self, look: Look, value: Value, way: Way, rise: Rise = "") -> list[FigureChange]:
        """The change against each span that is known."""
        after, found = self.ended("shown"), []
        for span in look.compared:
            before = self.ended(span)
            if before and after and (change := _change(value(before), value(after), way, rise)):
                found.append(msgspec.structs.replace(change, against=span))
        return found


def _sums(rows: Iterable[Mapping[str, object]]) -> Sums:
    total: Counter[str] = Counter()
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int) and not isinstance(value, bool):
                total[name] += value
    return total


def _change(before: float | None, after: float | None, way: Way, rise: Rise) -> FigureChange | None:
    if before is None or after is None or (way == "of_it" and not before):
        return None
    if way == "points":
        points = round(100 * (after - before), 1) + 0  # no -0.0
        return FigureChange(f"{_signed(points, 1)} pts", "", _tone(points / 100, POINTS_LEAST, rise))
    moved = after / before - 1
    text = _signed(100 * moved, 0 if abs(moved) >= 1 else 1) + reader().percent
    text = f"×{formats.count(after / before)}" if moved > MARKS_MAX else text
    return FigureChange(text, "", _tone(moved, SHARE_LEAST, rise))


def _signed(value: float, decimals: int) -> str:
    return ("+" if value >= 0 else "") + reader().number(value, decimals)


def _tone(moved: float, least: float, rise: Rise) -> Literal["better", "worse", ""]:
    if not rise or abs(moved) < least:
        return ""
    return "better" if (moved > 0) == (rise == "good") else "worse"


def share(part: float, whole: float) -> float | None:
    """A share from 0 to 1; None of nothing."""
    return part / whole if whole else None


def percent(value: float | None) -> str:
    """A share as it is shown."""
    return formats.NONE if value is None else formats.percent(value, 1)


def line(course: Sequence[tuple[float, float]], height: int = 34) -> str:
    """The shape of a course in a box of `height` pixels, for `clip-path: polygon(…)`; its least at the foot."""
    if len(course) < 2:
        return ""
    values = [value for _, value in course]
    low, span = min(values), max(values) - min(values)
    above = [(at, (height - LEAST) * (1 - (value - low) / span if span else 0.5)) for at, value in course]
    below = [(at, float(height)) for at, _ in (course[-1], course[0])]
    return ",".join(f"{100 * at:.4g}% {y:.3g}px" for at, y in above + below)


def row(figures: Sequence[Figure]) -> None:
    """Show figures side by side."""
    html("figures.html", figures=figures)
