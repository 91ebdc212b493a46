"""What the fraud gate does: verdicts by outcome, who gave them, how fast, why, and which came too late."""

from collections import Counter
from typing import Any

import msgspec

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.compared import ComparedRows, row, share
from dashboards.look import Look
from dashboards.page import COLOURS, chart, html, points
from dashboards.tables import Cell, Column, payment_href
from dashboards.tile import Tile
from dashboards.tiles.headline import Headline, figure, stopped
from dashboards.wording import listed, words
from schemas.fraud import OUTCOMES

MEANING = {
    "allow": "went through",
    "flag": "went through, marked",
    "review": "held for a person",
    "block": "stopped",
}
DRAWN = ("flag", "review", "block")
LATE_COLUMNS = [
    Column("Time"),
    Column("Payment", wide=True, id=True),
    Column("Decided"),
    Column("Verdict"),
    Column("Score", "right"),
    Column("Reasons", wide=True),
]

HEADLINES = (
    Headline("Judged", lambda sums: sums["judged"], "of_it"),
    Headline("Held or blocked", stopped, "points"),
    Headline("By the stand-in", lambda sums: share(sums["stand_in"], sums["judged"]), "points", "bad"),
)


class OutcomeShare(msgspec.Struct, frozen=True):
    """One outcome: `percent` for the bar, `rate` the same to read."""

    outcome: str
    meaning: str
    count: int
    percent: float
    rate: str


def outcomes(table: Table) -> list[OutcomeShare]:
    """A line for each outcome, in rising order of severity."""
    counts = Counter({outcome: count for outcome, count, _ in table.rows})
    total = counts.total()
    return [
        OutcomeShare(
            outcome,
            MEANING[outcome],
            counts[outcome],
            100 * counts[outcome] / total if total else 0,
            formats.percent(counts[outcome], total),
        )
        for outcome in OUTCOMES
    ]


def late(table: Table, look: Look) -> list[list[Cell | str]]:
    """A line for each verdict that came too late to decide, with the payment it was about."""
    return [_late(each, look) for each in table.by_name()]


def _late(each: dict[str, Any], look: Look) -> list[Cell | str]:
    href = payment_href(each["payment"])
    return [
        Cell(look.shown(each["recorded_at"]), href=href),
        Cell(each["payment"], href=href),
        Cell(each["applied_outcome"], tone=each["applied_outcome"]),
        Cell(each["outcome"], tone=each["outcome"]),
        formats.NONE if each["score"] is None else f"{each['score']:.2f}",
        listed(each["reasons"]) or formats.NONE,
    ]


def _draw_judged(table: Table, look: Look) -> None:
    rows = ComparedRows(table)
    row([figure(headline, rows, look) for headline in HEADLINES])


def _draw_course(table: Table, look: Look) -> None:
    times = [each[0] for each in table.rows]
    series = [
        {
            "name": outcome,
            "type": "bar",
            "stack": "all",
            "barCategoryGap": "18%",
            "barMaxWidth": 18,
            "color": COLOURS[outcome],
            "data": points(look, times, [each[at] for each in table.rows]),
        }
        for at, outcome in enumerate(DRAWN, start=1)
    ]
    chart(
        "verdicts-course",
        "Flagged, held and blocked payments, in percent of those judged",
        "%",
        220,
        series,
        look,
    )


def _draw_latency(table: Table, look: Look) -> None:
    times = [each[0] for each in table.rows]
    lines = (
        ("median", 1, COLOURS["succeeded"], "solid"),
        ("99th percentile", 2, COLOURS["quiet"], "dashed"),
    )
    series = [
        {
            "name": name,
            "type": "line",
            "showSymbol": len(times) < 3,
            "color": colour,
            "lineStyle": {"width": 2, "type": dash},
            "data": points(look, times, [each[at] for each in table.rows]),
        }
        for name, at, colour, dash in lines
    ]
    chart("latency", "Median and 99th percentile of the time to a verdict", " ms", 220, series, look)


def _draw_reasons(table: Table, _look: Look) -> None:
    columns = [Column("Reason"), *(Column(title, "right") for title in ("Flagged", "Held", "Blocked", "All"))]
    lines = [[words(each[0]), *map(formats.count, each[1:])] for each in table.rows]
    tables.table(columns, lines, "Reasons of the verdicts")


JUDGED = Tile(
    "judged",
    "In this period",
    "How many payments were judged and stopped, and for how many did the stand-in have to decide?",
    """
SELECT span, CASE WHEN span = 'shown' THEN time_bucket($step, minute, since) END AS step,
       time_bucket(INTERVAL 1 $grain, minute) + INTERVAL 1 $grain <= until AS is_over,
       sum(count)::BIGINT AS judged,
       coalesce(sum(count) FILTER (outcome = 'review'), 0)::BIGINT AS held,
       coalesce(sum(count) FILTER (outcome = 'block'), 0)::BIGINT AS blocked,
       coalesce(sum(count) FILTER (source = 'stand_in'), 0)::BIGINT AS stand_in
FROM $spans(risk_outcomes_by_minute, minute) GROUP BY ALL ORDER BY ALL
""",
    _draw_judged,
    nothing="No payment was judged in this time.",
)

