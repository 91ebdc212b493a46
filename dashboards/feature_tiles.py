"""What the warehouse knows of one feature: its course, and whether this week's values are those of before."""

import math
from collections.abc import Sequence

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.look import Look
from dashboards.page import COLOURS, chart, html, points
from dashboards.tables import Cell, Column
from dashboards.tile import Tile

COLUMNS = [Column("Values"), Column("Four weeks before", "right"), Column("This week", "right"), Column("Change")]
# Bounds of the population stability index as credit scoring has them (N. Siddiqi, Credit Risk Scorecards, 2006).
SOMEWHAT, MUCH = 0.1, 0.25
SHARE_MIN = 0.0001  # of a step without any payment: its logarithm is to stay finite
SAMPLE = 20_000  # payments: their features are long texts of JSON
VISIBLE = 0.02  # as shares of all, before a change is marked


def stability_index(before: Sequence[int], now: Sequence[int]) -> float | None:
    """The population stability index of two histograms over the same steps; None where one is empty."""
    if not sum(before) or not sum(now):
        return None
    shares = zip(_shares(before), _shares(now), strict=True)
    return sum((new - old) * math.log(new / old) for old, new in shares)


def _shares(counts: Sequence[int]) -> list[float]:
    return [max(count / sum(counts), SHARE_MIN) for count in counts]


def said_of(index: float | None) -> str:
    """What an index means, in a sentence."""
    if index is None:
        return "There are values of this week alone, or of before alone: nothing to compare."
    shown = formats.shortened(index, 3)
    if index < SOMEWHAT:
        return f"Its values are those of before (stability index {shown}, below 0.1)."
    if index < MUCH:
        return f"Its values shifted somewhat (stability index {shown}, from 0.1 on): look at rules that read it."
    return f"Its values shifted much (stability index {shown}, from 0.25 on): rules that read it meet others now."


def steps(table: Table) -> list[list[Cell | str]]:
    """A line for each step of the values of before, with its share then and now."""
    rows = table.by_name()
    before, new = (sum(row[name] for row in rows) for name in ("before", "this_week"))
    return [
        [
            _values(row["low"], row["high"]),
            formats.percent(row["before"], before),
            formats.percent(row["this_week"], new),
            _change(row["before"] / before if before else 0, row["this_week"] / new if new else 0),
        ]
        for row in rows
    ]


def _values(low: float, high: float) -> str:
    if low == high:
        return formats.shortened(low)
    return f"{formats.shortened(low)} to {formats.shortened(high)}"


def _change(before: float, new: float) -> Cell:
    if abs(new - before) < VISIBLE:
        return Cell("as before")
    return Cell("more" if new > before else "less", tone="pending")


def _draw_course(table: Table, look: Look) -> None:
    times = [row[0] for row in table.rows]
    lines = (("median", 1, "succeeded", "solid"), ("one of ten is above", 2, "quiet", "dashed"))
    series = [
        {
            "name": name,
            "type": "line",
            "showSymbol": len(times) < 3,
            "color": COLOURS[colour],
            "lineStyle": {"width": 2, "type": dash},
            "data": points(look, times, [row[at] for row in table.rows]),
        }
        for name, at, colour, dash in lines
    ]
    chart("feature-course", "Median and 9th decile of a feature through the period", "", 240, series, look)


def _draw_drift(table: Table, _look: Look) -> None:
    rows = table.by_name()
    index = stability_index([row["before"] for row in rows], [row["this_week"] for row in rows])
    html("nothing.html", words=said_of(index))
    tables.table(COLUMNS, steps(table), "Shares of the values of this week and of the four weeks before")


# What has no value is left out by counting values: a condition would read all of them before the sample is taken.
COURSE = Tile(
    "feature-course",
    "Course",
    "Which values did the feature have through the period?",
    """
SELECT time_bucket($step, recorded_at) AS step, quantile_cont(value, 0.5) AS median,
       quantile_cont(value, 0.9) AS decile_9, count(value) AS verdicts
FROM (
    SELECT recorded_at, if($id = 'score', score, (features ->> $id)::DOUBLE) AS value
    FROM verdicts WHERE recorded_at >= $since AND recorded_at < $until AND $sampled(recorded_at)
) GROUP BY step HAVING count(value) > 0 ORDER BY step
""",
    _draw_course,
    note="of the payments judged; sampled",
    sample=SAMPLE,
    nothing="No payment judged in this time had a value.",
)

DRIFT = Tile(
    "feature-drift",
    "Drift",
    "Are its values of this week distributed as those of the four weeks before?",
    """
WITH seen AS (
    SELECT recorded_at >= now()::TIMESTAMP - INTERVAL 7 DAY AS is_new,
           if($id = 'score', score, (features ->> $id)::DOUBLE) AS value
    FROM verdicts WHERE recorded_at >= now()::TIMESTAMP - INTERVAL 35 DAY AND $sampled(recorded_at)
), edges AS (
    SELECT coalesce(quantile_disc(value, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) FILTER (NOT is_new), [])
        AS edges
    FROM seen
)
SELECT len(list_filter(list_distinct(edges), edge -> edge < value)) AS step, min(value) AS low, max(value) AS high,
       count(value) FILTER (NOT is_new) AS before, count(value) FILTER (is_new) AS this_week
FROM seen, edges GROUP BY step HAVING count(value) > 0 ORDER BY step
""",
    _draw_drift,
    note="steps of a tenth of the payments before; sampled",
    sample=SAMPLE,
    sampled_of="90d",
    nothing="No payment judged in five weeks had a value.",
)
