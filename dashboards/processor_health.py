"""How each processor did in the period, against the period of the same length before it."""

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.look import Look
from dashboards.page import html
from dashboards.tile import Tile
from dashboards.wording import processor_name

MANY = 0.03  # of the calls: errors that are more than the noise of any processor


class ProcessorHealth(msgspec.Struct, frozen=True):
    """Calls that ask for money (authorizations and sales) by what became of them; milliseconds of what answered.

    `silent`: not answered in time, whatever became of them later. `…_before`: of the period before.
    """

    processor: str
    payments: int
    asked: int
    approved: int
    declined: int
    failed: int
    unknown: int
    silent: int
    p50: float | None
    p99: float | None
    asked_before: int
    approved_before: int
    p50_before: float | None
    p99_before: float | None


class Compared(msgspec.Struct, frozen=True):
    """A figure, how it changed, and whether that is `better`, `worse` or neither (empty)."""

    now: str
    change: str = ""
    tone: str = ""


class HealthLine(msgspec.Struct, frozen=True):
    """A processor as it is shown; `parts` are percentages of the bar by the class of their colour."""

    name: str
    share: str
    asked: str
    rate: Compared
    p50: Compared
    p99: Compared
    failed: str
    silent: str
    many_failed: bool
    many_silent: bool
    parts: list[tuple[str, float]]
    about: str


def health_lines(table: Table) -> list[HealthLine]:
    """A line for each processor that took part."""
    rows = [ProcessorHealth(*row) for row in table.rows]
    everything = sum(row.payments for row in rows)
    return [_line(row, everything) for row in rows]


def _line(row: ProcessorHealth, everything: int) -> HealthLine:
    parts = [("", row.approved), ("quiet", row.declined), ("block", row.failed), ("flag", row.unknown)]
    counts = ((row.approved, "approved"), (row.declined, "declined"), (row.failed, "failed"))
    about = ", ".join(f"{formats.count(count)} {word}" for count, word in (*counts, (row.unknown, "open")))
    return HealthLine(
        name=processor_name(row.processor),
        share=formats.percent(row.payments, everything),
        asked=formats.count(row.asked),
        rate=_rate(row),
        p50=_latency(row.p50, row.p50_before),
        p99=_latency(row.p99, row.p99_before),
        failed=formats.count(row.failed),
        silent=formats.count(row.silent),
        many_failed=row.failed >= MANY * row.asked > 0,
        many_silent=row.silent >= MANY * row.asked > 0,
        parts=[(tone, 100 * count / row.asked) for tone, count in parts if row.asked and count],
        about=about,
    )


def _rate(row: ProcessorHealth) -> Compared:
    """The share that was approved, and by how many points it changed."""
    now = formats.percent(row.approved, row.asked)
    if not row.asked or not row.asked_before:
        return Compared(now)
    points = 100 * (row.approved / row.asked - row.approved_before / row.asked_before)
    return Compared(now, f"{points:+.1f} pt", _tone(points, 1.0))


def _latency(now: float | None, before: float | None) -> Compared:
    if not now or not before:
        return Compared(formats.millis(now))
    percent = 100 * (now / before - 1)
    return Compared(formats.millis(now), f"{percent:+.0f}%", _tone(-percent, 20.0))


def _tone(gain: float, noise: float) -> str:
    """What is within `noise` is neither better nor worse."""
    if abs(gain) < noise:
        return ""
    return "better" if gain > 0 else "worse"


def _draw(table: Table, _look: Look) -> None:
    html("processor_health.html", lines=health_lines(table))


HEALTH = Tile(
    "processor_health",
    "In this period",
    "What did each processor approve, how fast, and how often did it fail, against the period before?",
    """
WITH calls AS (
    SELECT processor, minute >= $since AS is_now, status, status = 'unknown' OR was_unknown AS silent,
           if(kind <> 'order', count, 0) AS asks
    FROM operations_by_minute
    WHERE kind IN ('order', 'authorize', 'sale')
      AND minute >= $since - ($until - $since) AND minute < $until
), answered AS (
    SELECT processor, created_at >= $since AS is_now, milliseconds,
           kind IN ('order', 'authorize', 'sale') AND status <> 'unknown' AND sequence = 1 AS counts
    FROM operations
    WHERE created_at >= $since - ($until - $since) AND created_at < $until AND $sampled(created_at)
), volumes AS (
    SELECT processor, sum(count)::BIGINT AS payments FROM payments_by_$grain
    WHERE $grain >= $begin AND $grain < $until GROUP BY processor
), counted AS (
    SELECT processor, sum(if(is_now, asks, 0))::BIGINT AS asked,
           sum(if(is_now AND status = 'succeeded', asks, 0))::BIGINT AS approved,
           sum(if(is_now AND status = 'declined', asks, 0))::BIGINT AS declined,
           sum(if(is_now AND status = 'failed', asks, 0))::BIGINT AS failed,
           sum(if(is_now AND status = 'unknown', asks, 0))::BIGINT AS unknown,
           sum(if(is_now AND silent, asks, 0))::BIGINT AS silent,
           sum(if(NOT is_now, asks, 0))::BIGINT AS asked_before,
           sum(if(NOT is_now AND status = 'succeeded', asks, 0))::BIGINT AS approved_before
    FROM calls GROUP BY processor
), took AS (
    SELECT processor, quantile_cont(milliseconds, [0.5, 0.99]) FILTER (counts AND is_now) AS ms,
           quantile_cont(milliseconds, [0.5, 0.99]) FILTER (counts AND NOT is_now) AS ms_before
    FROM answered GROUP BY processor
)
SELECT processor, coalesce(payments, 0) AS payments, asked, approved, declined, failed, unknown, silent,
       ms[1] AS p50, ms[2] AS p99, asked_before, approved_before, ms_before[1] AS p50_before,
       ms_before[2] AS p99_before
FROM counted LEFT JOIN took USING (processor) LEFT JOIN volumes USING (processor) ORDER BY processor
""",
    _draw,
    note="authorizations and sales, against the period before; times sampled",
    nothing="No processor was asked in this time, nor in the time before.",
)
