"""Which processor is failing now, since when, and how: by its calls of the last minutes against the day before."""

from datetime import datetime
from typing import Literal

import msgspec

from connectors.warehouse import Table
from dashboards import formats, stops
from dashboards.look import Look
from dashboards.page import html
from dashboards.tile import Tile
from dashboards.wording import NAMES, processor_name

ERRORS_MIN = 3  # of a spell; fewer are no failure
SAMPLE_MIN = 20  # calls that a share or a percentile is believed from
FEWER_APPROVED = 0.6  # of the usual share
SLOWER, SLOW_MS = 3, 1_000  # times the usual p99, and how long at least

Condition = Literal["stopped", "failing", "declining", "slow", "well", "quiet"]


class ProcessorCalls(msgspec.Struct, frozen=True):
    """The calls of one processor: of the last 15 minutes, and `usual`: of the day before them. Milliseconds.

    `refused`: no processor answered them, or with a failure; `silent`: not answered in time. Errors are of a spell
    where they were made after the last minute in which more than nine of ten calls went well, or ended after the
    last call that went well: a processor that fails for some seconds is told of in a minute that began well. A
    silent call counts as ended when it was made: what is found out of it later says nothing of now.
    `spell_refused`, `spell_silent`: errors of a spell in the 15 minutes; `failing_since`: the first of one in the
    day before now, or null.
    """

    processor: str
    calls: int
    refused: int
    silent: int
    decided: int
    approved: int
    p99: float | None
    usual_decided: int
    usual_approved: int
    usual_p99: float | None
    spell_refused: int
    spell_silent: int
    failing_since: datetime | None


class ProcessorFinding(msgspec.Struct, frozen=True):
    """How a processor does, in words; `tone` is that of its mark."""

    name: str
    condition: Condition
    title: str
    detail: str


def finding(calls: ProcessorCalls, look: Look, *, stopped: bool) -> ProcessorFinding:
    """What the calls of a processor show."""
    condition = condition_of(calls, stopped=stopped)
    name = processor_name(calls.processor)
    title, detail = _words(condition, calls, look)
    return ProcessorFinding(name, condition, title, detail)


def condition_of(calls: ProcessorCalls, *, stopped: bool) -> Condition:
    """The worst of what is true."""
    if stopped:
        return "stopped"
    if not calls.calls:
        return "quiet"
    if calls.spell_refused + calls.spell_silent >= ERRORS_MIN:
        return "failing"
    if calls.decided >= SAMPLE_MIN and calls.usual_decided >= SAMPLE_MIN:
        usual = calls.usual_approved / calls.usual_decided
        if calls.approved / calls.decided < FEWER_APPROVED * usual:
            return "declining"
    is_slow = (calls.p99 or 0) > max(SLOW_MS, SLOWER * (calls.usual_p99 or 0))
    return "slow" if is_slow and calls.calls >= SAMPLE_MIN else "well"


def _words(condition: Condition, calls: ProcessorCalls, look: Look) -> tuple[str, str]:
    count, errors = formats.count(calls.calls), calls.refused + calls.silent
    share = formats.percent(calls.approved, calls.decided)
    match condition:
        case "stopped":
            return "Stopped by us", "no new payment goes there"
        case "quiet":
            return "Not asked", "no call in the last 15 minutes"
        case "failing":
            what = "Refuses our calls" if calls.spell_refused >= calls.spell_silent else "Does not answer"
            return f"{what} since {_clock(calls, look)}", f"{formats.count(errors)} of {count} calls in 15 min"
        case "declining":
            usual = formats.percent(calls.usual_approved, calls.usual_decided)
            return "Declines far more than usual", f"{share} approved in 15 min, usually {usual}"
        case "slow":
            usual = f", usually {formats.millis(calls.usual_p99)}" if calls.usual_p99 else ""
            return "Slow", f"p99 {formats.millis(calls.p99)} in 15 min{usual}"
        case "well":
            return "Works", f"{share} of {count} approved in 15 min, p99 {formats.millis(calls.p99)}"


def _clock(calls: ProcessorCalls, look: Look) -> str:
    since = calls.failing_since
    return f"{look.local(since):%H:%M}" if since else formats.NONE


def findings(table: Table, look: Look, stopped: frozenset[str]) -> list[ProcessorFinding]:
    """How each processor does, those that were not asked for a day too; what is wrong first."""
    by_name = {row[0]: ProcessorCalls(*row) for row in table.rows}
    nothing = {name: ProcessorCalls(name, 0, 0, 0, 0, 0, None, 0, 0, None, 0, 0, None) for name in NAMES}
    found = [
        finding(calls, look, stopped=name in stopped or "all" in stopped)
        for name, calls in (nothing | by_name).items()
    ]
    order: tuple[Condition, ...] = ("failing", "declining", "slow", "stopped", "well", "quiet")
    return sorted(found, key=lambda one: order.index(one.condition))


def _draw(table: Table, look: Look) -> None:
    html("processor_now.html", findings=findings(table, look, stops.targets()))


NOW = Tile(
    "processor_now",
    "Now",
    "Which processor fails now, since when, and how?",
    """
WITH calls AS (
    SELECT processor, created_at, date_trunc('minute', created_at) AS minute, milliseconds,
           kind <> 'order' AS asks, status, status = 'unknown' OR sequence > 1 AS silent,
           status = 'failed' AND sequence = 1 AS refused,
           CASE WHEN silent THEN created_at ELSE finished_at END AS ended_at,
           created_at >= now()::TIMESTAMP - INTERVAL 15 MINUTE AS is_new, $sampled(created_at) AS is_sampled
    FROM operations
    WHERE kind IN ('order', 'authorize', 'sale') AND created_at >= now()::TIMESTAMP - INTERVAL 24 HOUR
), minutes AS (
    SELECT processor, minute, count(*) AS calls, count(*) FILTER (silent OR refused) AS errors,
           max(ended_at) FILTER (NOT (silent OR refused)) AS well_at
    FROM calls GROUP BY ALL
), well AS (
    SELECT processor, coalesce(max(minute) FILTER (10 * errors < calls), '-infinity') AS well_minute,
           coalesce(max(well_at), '-infinity') AS well_at
    FROM minutes GROUP BY processor
), told AS (
    SELECT *, (silent OR refused) AND (minute > well_minute OR ended_at > well_at) AS in_spell
    FROM calls JOIN well USING (processor)
)
SELECT processor, count(*) FILTER (is_new) AS calls, count(*) FILTER (is_new AND refused) AS refused,
       count(*) FILTER (is_new AND silent) AS silent,
       count(*) FILTER (is_new AND asks AND status IN ('succeeded', 'declined')) AS decided,
       count(*) FILTER (is_new AND asks AND status = 'succeeded') AS approved,
       quantile_cont(milliseconds, 0.99) FILTER (is_new AND NOT silent) AS p99,
       count(*) FILTER (NOT is_new AND asks AND status IN ('succeeded', 'declined')) AS usual_decided,
       count(*) FILTER (NOT is_new AND asks AND status = 'succeeded') AS usual_approved,
       quantile_cont(milliseconds, 0.99) FILTER (is_sampled AND NOT is_new AND NOT silent) AS usual_p99,
       count(*) FILTER (is_new AND in_spell AND refused) AS spell_refused,
       count(*) FILTER (is_new AND in_spell AND silent) AS spell_silent,
       min(created_at) FILTER (in_spell) AS failing_since
FROM told GROUP BY processor ORDER BY processor
""",
    _draw,
    note="last 15 minutes against the day before",
    sample=50_000,
    sampled_of="24h",
    nothing="No processor was asked in the last day.",
)
