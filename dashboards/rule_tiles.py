"""What the warehouse knows of fraud rules: what each met in a period, live and in shadow, and in money."""

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.fraud_rules import rule_href
from dashboards.look import Look
from dashboards.tables import Cell, Column
from dashboards.tile import Tile

COLUMNS = [Column("Rule"), Column("Live", "right"), Column("Shadow", "right")]
COLUMNS += [Column("Turned out fraud", "right", wide=True), Column("Turned out good", "right", wide=True)]


def met(table: Table) -> list[list[Cell | str]]:
    """A line for each rule and currency, the rules that met most first."""
    return [
        [
            Cell(row["rule"], href=rule_href(row["rule"])),
            _counted(row["live"], row["live_amount"], row["currency"]),
            _counted(row["shadow"], row["shadow_amount"], row["currency"]),
            _counted(row["frauds"], row["fraud_amount"], row["currency"]),
            _counted(row["good"], row["good_amount"], row["currency"]),
        ]
        for row in table.by_name()
    ]


def _counted(payments: int, minor: int, currency: str) -> Cell:
    if not payments:
        return Cell(formats.NONE)
    return Cell(formats.money(minor, currency), note=formats.count(payments))


def _draw_met(table: Table, _look: Look) -> None:
    tables.table(COLUMNS, met(table), "What each rule met, by currency")


MET = Tile(
    "rules-met",
    "What the rules met",
    "Which payments did each rule meet, live and in shadow, how much money is that, and what was it?",
    """
WITH judged AS (
    SELECT payment, rules_met, shadow_met FROM verdicts
    WHERE recorded_at >= $since AND recorded_at < $until
      AND (len(rules_met) > 0 OR len(shadow_met) > 0)
), hit AS (
    SELECT payment, unnest(rules_met) AS rule, true AS is_live FROM judged
    UNION ALL SELECT payment, unnest(shadow_met), false FROM judged
), told AS (
    SELECT payment, arg_max(label, recorded_at) AS label FROM labels WHERE occurred_at >= $since - INTERVAL 1 DAY
    GROUP BY payment
)
SELECT rule, currency, count(*) FILTER (is_live) AS live,
       coalesce(sum(amount) FILTER (is_live), 0)::BIGINT AS live_amount,
       count(*) FILTER (NOT is_live) AS shadow,
       coalesce(sum(amount) FILTER (NOT is_live), 0)::BIGINT AS shadow_amount,
       count(*) FILTER (label = 'fraud') AS frauds,
       coalesce(sum(amount) FILTER (label = 'fraud'), 0)::BIGINT AS fraud_amount,
       count(*) FILTER (label = 'good') AS good,
       coalesce(sum(amount) FILTER (label = 'good'), 0)::BIGINT AS good_amount
FROM hit JOIN payments ON payments.id = hit.payment LEFT JOIN told ON told.payment = hit.payment
WHERE created_at >= $since - INTERVAL 1 DAY
GROUP BY rule, currency ORDER BY count(*) DESC, rule, currency LIMIT 100
""",
    _draw_met,
    note="amounts, and how many payments",
    nothing="No rule met a payment in this time.",
)
