"""The figures at the top of the overview: payments, approval, refunds, what was stopped, waits, age."""

from collections.abc import Sequence
from typing import NamedTuple

from connectors.warehouse import Table
from dashboards import formats
from dashboards.compared import ComparedRows, Figure, Rise, Sums, Value, Way, line, percent, row, share
from dashboards.look import Look
from dashboards.tile import Tile
from dashboards.tiles.processors import APPROVED, REFUSED


class Headline(NamedTuple):
    """One figure: what it is of the sums, how it is written, and how its change is told."""

    label: str
    value: Value
    way: Way
    rise: Rise = ""


def approved(sums: Sums) -> float | None:
    """The share of `APPROVED` among what was answered.

    `refused` counts by state what our own fraud check blocked too: minutes know no decline codes.
    """
    return share(sums["approved"], sums["approved"] + sums["refused"] - sums["blocked"])


def stopped(sums: Sums) -> float | None:
    """The share of what was judged that was held for a person or blocked."""
    return share(sums["held"] + sums["blocked"], sums["judged"])


HEADLINES = (
    Headline("Payments", lambda sums: sums["payments"], "of_it"),
    Headline("Approval rate", approved, "points", "good"),
    Headline("Held or blocked", stopped, "points"),
    Headline("Refunds", lambda sums: sums["refunds"], "of_it"),
)
OWN_HEADLINES = tuple(headline for headline in HEADLINES if headline.value is not stopped)  # no verdicts


def figure(headline: Headline, rows: ComparedRows, look: Look) -> Figure:
    """A figure of the rows."""
    value = headline.value(rows.shown())
    return Figure(
        headline.label,
        percent(value) if headline.way == "points" else formats.count(value or 0),
        course=line(rows.course(look, headline.value)),
        changes=rows.changes(look, headline.value, headline.way, headline.rise),
    )


def figures(table: Table, look: Look, headlines: Sequence[Headline] = HEADLINES) -> list[Figure]:
    """The figures of the rows of `FIGURES`, or of those of a merchant."""
    rows = ComparedRows(table)
    return [figure(headline, rows, look) for headline in headlines]


def wait(table: Table, look: Look) -> Figure:
    """The longest wait of all but one of a hundred, of the rows of `WAITS`: they are no sums, but measured."""
    rows = table.by_name()
    totals = {each["span"]: each for each in rows if each["step"] is None}
    shown = totals.get("shown", {})
    course = ComparedRows(Table(table.columns, [each for each in table.rows if each[1] is not None]))
    return Figure(
        "99th percentile",
        formats.millis(shown.get("p99_us", 0) / 1000) if shown else formats.NONE,
        note=f"median {formats.millis(shown['p50_us'] / 1000)}" if shown else "",
        course=line(course.course(look, lambda sums: sums["p99_us"] or None)),
        changes=ComparedRows(Table(table.columns, [tuple(each.values()) for each in totals.values()])).changes(
            look, lambda sums: sums["p99_us"], "of_it", "bad"
        ),
    )


def age(table: Table) -> Figure:
    """How old the oldest of all figures is, and how many records the warehouse has yet to read."""
    [(age_ms, lag)] = table.rows
    left = f"{formats.count(lag or 0)} records to read"
    if age_ms is None:
        return Figure("Data age", formats.NONE, left)
    age_s = max(0, age_ms) / 1000
    return Figure("Data age", f"{formats.rate(age_s)} s" if age_s < 60 else formats.age(age_s), left)


