"""What is asked about one customer, card or merchant: the same questions of each, over its own payments.

`Subject` says which column of `payments` its id stands in. Each page makes its tiles of one.
"""

from typing import Any, Literal

import msgspec

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.look import Look
from dashboards.page import COLOURS, chart, html, points
from dashboards.tables import Cell, Column, linked, payment_href
from dashboards.tile import Tile
from dashboards.tiles.processors import APPROVED, REFUSED
from dashboards.tiles.throughput import STATUSES
from dashboards.wording import decline_words, listed, paid_with, state_words, words
from schemas.states import STATUS

Subject = Literal["customer", "card", "merchant"]
COLUMN: dict[Subject, str] = {"customer": "customer", "card": "instrument", "merchant": "merchant"}
RIGHT = ("Payments", "Approved", "Captured", "Refunded", "Frauds")
FIGURES = [Column("Currency"), *(Column(title, "right", wide=title == "Refunded") for title in RIGHT)]
LATEST = [
    *(Column("Time"), Column("State"), Column("Amount", "right"), Column("Paid with", wide=True)),
    *(Column("Risk"), Column("Payment", wide=True, id=True)),
]
DECLINES = [Column("Reason"), Column("Payments", "right"), Column("Share", "right"), Column("Last", "right")]
REVIEWS = [Column("Opened"), Column("Amount", "right"), Column("Why"), Column("Payment", wide=True, id=True)]
IN_TIME = "created_at >= $since AND created_at < $until"


class Together(msgspec.Struct, frozen=True):
    """What a subject is used together with: `other` is a column of `payments`, `title` the tile's."""

    other: Subject
    title: str
    head: str
    question: str
    note: str = ""


def figures(subject: Subject) -> Tile:
    """How much, how well, and how much fraud, by currency."""
    return Tile(
        f"{subject}-figures",
        "Figures",
        f"How much was paid by this {subject}, how much of it approved, captured, refunded, and fraud?"
        if subject != "merchant"
        else "How much was paid to this merchant, how much of it approved, captured, refunded, and fraud?",
        f"""
WITH paid AS (
    SELECT id, currency, state, processor, decline_code, amount_captured, amount_refunded
    FROM payments WHERE $is({COLUMN[subject]}) AND {IN_TIME}
),
told AS (
    SELECT payment, arg_max(label, recorded_at) AS label FROM labels
    WHERE payment IN (SELECT id FROM paid) GROUP BY payment
)
SELECT currency, count(*)::BIGINT AS payments,
       count(*) FILTER ({APPROVED})::BIGINT AS approved,
       count(*) FILTER ({REFUSED})::BIGINT AS refused,
       sum(amount_captured)::BIGINT AS captured, sum(amount_refunded)::BIGINT AS refunded,
       count(*) FILTER (label = 'fraud')::BIGINT AS frauds, count(label)::BIGINT AS labels
FROM paid LEFT JOIN told ON told.payment = paid.id
GROUP BY currency ORDER BY payments DESC, currency
""",  # noqa: S608 - a column of ours
        _draw_figures,
        note="by currency",
        nothing="No payment in this time.",
        fills=False,
    )


def _draw_figures(table: Table, _look: Look) -> None:
    lines = []
    for row in table.by_name():
        answered = row["approved"] + row["refused"]
        sums = (formats.amount(row[name], row["currency"]) for name in ("captured", "refunded"))
        fraud = Cell(formats.NONE)
        if row["labels"]:
            labelled = f"of {formats.count(row['labels'])} labelled"
            fraud = Cell(formats.count(row["frauds"]), labelled, "block" if row["frauds"] else "")
        approved = formats.percent(row["approved"], answered)
        lines.append([row["currency"], formats.count(row["payments"]), approved, *sums, fraud])
    tables.table(FIGURES, lines, "Figures by currency")


def course(subject: Subject) -> Tile:
    """Payments over time, by how they ended."""
    return Tile(
        f"{subject}-course",
        "Course",
        "When were there payments, and how did they end?",
        f"""
SELECT time_bucket($step, created_at) AS step, status, count(*)::BIGINT AS payments FROM payments
WHERE $is({COLUMN[subject]}) AND {IN_TIME} GROUP BY ALL ORDER BY step
""",  # noqa: S608 - a column of ours
        lambda table, look: _draw_course(table, look, f"{subject}-course-chart"),
        note="payments by status",
        nothing="No payment in this time.",
        fills=False,
    )


def _draw_course(table: Table, look: Look, key: str) -> None:
    counted = {(step, status): payments for step, status, payments in table.rows}
    steps = sorted({step for step, _ in counted})
    series: list[dict[str, Any]] = [
        {
            "name": status,
            "type": "bar",
            "stack": "payments",
            "barMaxWidth": 14,
            "itemStyle": {"color": COLOURS[status]},
            "data": points(look, steps, [counted.get((step, status), 0) for step in steps]),
        }
        for status in STATUSES
    ]
    about = f"{sum(counted.values())} payments in {len(steps)} steps"
    chart(key, about, "", 190, series, look)


