"""What the page of reviews asks the warehouse: what waits and why, and what a case's payer and card did before."""

from datetime import datetime
from typing import Literal

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.look import Look
from dashboards.subject_tiles import COLUMN
from dashboards.tables import Cell, Column, payment_href
from dashboards.tile import Tile
from dashboards.tiles.processors import APPROVED, REFUSED
from dashboards.wording import words
from schemas.states import STATUS
from schemas.times import now

LATEST = 8  # payments of a payer or card
OPEN_COLUMNS = [
    Column("Currency"),
    *(Column(name, "right") for name in ("Open", "Amount", "Expected loss")),
    Column("No score", "right", wide=True),
    Column("Oldest", "right"),
]
WHY_COLUMNS = [Column("Reason"), Column("Open", "right"), Column("Oldest", "right")]
FIGURE_COLUMNS = [
    Column("Currency"),
    *(Column(name, "right") for name in ("Payments", "Approved", "Refused", "Captured", "Refunded")),
]
LATEST_COLUMNS = [Column("Time"), Column("State"), Column("Amount", "right"), Column("Risk", "right")]


def _age(moment: datetime) -> str:
    return formats.age((now() - moment).total_seconds())


def _draw_open(table: Table, _look: Look) -> None:
    lines = []
    for currency, count, amount, loss, unscored, oldest in table.rows:
        expected = formats.NONE if loss is None else formats.amount(loss, currency)
        counted = formats.count(unscored) if unscored else formats.NONE
        money = formats.amount(amount, currency)
        lines.append([currency, formats.count(count), money, expected, counted, _age(oldest)])
    tables.table(OPEN_COLUMNS, lines, "Open reviews by currency")


def _draw_why(table: Table, _look: Look) -> None:
    lines = [[words(reason), formats.count(count), _age(oldest)] for reason, count, oldest in table.rows]
    tables.table(WHY_COLUMNS, lines, "Open reviews by reason")


def _draw_figures(table: Table, _look: Look) -> None:
    lines = [
        [currency, *map(formats.count, counts), *(formats.amount(minor, currency) for minor in sums)]
        for currency, *counts, captured, refunded in table.rows
        for sums in [(captured, refunded)]
    ]
    tables.table(FIGURE_COLUMNS, lines, "Figures by currency")


def _draw_latest(table: Table, look: Look) -> None:
    lines = []
    for payment, at, state, amount, currency, outcome, score in table.rows:
        scored = formats.NONE if score is None else f"{score:.2f}"
        risk = Cell(outcome or formats.NONE, scored if outcome else "", outcome or "")
        money = Cell(formats.amount(amount, currency), currency)
        when = Cell(look.shown(at), href=payment_href(payment))
        lines.append([when, Cell(words(state), tone=STATUS[state]), money, risk])
    tables.table(LATEST_COLUMNS, lines, "Last payments")


OPEN = Tile(
    "reviews-open",
    "Waiting",
    "How many payments wait for a person, how much money is that, and what may it cost?",
    """
WITH waiting AS MATERIALIZED (FROM reviews WHERE decision IS NULL)
SELECT currency, count(*)::BIGINT AS open, sum(amount)::BIGINT AS amount,
       sum(round(amount * score))::BIGINT AS expected_loss,
       count(*) FILTER (score IS NULL)::BIGINT AS without_score, min(opened_at) AS oldest
FROM waiting LEFT JOIN (SELECT payment, score FROM verdicts) USING (payment)
GROUP BY currency ORDER BY open DESC, currency
""",
    _draw_open,
    note="by currency",
    nothing="Nothing waits for a person.",
    fills=False,
    calm=True,
)
WHY = Tile(
    "reviews-why",
    "Why",
    "For which reasons do payments wait?",
    """
SELECT reason, count(*)::BIGINT AS open, min(opened_at) AS oldest
FROM (SELECT unnest(reasons) AS reason, opened_at FROM reviews WHERE status = 'open')
GROUP BY reason ORDER BY open DESC, reason
""",
    _draw_why,
    note="a payment may have several",
    nothing="Nothing waits for a person.",
    fills=False,
)

Whose = Literal["customer", "card"]
OF_CASE = """
WITH this AS (SELECT {column}, {column}_hash FROM payments WHERE id = $id AND $born(created_at)),
paid AS (
    FROM payments WHERE {column}_hash = (SELECT {column}_hash FROM this) AND {column} = (SELECT {column} FROM this)
)"""


def figures(whose: Whose, title: str) -> Tile:
    """What the payer or the card of a payment paid besides, by currency."""
    return Tile(
        f"case-{whose}-figures",
        title,
        f"What else did this {whose} pay, how much of it was approved, refused, captured and refunded?",
        f"""{OF_CASE.format(column=COLUMN[whose])}
SELECT currency, count(*)::BIGINT AS payments,
       count(*) FILTER ({APPROVED})::BIGINT AS approved, count(*) FILTER ({REFUSED})::BIGINT AS refused,
       sum(amount_captured)::BIGINT AS captured, sum(amount_refunded)::BIGINT AS refunded
FROM paid WHERE id <> $id
GROUP BY currency ORDER BY payments DESC, currency
""",  # noqa: S608 - a column of ours
        _draw_figures,
        note="all other payments",
        nothing="It is the first payment.",
    )


def latest(whose: Whose, title: str) -> Tile:
    """The last payments of the payer or the card of a payment."""
    return Tile(
        f"case-{whose}-latest",
        title,
        f"How did the last payments of this {whose} go?",
        f"""{OF_CASE.format(column=COLUMN[whose])}
SELECT id, created_at, state, amount, currency, risk_outcome, risk_score
FROM paid WHERE id <> $id
ORDER BY created_at DESC LIMIT {LATEST}
""",  # noqa: S608 - a column of ours
        _draw_latest,
        note="newest first",
        nothing="There is no other.",
    )


CUSTOMER_FIGURES, CUSTOMER_LATEST = figures("customer", "The customer"), latest("customer", "Their last payments")
CARD_FIGURES, CARD_LATEST = figures("card", "The card"), latest("card", "Its last payments")
