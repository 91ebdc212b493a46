"""What was learned of payments later, and what that says of the verdicts: of the model, and in money."""

from collections.abc import Callable
from typing import Any

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.locales import reader
from dashboards.look import Look
from dashboards.tables import Cell, Column
from dashboards.tile import Tile

MODEL_COLUMNS = [
    Column("Model"),
    *(Column(title, "right") for title in ("Labels", "Frauds", "Expected")),
    Column("Score of frauds", "right", wide=True),
    Column("Score of good ones", "right", wide=True),
    Column("Brier", "right"),
]
MONEY_COLUMNS = [
    Column("Currency"),
    *(Column(title, "right") for title in ("Caught", "Missed", "Wrongly stopped")),
]
LABEL_COLUMNS = [Column("Said by"), *(Column(title, "right") for title in ("Fraud", "Good", "Not scored"))]


def quality(table: Table) -> list[list[Cell | str]]:
    """A line for each model."""
    return [
        [
            formats.plain(model, 40),
            formats.count(labels),
            formats.count(frauds),
            reader().number(expected, 1),
            *(formats.NONE if value is None else f"{value:.3f}" for value in measured),
        ]
        for model, labels, frauds, expected, *measured in table.rows
    ]


def money(table: Table) -> list[list[Cell | str]]:
    """A line for each currency: what was caught, missed and wrongly stopped, with the number of payments."""
    return [_money(row) for row in table.by_name()]


def _money(row: dict[str, Any]) -> list[Cell | str]:
    currency = row["currency"]

    def cell(name: str) -> Cell | str:
        count, minor = row[f"{name}_payments"], row[name]
        return Cell(formats.amount(minor, currency), _payments(count)) if count else formats.NONE

    return [currency, cell("caught"), cell("missed"), cell("stopped_good")]


def _payments(count: int) -> str:
    return f"{formats.count(count)} payment{'' if count == 1 else 's'}"


def labels(table: Table) -> list[list[Cell | str]]:
    """A line for each source of labels."""
    return [[formats.plain(said_by, 40), *map(formats.count, counts)] for said_by, *counts in table.rows]


def _drawn(
    columns: list[Column], lines: Callable[[Table], list[list[Cell | str]]], about: str
) -> Callable[[Table, Look], None]:
    return lambda table, _look: tables.table(columns, lines(table), about)


QUALITY = Tile(
    "quality",
    "Quality of the model",
    "Do its scores hold against the labels that came in?",
    """
SELECT model, sum(labels)::BIGINT AS labels, sum(frauds)::BIGINT AS frauds,
       sum(expected_frauds) AS expected_frauds,
       sum(score_fraud * frauds) / nullif(sum(frauds), 0) AS score_fraud,
       sum(score_good * (labels - frauds)) / nullif(sum(labels - frauds), 0) AS score_good,
       sum(brier * labels) / sum(labels) AS brier
FROM model_quality WHERE hour >= date_trunc('hour', $since) AND hour < $until
GROUP BY model ORDER BY labels DESC LIMIT 10
""",
    _drawn(MODEL_COLUMNS, quality, "Quality by model"),
    note="by whole hours of the label; Brier: 0 is perfect",
    nothing="No label of a scored payment came in this time.",
)

# The last word about a payment counts: a label, or without one the person who approved its review.
MONEY = Tile(
    "fraud-money",
    "In money",
    "How much fraud was caught and missed, and how much that was good was stopped?",
    """
WITH told AS (
    SELECT payment, arg_max(label, recorded_at) AS label FROM labels WHERE occurred_at >= $since - INTERVAL 1 DAY
    GROUP BY payment
), reviewed AS (
    SELECT payment, bool_or(decision = 'approve' AND decided_by IS NOT NULL) AS is_approved
    FROM reviews WHERE opened_at >= $since AND kind = 'held' GROUP BY payment
), known AS (
    SELECT currency, amount, amount_captured, risk_outcome IN ('review', 'block') AS is_stopped,
           coalesce(label, CASE WHEN is_approved THEN 'good' END) AS label
    FROM payments LEFT JOIN told ON told.payment = payments.id LEFT JOIN reviewed ON reviewed.payment = payments.id
    WHERE created_at >= $since AND created_at < $until AND (label IS NOT NULL OR is_approved)
)
SELECT currency,
       count(*) FILTER (label = 'fraud' AND is_stopped AND amount_captured = 0) AS caught_payments,
       coalesce(sum(amount) FILTER (label = 'fraud' AND is_stopped AND amount_captured = 0), 0)::BIGINT AS caught,
       count(*) FILTER (label = 'fraud' AND amount_captured > 0) AS missed_payments,
       coalesce(sum(amount_captured) FILTER (label = 'fraud'), 0)::BIGINT AS missed,
       count(*) FILTER (label = 'good' AND is_stopped) AS stopped_good_payments,
       coalesce(sum(amount) FILTER (label = 'good' AND is_stopped), 0)::BIGINT AS stopped_good
FROM known GROUP BY currency ORDER BY count(*) DESC, currency
""",
    _drawn(MONEY_COLUMNS, money, "Caught, missed and wrongly stopped by currency"),
    note="payments of this period that a label or a review judged since",
    nothing="Nothing is known yet of the payments of this time.",
)

LABELS = Tile(
    "labels",
    "Labels that came in",
    "Who said what about payments?",
    """
SELECT source, count(*) FILTER (label = 'fraud') AS frauds, count(*) FILTER (label = 'good') AS good,
       count(*) FILTER (score IS NULL) AS not_scored
FROM labels WHERE recorded_at >= $since AND recorded_at < $until
GROUP BY source ORDER BY count(*) DESC, source LIMIT 12
""",
    _drawn(LABEL_COLUMNS, labels, "Labels by source"),
    nothing="No label came in this time.",
)