VERDICTS = Tile(
    "verdicts",
    "Verdicts",
    "What did the fraud gate say of the payments?",
    """
SELECT outcome, sum(count)::BIGINT AS payments,
       coalesce(sum(count) FILTER (source = 'stand_in'), 0)::BIGINT AS stand_in
FROM risk_outcomes_by_minute WHERE minute >= $begin AND minute < $until GROUP BY outcome ORDER BY outcome
""",
    lambda table, _look: html("verdicts.html", shares=outcomes(table)),
    nothing="No payment was judged in this time.",
)

VERDICTS_COURSE = Tile(
    "verdicts-course",
    "Stopped over time",
    "When were payments flagged, held or blocked?",
    """
SELECT time_bucket($step, minute) AS step,
       coalesce(100 * sum(count) FILTER (outcome = 'flag') / sum(count), 0) AS flagged,
       coalesce(100 * sum(count) FILTER (outcome = 'review') / sum(count), 0) AS held,
       coalesce(100 * sum(count) FILTER (outcome = 'block') / sum(count), 0) AS blocked,
       sum(count)::BIGINT AS judged
FROM risk_outcomes_by_minute WHERE minute >= $begin AND minute < $until GROUP BY step ORDER BY step
""",
    _draw_course,
    note="percent of those judged",
)

LATENCY = Tile(
    "latency",
    "Time to a verdict",
    "How long did the fraud flow take, and did that change?",
    """
SELECT time_bucket($step, recorded_at) AS step, quantile_cont(latency_ms, 0.5) AS p50_ms,
       quantile_cont(latency_ms, 0.99) AS p99_ms, count(*) AS verdicts
FROM verdicts WHERE recorded_at >= $since AND recorded_at < $until AND $sampled(recorded_at)
GROUP BY step ORDER BY step
""",
    _draw_latency,
    note="from the payment's record, ms; sampled",
    nothing="The fraud flow gave no verdict in this time.",
)

REASONS = Tile(
    "reasons",
    "Reasons",
    "Why were payments flagged, held or blocked?",
    """
SELECT reason, count(*) FILTER (outcome = 'flag') AS flagged, count(*) FILTER (outcome = 'review') AS held,
       count(*) FILTER (outcome = 'block') AS blocked, count(*) AS verdicts
FROM (SELECT unnest(reasons) AS reason, outcome FROM verdicts
      WHERE recorded_at >= $since AND recorded_at < $until AND outcome <> 'allow')
GROUP BY reason ORDER BY verdicts DESC, reason LIMIT 12
""",
    _draw_reasons,
    nothing="No verdict had a reason in this time.",
)

# All verdicts joined with what the stand-in decided would read the payment of each. Few verdicts are no `allow`;
# of few payments DuckDB looks up the blocks; what is long is read of the newest.
LATE = Tile(
    "late",
    "Late verdicts",
    "Which verdicts came after the stand-in had decided, and would have decided otherwise?",
    """
WITH stood_in AS MATERIALIZED (
    SELECT id, created_at, risk_outcome AS applied_outcome FROM payments
    WHERE risk_source = 'stand_in' AND created_at >= $since - INTERVAL 7 DAY AND created_at < $until
), stopped AS MATERIALIZED (
    SELECT id, applied_outcome FROM stood_in WHERE applied_outcome <> 'allow' ORDER BY created_at DESC LIMIT 40
), differs AS (
    SELECT recorded_at, payment, applied_outcome FROM verdicts JOIN stood_in ON stood_in.id = verdicts.payment
    WHERE recorded_at >= $since AND recorded_at < $until AND outcome <> 'allow' AND outcome <> applied_outcome
    UNION ALL
    SELECT recorded_at, payment, applied_outcome FROM verdicts JOIN stopped ON stopped.id = verdicts.payment
    WHERE recorded_at >= $since AND recorded_at < $until AND outcome = 'allow'
), newest AS MATERIALIZED (FROM differs ORDER BY recorded_at DESC LIMIT 20)
SELECT v.recorded_at, v.payment, applied_outcome, v.outcome, v.score, v.reasons
FROM newest JOIN verdicts v ON v.payment = newest.payment AND v.recorded_at = newest.recorded_at
WHERE v.recorded_at >= (SELECT min(recorded_at) FROM newest) ORDER BY v.recorded_at DESC
""",
    lambda table, look: tables.table(LATE_COLUMNS, late(table, look), "Late verdicts"),
    note="the newest 20, a week late at most; of what was stopped the last 40 are looked at",
    nothing="Every verdict that differs came in time.",
)
