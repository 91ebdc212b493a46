"""Tiles of money that moves: volumes and their course, the largest of them, what is open, and what was refunded.

Amounts of two currencies are never added nor compared: a tile that needs one currency has it as its `$id`.
"""

from collections.abc import Sequence
from typing import Any

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.look import Look
from dashboards.page import COLOURS, chart, points
from dashboards.tables import Cell, Column, payment_href
from dashboards.tile import Tile
from dashboards.wording import decline_words, routed_to, state_words
from schemas.money import UnknownCurrency, unit

SUMS = [Column("Payments", "right", wide=True), Column("Asked", "right", wide=True)]
SUMS += [Column(title, "right") for title in ("Captured", "Refunded", "Net")]
LARGEST = [Column("Payment", id=True), Column("State"), Column("Processor", wide=True), Column("Amount", "right")]
LARGEST += [Column("When", "right", wide=True)]
OPEN = [Column("What"), *(Column(title, "right") for title in ("Amount", "How many"))]
OPEN += [Column(title, "right", wide=True) for title in ("Under 1 h", "Under 1 day", "Under 7 days", "Older")]
OPEN += [Column("Oldest", "right")]
REFUNDS = [Column("Currency"), Column("Refunds", "right", wide=True)]
REFUNDS += [Column(title, "right") for title in ("Refunded", "Pending", "Refused")]
REFUNDS += [Column(title, "right", wide=True) for title in ("Half within", "99% within")]
FAILURES = [Column("Reason"), Column("Processor"), Column("Refunds", "right"), Column("Amount", "right")]
FAILURES += [Column("Last", "right", wide=True)]
OPEN_WORDS = {"held": "Held, not captured", "refund": "Refund pending", "unknown": "Processor silent"}


def _sums(currency: str, count: int, sums: Sequence[int]) -> list[str]:
    return [formats.count(count), *(formats.amount(minor, currency) for minor in sums)]


def _draw_volumes(table: Table, _look: Look) -> None:
    lines = [[currency, *_sums(currency, count, sums)] for currency, count, *sums in table.rows]
    tables.table([Column("Currency"), *SUMS], lines, "Volumes by currency")


def _draw_by_processor(table: Table, _look: Look) -> None:
    lines = [[routed_to(name), *_sums(currency, count, sums)] for currency, name, count, *sums in table.rows]
    tables.table([Column("Processor"), *SUMS], lines, "Volumes by processor")


def _draw_course(table: Table, look: Look) -> None:
    currency = table.rows[0][1]
    try:
        whole = unit(currency)
    except UnknownCurrency:
        whole = 1
    times = [row[0] for row in table.rows]
    names = ((2, "asked", "quiet", "line"), (3, "captured", "succeeded", "bar"), (4, "refunded", "failed", "bar"))
    series: list[dict[str, Any]] = [
        {"name": name, "type": kind, "color": COLOURS[colour], "showSymbol": len(times) < 3, "barMaxWidth": 18}
        | {"data": points(look, times, [row[at] / whole for row in table.rows])}
        for at, name, colour, kind in names
    ]
    chart("volume-course", f"Asked, captured and refunded in {currency}", f" {currency}", 250, series, look)


def _draw_largest(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            Cell(id, href=payment_href(id)),
            Cell(state_words(state), tone=status),
            routed_to(name),
            formats.money(minor, currency),
            look.shown(at, seconds=False),
        ]
        for id, state, status, name, minor, currency, at in table.rows
    ]
    tables.table(LARGEST, lines, "The largest")


def _draw_open(table: Table, _look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            Cell(OPEN_WORDS[what], currency),
            formats.amount(minor, currency),
            *(formats.count(count) if count else formats.NONE for count in counts),
            formats.age(oldest_s),
        ]
        for what, currency, minor, *counts, oldest_s in table.rows
    ]
    tables.table(OPEN, lines, "Open money by age")


def _draw_refunds(table: Table, _look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            currency,
            formats.count(count),
            *(_amount_of(minor, currency, count) for minor, count in ((a, b), (c, d), (e, f))),
            _seconds(p50),
            _seconds(p99),
        ]
        for currency, count, a, b, c, d, e, f, p50, p99 in table.rows
    ]
    tables.table(REFUNDS, lines, "Refunds by currency")


def _amount_of(minor: int, currency: str, count: int) -> Cell:
    return Cell(formats.amount(minor, currency), f"in {formats.count(count)}") if count else Cell(formats.NONE)


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return formats.NONE
    return formats.millis(1000 * seconds) if seconds < 60 else formats.age(seconds)


def _draw_failures(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            decline_words(code).reason if code else "No reason given",
            routed_to(name),
            formats.count(count),
            formats.money(minor, currency),
            look.shown(last, seconds=False),
        ]
        for code, name, currency, count, minor, last in table.rows
    ]
    tables.table(FAILURES, lines, "Refused refunds by reason")


