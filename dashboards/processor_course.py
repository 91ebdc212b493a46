"""How the processors did through the period: what they approved, where they failed, and how long they took."""

from datetime import datetime
from typing import Any

from connectors.warehouse import Table
from dashboards.look import Look
from dashboards.page import COLOURS, PROCESSOR_COLOURS, chart, points
from dashboards.tile import Tile
from dashboards.wording import processor_name

HEIGHT = 210
# An axis from 0 to 100 % would show a flat line whatever happens: it has this much, and more where it is needed.
APPROVED_FROM, ERRORS_TO = 90.0, 5.0

# One question for the three tiles: the warehouse is asked once. Other conditions than those of the time would be
# looked at before the sample is taken, so they stand behind it.
COURSE = """
WITH counted AS (
    SELECT time_bucket(2 * $step, minute) AS moment, processor,
           sum(if(kind <> 'order', count, 0))::BIGINT AS asked,
           sum(if(kind <> 'order' AND status = 'succeeded', count, 0))::BIGINT AS approved,
           sum(count)::BIGINT AS calls,
           sum(if(status IN ('failed', 'unknown') OR was_unknown, count, 0))::BIGINT AS errors
    FROM operations_by_minute
    WHERE kind IN ('order', 'authorize', 'sale') AND minute >= $since AND minute < $until
    GROUP BY ALL
), answered AS (
    SELECT time_bucket(2 * $step, created_at) AS moment, processor,
           quantile_cont(milliseconds, [0.5, 0.99]) FILTER (
               kind IN ('order', 'authorize', 'sale') AND status <> 'unknown' AND sequence = 1
           ) AS ms
    FROM operations WHERE created_at >= $since AND created_at < $until AND $sampled(created_at)
    GROUP BY ALL
)
SELECT counted.*, ms[1] AS p50, ms[2] AS p99
FROM counted LEFT JOIN answered USING (moment, processor) ORDER BY moment, processor
"""

Courses = dict[str, list[tuple[datetime, float]]]  # by processor: when, and how much


def shares(table: Table, part: str, whole: str) -> Courses:
    """For each processor: when, and `part` of `whole` in percent, where there was any."""
    at, over = table.columns.index(part), table.columns.index(whole)
    found: Courses = {}
    for row in table.rows:
        if row[over]:
            found.setdefault(row[1], []).append((row[0], 100 * row[at] / row[over]))
    return found


def values(table: Table, column: str) -> Courses:
    """For each processor: when, and a column where it has a value."""
    at = table.columns.index(column)
    found: Courses = {}
    for row in table.rows:
        if row[at] is not None:
            found.setdefault(row[1], []).append((row[0], row[at]))
    return found


def _all_series(found: Courses, look: Look) -> list[dict[str, Any]]:
    return [_series(name, course, look) for name, course in found.items()]


def _series(name: str, course: list[tuple[datetime, float]], look: Look) -> dict[str, Any]:
    return {
        "name": processor_name(name),
        "type": "line",
        "showSymbol": len(course) < 3,
        "lineStyle": {"width": 2},
        "color": PROCESSOR_COLOURS.get(name, COLOURS["quiet"]),
        "data": points(look, [at for at, _ in course], [value for _, value in course]),
    }


def _draw_approved(table: Table, look: Look) -> None:
    about, found = "Share approved by each processor over time", shares(table, "approved", "asked")
    bottom = min([APPROVED_FROM, *_heights(found)])
    chart("processor_approved", about, "%", HEIGHT, _all_series(found, look), look, bottom=bottom, top=100)


def _draw_errors(table: Table, look: Look) -> None:
    about, found = "Share of calls that failed or were not answered over time", shares(table, "errors", "calls")
    top = max([ERRORS_TO, *_heights(found)])
    chart("processor_errors", about, "%", HEIGHT, _all_series(found, look), look, top=top)


def _heights(found: Courses) -> list[float]:
    return [value for course in found.values() for _, value in course]


def _draw_latency(table: Table, look: Look) -> None:
    about, found = "p99 of the processors over time", values(table, "p99")
    chart("processor_latency", about, " ms", HEIGHT, _all_series(found, look), look)


APPROVED = Tile(
    "processor_approved",
    "Approved",
    "Which share of what it was asked did each processor approve, through the period?",
    COURSE,
    _draw_approved,
    note="% of authorizations and sales",
)
ERRORS = Tile(
    "processor_errors",
    "Failed or silent",
    "Which share of its calls did each processor fail or not answer in time, through the period?",
    COURSE,
    _draw_errors,
    note="% of calls",
)
LATENCY = Tile(
    "processor_latency",
    "Time to answer",
    "How long did the slowest hundredth of each processor's answers take, through the period?",
    COURSE,
    _draw_latency,
    note="p99 of what was answered, ms; sampled",
)
