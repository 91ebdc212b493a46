"""Tables of the processors: why payments were declined, who took over from whom, what is open, what was sold."""

from datetime import UTC

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.look import Look
from dashboards.tables import Cell, Column, payment_href
from dashboards.tile import Tile
from dashboards.wording import BEFORE_ANY, NAMES, WHOSE, decline_words, routed_to
from schemas.times import now

KIND_WORDS = {"order": "order", "authorize": "authorization"}  # of others the kind itself


def decline_rows(table: Table) -> list[list[Cell | str]]:
    """A row for each reason, the most frequent first: whose no it was, and how often by processor."""
    counts: dict[str, dict[str, int]] = {}
    for code, processor, count in table.rows:
        counts.setdefault(code, {})[processor or ""] = count
    everything = sum(sum(by.values()) for by in counts.values())
    rows: list[list[Cell | str]] = []
    for code, by in sorted(counts.items(), key=lambda item: -sum(item[1].values())):
        said, total = decline_words(code), sum(by.values())
        of_each = [formats.count(by[name]) if name in by else "" for name in (*NAMES, "")]
        share = formats.percent(total, everything)
        rows.append([said.reason, WHOSE[said.whose], *of_each, Cell(formats.count(total), share)])
    return rows


def _draw_declines(table: Table, _look: Look) -> None:
    columns = [
        Column("Reason"),
        Column("Who said no", wide=True),
        *(Column(name, "right", wide=True) for name in (*NAMES.values(), BEFORE_ANY)),
        Column("Payments", "right"),
    ]
    tables.table(columns, decline_rows(table), "Declines by reason")


DECLINES_BY_REASON = Tile(
    "processor_declines",
    "Why payments were declined",
    "Why were payments declined, by whom, and at which processor?",
    """
SELECT decline_code, processor, count(*) AS payments FROM payments
WHERE created_at >= $since AND created_at < $until AND state IN ('declined', 'failed') AND decline_code IS NOT NULL
GROUP BY ALL ORDER BY payments DESC
""",
    _draw_declines,
    note="payments that ended declined or failed",
    nothing="No payment was declined in this time.",
)


def failover_rows(table: Table) -> list[list[Cell | str]]:
    """A row for each processor: how often it was asked, and after or before another one."""
    return [
        [routed_to(name), *(formats.count(count) for count in counts[:-1]), _rescued(counts[-2], counts[-1])]
        for name, *counts in table.rows
    ]


def _rescued(passed_on: int, rescued: int) -> Cell:
    return Cell(formats.count(rescued), formats.percent(rescued, passed_on) if passed_on else "")


def _draw_failovers(table: Table, _look: Look) -> None:
    titles = ("Attempts", "Taken over", "Passed on", "of these approved")
    columns = [Column("Processor"), *(Column(title, "right") for title in titles)]
    tables.table(columns, failover_rows(table), "Attempts and failovers")


# Calls are read twice, and few of them: DuckDB would keep a part that both read, of all calls of the period.
FAILOVERS = Tile(
    "processor_failovers",
    "Attempts and failovers",
    "How often did one processor take over from another, and did that help?",
    """
WITH asked AS (
    SELECT processor, sum(count)::BIGINT AS attempts, sum(if(took_over, count, 0))::BIGINT AS taken_over
    FROM operations_by_minute
    WHERE kind IN ('authorize', 'sale') AND minute >= $since AND minute < $until GROUP BY processor
), following AS MATERIALIZED (
    SELECT payment, attempt_number - 1 AS attempt_number, status FROM operations
    WHERE attempt_number > 1 AND kind IN ('authorize', 'sale') AND created_at >= $since AND created_at < $until
), followed AS (
    SELECT c.processor, count(*) AS passed_on, count(*) FILTER (n.status = 'succeeded') AS rescued
    FROM operations c JOIN following n USING (payment, attempt_number)
    WHERE kind IN ('authorize', 'sale') AND created_at >= $since AND created_at < $until
      AND (c.status <> 'succeeded' OR c.sequence > 1)
    GROUP BY c.processor
)
SELECT processor, attempts, taken_over, coalesce(passed_on, 0) AS passed_on, coalesce(rescued, 0) AS rescued
FROM asked LEFT JOIN followed USING (processor) ORDER BY attempts DESC
""",
    _draw_failovers,
    note="passed on: the next processor was asked",
)


def open_rows(table: Table) -> list[list[Cell | str]]:
    """A row for each call whose end is not known, the oldest first."""
    moment = now()
    return [
        [
            Cell(payment[:4] + "…" + payment[-6:], href=payment_href(payment)),
            routed_to(processor),
            KIND_WORDS.get(kind, kind),
            formats.money(amount, currency),
            formats.age((moment - at.replace(tzinfo=UTC)).total_seconds()),
        ]
        for payment, processor, kind, amount, currency, at, _ in table.rows
    ]


def _draw_open(table: Table, _look: Look) -> None:
    columns = [Column("Payment", id=True), Column("Processor"), Column("Call"), Column("Amount", "right")]
    tables.table([*columns, Column("Open for", "right")], open_rows(table), "Calls without an answer")
    more = table.rows[0][-1] - len(table.rows)
    if more > 0:
        tables.table([Column("")], [[f"and {formats.count(more)} younger ones"]], "How many more")


OPEN = Tile(
    "processor_open",
    "Calls without an answer",
    "Of which calls is the end not known, and for how long?",
    """
SELECT payment, processor, kind, amount, currency, created_at, count(*) OVER () AS open
FROM operations WHERE status = 'unknown' ORDER BY created_at LIMIT 8
""",
    _draw_open,
    note="now, the oldest first; each is looked up again and again",
    nothing="Every call has an end.",
)


def volume_rows(table: Table) -> list[list[Cell | str]]:
    """A row for each currency and processor, with its share of the currency's payments."""
    totals: dict[str, int] = {}
    for currency, _, count, *_ in table.rows:
        totals[currency] = totals.get(currency, 0) + count
    return [
        [
            currency,
            routed_to(processor),
            Cell(formats.count(count), formats.percent(count, totals[currency])),
            *(formats.amount(minor, currency) for minor in sums),
        ]
        for currency, processor, count, *sums in table.rows
    ]


def _draw_volumes(table: Table, _look: Look) -> None:
    titles = ("Asked", "Captured", "Refunded")
    columns = [Column("Currency"), Column("Processor"), Column("Payments", "right")]
    tables.table(
        [*columns, *(Column(title, "right", wide=title == "Asked") for title in titles)],
        volume_rows(table),
        "Volumes by currency and processor",
    )


VOLUMES_BY_PROCESSOR = Tile(
    "processor_volumes",
    "What went through each",
    "How much went through each processor, by currency?",
    """
SELECT currency, processor, sum(count)::BIGINT AS payments, sum(amount)::BIGINT AS asked,
       sum(amount_captured)::BIGINT AS captured, sum(amount_refunded)::BIGINT AS refunded
FROM payments_by_$grain WHERE $grain >= $begin AND $grain < $until
GROUP BY ALL ORDER BY currency, payments DESC
""",
    _draw_volumes,
    note="by currency; amounts of two are never added",
)