VOLUMES = Tile(
    "volumes",
    "Volumes",
    "How much was sold, captured and refunded in each currency, of the payments made in this time?",
    """
SELECT currency, sum(count)::BIGINT AS payments, sum(amount)::BIGINT AS asked,
       sum(amount_captured)::BIGINT AS captured, sum(amount_refunded)::BIGINT AS refunded,
       sum(amount_captured - amount_refunded)::BIGINT AS net
FROM payments_by_$grain WHERE $grain >= $begin AND $grain < $until
GROUP BY currency ORDER BY payments DESC, currency
""",
    _draw_volumes,
    note="of the payments made in this time",
    for_merchants=True,
)
BY_PROCESSOR = Tile(
    "volumes-by-processor",
    "By processor",
    "How much of this currency did each processor capture and refund, of the payments made in this time?",
    """
SELECT currency, processor, sum(count)::BIGINT AS payments, sum(amount)::BIGINT AS asked,
       sum(amount_captured)::BIGINT AS captured, sum(amount_refunded)::BIGINT AS refunded,
       sum(amount_captured - amount_refunded)::BIGINT AS net
FROM payments_by_$grain WHERE $grain >= $begin AND $grain < $until AND currency = $id
GROUP BY currency, processor ORDER BY payments DESC, processor
""",
    _draw_by_processor,
    for_merchants=True,
)
COURSE = Tile(
    "volume-course",
    "Course",
    "When in this time were the payments made of which so much was captured and refunded?",
    """
SELECT time_bucket($step, $grain AT TIME ZONE 'UTC' AT TIME ZONE $zone) AS local_time, currency,
       sum(amount)::BIGINT AS asked, sum(amount_captured)::BIGINT AS captured,
       sum(amount_refunded)::BIGINT AS refunded
FROM payments_by_$grain WHERE $grain >= $begin AND $grain < $until AND currency = $id
GROUP BY ALL ORDER BY local_time
""",
    _draw_course,
    note="by the time of the payment",
    for_merchants=True,
)
LARGEST_PAYMENTS = Tile(
    "largest-payments",
    "Largest payments",
    "Which payments of this time ask for the most in this currency?",
    """
SELECT id, state, status, processor, amount, currency, created_at FROM payments
WHERE created_at >= $since AND created_at < $until AND currency = $id
ORDER BY amount DESC, id LIMIT 8
""",
    _draw_largest,
    as_of=True,
    for_merchants=True,
)
LARGEST_REFUNDS = Tile(
    "largest-refunds",
    "Largest refunds",
    "Which refunds asked for in this time are for the most in this currency?",
    """
SELECT payment, status AS state, status, processor, amount, currency, created_at FROM refunds
WHERE created_at >= $since AND created_at < $until AND currency = $id
ORDER BY amount DESC, id LIMIT 8
""",
    _draw_largest,
    for_merchants=True,
)
OPEN_MONEY = Tile(
    "open-money",
    "Open money",
    "How much is held and not captured, is being refunded, or hangs on a silent processor, and since when?",
    """
WITH open_money AS (
    SELECT 'held' AS what, currency, amount_capturable AS amount, created_at FROM payments
    WHERE amount_capturable > 0
    UNION ALL SELECT 'refund', currency, amount, created_at FROM refunds WHERE status = 'pending'
    UNION ALL SELECT 'unknown', currency, amount, created_at FROM payments WHERE state = 'unknown'
), aged AS (SELECT *, epoch_ms(now()::TIMESTAMP - created_at) / 1000 AS age_s FROM open_money)
SELECT what, currency, sum(amount)::BIGINT AS amount, count(*) AS all_of_it,
       count(*) FILTER (age_s < 3600) AS under_an_hour,
       count(*) FILTER (age_s >= 3600 AND age_s < 86400) AS under_a_day,
       count(*) FILTER (age_s >= 86400 AND age_s < 7 * 86400) AS under_a_week,
       count(*) FILTER (age_s >= 7 * 86400) AS older, max(age_s) AS oldest_s
FROM aged GROUP BY what, currency ORDER BY what, all_of_it DESC, currency
""",
    _draw_open,
    note="now, whenever it began",
    nothing="Nothing is open: all that was reserved was captured or let go, and no refund is pending.",
    for_merchants=True,
)
REFUNDS_BY_CURRENCY = Tile(
    "refunds",
    "Refunds",
    "How many refunds were asked for in this time, how much do they refund, and how fast?",
    """
SELECT currency, count(*) AS refunds,
       coalesce(sum(amount) FILTER (status = 'succeeded'), 0)::BIGINT AS refunded,
       count(*) FILTER (status = 'succeeded') AS succeeded,
       coalesce(sum(amount) FILTER (status = 'pending'), 0)::BIGINT AS amount_pending,
       count(*) FILTER (status = 'pending') AS pending,
       coalesce(sum(amount) FILTER (status = 'failed'), 0)::BIGINT AS amount_refused,
       count(*) FILTER (status = 'failed') AS refused,
       quantile_cont(epoch_ms(updated_at - created_at) / 1000, 0.5) FILTER (status = 'succeeded') AS p50_s,
       quantile_cont(epoch_ms(updated_at - created_at) / 1000, 0.99) FILTER (status = 'succeeded') AS p99_s
FROM refunds WHERE created_at >= $since AND created_at < $until
GROUP BY currency ORDER BY refunds DESC, currency
""",
    _draw_refunds,
    note="asked for in this time, and how they stand now",
    nothing="Nobody asked for a refund in this time.",
    for_merchants=True,
)
REFUND_FAILURES = Tile(
    "refund-failures",
    "Why refunds were refused",
    "For which reasons did processors refuse refunds that were asked for in this time?",
    """
SELECT decline_code, processor, currency, count(*) AS refunds, sum(amount)::BIGINT AS amount,
       max(updated_at) AS last_at
FROM refunds WHERE created_at >= $since AND created_at < $until AND status = 'failed'
GROUP BY decline_code, processor, currency ORDER BY refunds DESC, decline_code, processor, currency LIMIT 30
""",
    _draw_failures,
    nothing="No refund of this time was refused.",
    for_merchants=True,
)