FIGURES = Tile(
    "figures",
    "In this period",
    "How many payments were made, approved, stopped and refunded, and how does that compare?",
    f"""
WITH told AS (
    SELECT span, since, until, $grain AS begins, sum(count) AS payments,
           sum(count) FILTER ({APPROVED}) AS approved,
           sum(count) FILTER (state IN ('declined', 'failed')) AS refused
    FROM $spans(payments_by_$grain, $grain) GROUP BY ALL
    UNION ALL BY NAME
    SELECT span, since, until, time_bucket(INTERVAL 1 $grain, minute) AS begins, sum(count) AS judged,
           sum(count) FILTER (outcome = 'review') AS held, sum(count) FILTER (outcome = 'block') AS blocked
    FROM $spans(risk_outcomes_by_minute, minute) GROUP BY ALL
    UNION ALL BY NAME
    SELECT span, since, until, time_bucket(INTERVAL 1 $grain, updated_at) AS begins, count(*) AS refunds
    FROM $spans(refunds, updated_at) WHERE status = 'succeeded' GROUP BY ALL
)
SELECT span, CASE WHEN span = 'shown' THEN time_bucket($step, begins, since) END AS step,
       begins + INTERVAL 1 $grain <= until AS is_over,
       coalesce(sum(payments), 0)::BIGINT AS payments, coalesce(sum(approved), 0)::BIGINT AS approved,
       coalesce(sum(refused), 0)::BIGINT AS refused, coalesce(sum(judged), 0)::BIGINT AS judged,
       coalesce(sum(held), 0)::BIGINT AS held, coalesce(sum(blocked), 0)::BIGINT AS blocked,
       coalesce(sum(refunds), 0)::BIGINT AS refunds
FROM told GROUP BY ALL ORDER BY ALL
""",  # noqa: S608 - our own words
    lambda table, look: row(figures(table, look)),
    nothing="No payment was made in this time.",
    as_of=True,
)

# Of a merchant's own payments there are few enough to count them one by one; what our own gate blocked of them is
# no refusal (`REFUSED`), and none has to be taken off.
OWN_FIGURES = Tile(
    "own-figures",
    "In this period",
    "How many payments were made to us, approved and refunded, and how does that compare?",
    f"""
WITH told AS (
    SELECT span, since, until, time_bucket(INTERVAL 1 $grain, created_at) AS begins, count(*) AS payments,
           count(*) FILTER ({APPROVED}) AS approved, count(*) FILTER ({REFUSED}) AS refused
    FROM $spans(payments, created_at) GROUP BY ALL
    UNION ALL BY NAME
    SELECT span, since, until, time_bucket(INTERVAL 1 $grain, updated_at) AS begins, count(*) AS refunds
    FROM $spans(refunds, updated_at) WHERE status = 'succeeded' GROUP BY ALL
)
SELECT span, CASE WHEN span = 'shown' THEN time_bucket($step, begins, since) END AS step,
       begins + INTERVAL 1 $grain <= until AS is_over,
       coalesce(sum(payments), 0)::BIGINT AS payments, coalesce(sum(approved), 0)::BIGINT AS approved,
       coalesce(sum(refused), 0)::BIGINT AS refused, 0 AS blocked, coalesce(sum(refunds), 0)::BIGINT AS refunds
FROM told GROUP BY ALL ORDER BY ALL
""",  # noqa: S608 - our own words
    lambda table, look: row(figures(table, look, OWN_HEADLINES)),
    nothing="No payment was made in this time.",
    for_merchants=True,
)

WAITS = Tile(
    "waits",
    "Verdict wait",
    "How long did payments wait for their verdict?",
    """
SELECT span, CASE WHEN span = 'shown' THEN time_bucket($step, created_at, since) END AS step, TRUE AS is_over,
       count(*) AS waited, (1000 * quantile_cont(waited_ms, 0.5))::BIGINT AS p50_us,
       (1000 * quantile_cont(waited_ms, 0.99))::BIGINT AS p99_us
FROM $spans(payments, created_at) WHERE waited_ms IS NOT NULL AND $sampled(created_at)
GROUP BY GROUPING SETS ((span), (span, step)) HAVING step IS NOT NULL OR grouping(step) = 1 ORDER BY ALL
""",
    lambda table, look: row([wait(table, look)]),
    note="sampled",
    nothing="No payment waited in this time.",
    as_of=True,
)

AGE = Tile(
    "age",
    "Pipeline",
    "How far are these figures behind the books?",
    "SELECT max(age_ms)::BIGINT AS age_ms, sum(lag)::BIGINT AS records_to_read FROM pipeline_health",
    lambda table, _look: row([age(table)]),
)