def latest(subject: Subject) -> Tile:
    """The newest payments, each of which leads to its page."""
    return Tile(
        f"{subject}-latest",
        "Latest payments",
        "What was paid last, and what became of it?",
        f"""
SELECT created_at, state, amount, currency, method, brand, last4, risk_outcome, risk_score, decline_code, id
FROM payments WHERE $is({COLUMN[subject]}) AND {IN_TIME} ORDER BY created_at DESC, id DESC LIMIT 15
""",  # noqa: S608 - a column of ours
        _draw_latest,
        note="15 at most",
        nothing="No payment in this time.",
        fills=False,
    )


def _draw_latest(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = []
    for row in table.by_name():
        href = payment_href(row["id"])
        score = "" if row["risk_score"] is None else f"{row['risk_score']:.2f}"
        state = row["state"]
        end = Cell(state_words(state), words(row["decline_code"]), STATUS[state])
        risk = Cell(row["risk_outcome"] or formats.NONE, score, row["risk_outcome"] or "")
        amount = formats.money(row["amount"], row["currency"])
        time = Cell(look.shown(row["created_at"]), href=href)
        lines.append([time, end, amount, instrument(row), risk, Cell(row["id"], href=href)])
    tables.table(LATEST, lines, "Latest payments")


def declines(subject: Subject) -> Tile:
    """Why payments did not go through."""
    return Tile(
        f"{subject}-declines",
        "Declines",
        "Why did payments not go through?",
        f"""
SELECT coalesce(decline_code, state) AS reason, count(*)::BIGINT AS payments, max(created_at) AS last_at,
       sum(count(*)) OVER ()::BIGINT AS refused
FROM payments WHERE $is({COLUMN[subject]}) AND {IN_TIME} AND state IN ('declined', 'failed')
GROUP BY ALL ORDER BY payments DESC, reason
""",  # noqa: S608 - a column of ours
        _draw_declines,
        note="by reason",
        nothing="Nothing was declined in this time.",
        fills=False,
    )


def _draw_declines(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            decline_words(row["reason"]).reason,
            formats.count(row["payments"]),
            formats.percent(row["payments"], row["refused"]),
            look.shown(row["last_at"]),
        ]
        for row in table.by_name()
    ]
    tables.table(DECLINES, lines, "Declines by reason")


def open_reviews(subject: Subject) -> Tile:
    """What waits for a person, whenever it was held."""
    theirs = (
        "merchant = $id"
        if subject == "merchant"
        else f"payment IN (SELECT id FROM payments WHERE $is({COLUMN[subject]}))"  # noqa: S608 - a column of ours
    )
    return Tile(
        f"{subject}-open-reviews",
        "Open reviews",
        "Which payments wait for a person?",
        f"""
SELECT id, opened_at, amount, currency, reasons, payment FROM reviews
WHERE decision IS NULL AND {theirs} ORDER BY opened_at LIMIT 20
""",  # noqa: S608 - a column of ours
        _draw_reviews,
        note="the oldest 20, of any time",
        nothing="Nothing waits for a person.",
        fills=False,
    )


def _draw_reviews(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            Cell(look.shown(row["opened_at"]), href=f"reviews?review={row['id']}"),
            formats.money(row["amount"], row["currency"]),
            listed(row["reasons"]),
            Cell(row["payment"], href=payment_href(row["payment"])),
        ]
        for row in table.by_name()
    ]
    tables.table(REVIEWS, lines, "Open reviews")


def together(subject: Subject, with_what: Together) -> Tile:
    """Cards, customers or merchants that a subject was used with, and how many distinct ones there are."""
    other = COLUMN[with_what.other]
    shown = ", ".join(f"any_value({name}) AS {name}" for name in ("method", "brand", "last4"))
    return Tile(
        f"{subject}-{with_what.other}s",
        with_what.title,
        with_what.question,
        f"""
WITH used AS (
    SELECT {other} AS other, {shown}, count(*)::BIGINT AS payments,
           count(*) FILTER ({REFUSED})::BIGINT AS refused, max(created_at) AS last_at,
           count(*) OVER ()::BIGINT AS distinct_ones
    FROM payments WHERE $is({COLUMN[subject]}) AND {other} IS NOT NULL AND {IN_TIME}
    GROUP BY {other} ORDER BY payments DESC, other LIMIT 10
)
SELECT used.*, m.trading_name FROM used LEFT JOIN merchants m ON m.id = used.other ORDER BY payments DESC, other
""",  # noqa: S608 - columns of ours
        lambda table, look: _draw_together(table, look, with_what),
        note=with_what.note or "the 10 used most",
        nothing="No payment in this time.",
        fills=False,
    )


def _draw_together(table: Table, look: Look, with_what: Together) -> None:
    heads = ("Payments", "Refused", "Last")
    columns = [Column(with_what.head), *(Column(title, "right") for title in heads)]
    rows = table.by_name()
    lines: list[list[Cell | str]] = [
        [
            Cell(
                instrument(row) if with_what.other == "card" else row["trading_name"] or row["other"],
                href=linked(with_what.other, row["other"]),
            ),
            formats.count(row["payments"]),
            formats.count(row["refused"]),
            look.shown(row["last_at"]),
        ]
        for row in rows
    ]
    html("distinct.html", count=rows[0]["distinct_ones"], what=with_what.title.lower())
    tables.table(columns, lines, with_what.title)


def instrument(row: dict[str, Any]) -> str:
    """`Visa ···· 4242`, or `PayPal`, of a row with `method`, `brand` and `last4`."""
    return paid_with(row["method"], row["brand"], row["last4"])
