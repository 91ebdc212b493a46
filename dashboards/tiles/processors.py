"""The health of each processor: what it approves, how fast it answers, what it left without an answer."""

from typing import Any

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.look import Look
from dashboards.page import html
from dashboards.tile import Tile
from dashboards.wording import NAMES, processor_name

# What "approved" and "refused" mean of payments, on every page. Approved: the issuer said yes, whatever became of
# it since; a payment in review has a processor where it was authorized before. Refused: a processor said no, or
# failed; what our own fraud check blocked was asked of nobody. Neither: what is open or unknown, and what was
# voided, which no longer says. The page Processors counts calls: `succeeded` of the authorizations and sales that
# were asked.
APPROVED = "(processor IS NOT NULL AND state IN ('authorized', 'partially_captured', 'captured', 'in_review'))"
REFUSED = "(state IN ('declined', 'failed') AND decline_code IS DISTINCT FROM 'blocked')"
# A call that failed, is unknown, or was unknown before it was found, is lost; a decline is an answer. A processor
# fails that lost more than a fifth of the calls of a quarter of an hour, where there are enough to say so.
LOST = "count(*) FILTER (status IN ('failed', 'unknown') OR sequence > 1)"
CALLS_MIN, LOST_MAX = 10, 0.2
FAILS = f"count(*) >= {CALLS_MIN} AND {LOST} > {LOST_MAX} * count(*)"


class ProcessorLine(msgspec.Struct, frozen=True):
    """One processor: `width` of its bar and `part` of the work in percent, `rate` of what it approved to read.

    `answered`, `unknown`: payments; `lost`: calls. `p50` and `p99`: how long its calls take.
    """

    name: str
    width: float
    rate: str
    part: str
    answered: int
    unknown: int
    lost: int
    p50: str
    p99: str
    fails: bool


def health(table: Table) -> list[ProcessorLine]:
    """The health of each processor that was asked, in the order of `NAMES`."""
    rows = table.by_name()
    all_asked = sum(row["approved"] + row["refused"] + row["unknown"] for row in rows)
    order = {name: place for place, name in enumerate(NAMES)}
    rows.sort(key=lambda row: order.get(row["processor"], len(order)))
    return [_health(row, all_asked) for row in rows]


def _health(row: dict[str, Any], all_asked: int) -> ProcessorLine:
    answered = row["approved"] + row["refused"]
    return ProcessorLine(
        processor_name(row["processor"]),
        100 * row["approved"] / answered if answered else 0,
        formats.percent(row["approved"], answered),
        formats.percent(answered + row["unknown"], all_asked),
        answered,
        row["unknown"],
        row["lost"],
        formats.millis(row["p50_ms"]),
        formats.millis(row["p99_ms"]),
        bool(row["fails"]),
    )


def _draw(table: Table, _look: Look) -> None:
    html("processors.html", processors=health(table))


PROCESSORS = Tile(
    "processors",
    "Processors",
    "Does each processor approve, answer, and answer fast?",
    f"""
WITH paid AS (
    SELECT processor,
           count(*) FILTER ({APPROVED}) AS approved, count(*) FILTER ({REFUSED}) AS refused,
           count(*) FILTER (state = 'unknown') AS unknown
    FROM payments WHERE created_at >= $until - INTERVAL 15 MINUTE AND created_at < $until
      AND processor IS NOT NULL AND decline_code IS DISTINCT FROM 'blocked'
    GROUP BY processor
), called AS (
    SELECT processor, {LOST} AS lost, {FAILS} AS fails,
           quantile_cont(milliseconds, 0.5) FILTER (sequence = 1) AS p50_ms,
           quantile_cont(milliseconds, 0.99) FILTER (sequence = 1) AS p99_ms
    FROM operations WHERE created_at >= $until - INTERVAL 15 MINUTE AND created_at < $until GROUP BY processor
)
SELECT processor, coalesce(approved, 0) AS approved, coalesce(refused, 0) AS refused,
       coalesce(unknown, 0) AS unknown, coalesce(lost, 0) AS lost, coalesce(fails, FALSE) AS fails, p50_ms, p99_ms
FROM paid FULL JOIN called USING (processor) ORDER BY processor
""",  # noqa: S608 - our own words
    _draw,
    note="the last 15 minutes",
    nothing="No processor was asked in the last 15 minutes.",
    for_merchants=True,
)
