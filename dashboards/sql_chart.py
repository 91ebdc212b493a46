"""An answer as a chart: who looks at it chooses what goes along, what goes up, and what each line is of."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

import msgspec
import streamlit as st

from dashboards.page import COLOURS, HUES, html, time_axis
from dashboards.sql_answer import AnswerColumn, KeptAnswer
from schemas.money import Money, UnknownCurrency

POINTS_MAX = 5_000
SERIES_MAX = 8
HEIGHT, HEIGHT_OF_MANY = 380, 240  # pixels of one chart, and of each of several
NOTHING = "Nothing in this answer can be drawn: a chart needs a column of numbers and another one."

Shape = Literal["line", "bar"]


class Drawing(msgspec.Struct, frozen=True):
    """What is drawn: a column along, one of numbers up, and one whose each value is a line of its own, or none."""

    shape: Shape
    along: AnswerColumn
    up: AnswerColumn
    each: AnswerColumn | None = None


class DrawnRow(NamedTuple):
    """A row as it is drawn: a height in units of its `currency`, which is empty of what is no money."""

    along: Any
    height: float
    line: str
    currency: str


def draw(answer: KeptAnswer) -> None:
    """Let the person choose, and show the chart."""
    numbers = [column for column in answer.columns if column.kind in ("whole", "broken")]
    if not numbers or len(answer.columns) < 2 or not answer.rows:
        html("nothing.html", words=NOTHING)
        return
    drawing = _chosen(answer, numbers)
    rows = _rows(answer, drawing)
    each_currency = by_currency(drawing, rows)
    height = HEIGHT if len(each_currency) == 1 else HEIGHT_OF_MANY
    for code, drawn in each_currency.items():
        if code:
            html("asked.html", words=f"{drawing.up.name} in {code}")
        about = _about(drawing, drawn) + (f", in {code}" if code else "")
        st.echarts_chart(options(drawing, drawn), key=f"sql-chart-{code}", height=height, alt=about)
    if notes := _notes(answer, drawing, rows):
        html("asked.html", words=" ".join(notes))


def by_currency(drawing: Drawing, rows: Sequence[DrawnRow]) -> dict[str, list[DrawnRow]]:
    """The rows of each chart by its currency, the one of most rows first: amounts of two share no axis.

    What is no money is one chart, without a currency. At most `SERIES_MAX` charts.
    """
    if not drawing.up.is_money:
        return {"": list(rows)}
    found: dict[str, list[DrawnRow]] = {}
    for row in rows:
        found.setdefault(row.currency, []).append(row)
    return dict(sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))[:SERIES_MAX])


def _notes(answer: KeptAnswer, drawing: Drawing, rows: Sequence[DrawnRow]) -> list[str]:
    """What is not drawn, and what a click does."""
    notes = [f"The first {POINTS_MAX:,} rows are drawn."] if answer.rows > POINTS_MAX else []
    if not drawing.each:
        return notes
    if (left := len({row.line for row in rows}) - SERIES_MAX) > 0:
        notes.append(f"{left} more of {drawing.each.name} are left out.")
    if drawing.each.name != "currency" or not drawing.up.is_money:
        notes.append("A click on a name hides what it is of, and the scale is that of the others.")
    return notes


def _chosen(answer: KeptAnswer, numbers: list[AnswerColumn]) -> Drawing:
    along, up, each = first_choice(answer.columns)
    names = {column.name: column for column in answer.columns}
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="sql-drawing"):
        shape: Shape | None = st.segmented_control(
            "Shape", get_args(Shape), default="line" if along.kind == "time" else "bar", key="sql-shape"
        )
        x = st.selectbox("Along", list(names), index=list(names).index(along.name), key="sql-along")
        n_names = [column.name for column in numbers]
        y = st.selectbox("Up", n_names, index=n_names.index(up.name), key="sql-up")
        others = ["–", *(name for name in names if name not in (x, y))]
        split = st.selectbox(
            "A line each", others, index=others.index(each.name) if each and each.name in others else 0
        )
    return Drawing(shape or "line", names[x], names[y], names.get(split))


def first_choice(columns: Sequence[AnswerColumn]) -> tuple[AnswerColumn, AnswerColumn, AnswerColumn | None]:
    """What is drawn before anybody chooses: over time where there is time, a line each of what is text.

    Of money that is no currency where there is something else: each currency has a chart of its own.
    """
    along = next((c for c in columns if c.kind == "time"), None) or next(
        (c for c in columns if c.kind == "text"), columns[0]
    )
    numbers = [c for c in columns if c.kind in ("whole", "broken") and c is not along]
    up = numbers[-1] if numbers else along
    texts = [c for c in columns if c.kind == "text" and c is not along]
    each = next((c for c in texts if (c.name == "currency") != up.is_money), texts[0] if texts else None)
    return along, up, each


def _rows(answer: KeptAnswer, drawing: Drawing) -> list[DrawnRow]:
    """The rows that have a place along and a height, as they are drawn."""
    currency = next((column for column in answer.columns if column.name == "currency"), drawing.up)
    columns = [drawing.along, drawing.up, drawing.each or drawing.up, currency]
    found = []
    for x, y, each, code in answer.values(columns, POINTS_MAX):
        if x is not None and y is not None:
            height = _units(y, code) if drawing.up.is_money else float(y)
            line = str(each) if drawing.each else drawing.up.name
            found.append(DrawnRow(x, height, line, str(code) if drawing.up.is_money else ""))
    return found


def _units(minor: int, currency: str) -> float:
    try:
        return float(Money(minor, currency).decimal())
    except UnknownCurrency:
        return float(minor)


def options(drawing: Drawing, rows: Sequence[DrawnRow]) -> dict[str, Any]:
    """A chart as ECharts takes it. What stands at one place of one line twice is drawn twice, not added up."""
    is_time = drawing.along.kind == "time"
    named = (str(row.along) for row in rows)
    places = sorted(set(named)) if is_time else list(dict.fromkeys(named))
    by_line = groupby(sorted(rows, key=lambda row: row.line), key=lambda row: row.line)
    series = [
        {
            "name": name,
            "type": drawing.shape,
            "color": hue,
            "symbolSize": 5,
            "barMaxWidth": 36,
            "data": [
                [_time(row.along) if is_time else str(row.along), row.height]
                for row in sorted(line, key=_place(places))
            ],
        }
        for hue, (name, line) in zip(HUES.values(), by_line, strict=False)
    ]
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 4, "right": 12, "top": 34, "bottom": 2, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 18, "itemHeight": 10, "type": "scroll"},
        "tooltip": {"trigger": "axis", "valueFormatter": "localized"},
        "xAxis": {"type": "time", "axisLabel": {"formatter": time_axis(), "hideOverlap": True}}
        if is_time
        else {"type": "category", "data": places},
        "yAxis": {"type": "value", "splitLine": {"lineStyle": {"color": f"{COLOURS['quiet']}33"}}},
        "series": series,
    }


def _place(places: list[str]) -> Any:
    at = {place: number for number, place in enumerate(places)}
    return lambda row: at[str(row.along)]


def _time(text: str) -> int:
    """Milliseconds since 1970 of a time as DuckDB writes it; without a zone it is UTC."""
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else datetime.fromisoformat(f"{at.isoformat()}+00:00")).timestamp() * 1000)


def _about(drawing: Drawing, rows: Sequence[DrawnRow]) -> str:
    each = f", one {drawing.shape} each {drawing.each.name}" if drawing.each else ""
    return f"{drawing.up.name} by {drawing.along.name}{each}, {len(rows)} points"
