"""Tiles of the books: the month as it was posted, what accounts come to, what moved, and whether all agrees."""

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.look import Look
from dashboards.page import html
from dashboards.tables import Cell, Column
from dashboards.tile import Tile
from dashboards.wording import account_words, routed_to

MONTH = [Column("Processor"), Column("Currency"), Column("Captures", "right", wide=True)]
MONTH += [Column("Captured", "right"), Column("Reversed", "right", wide=True)]
MONTH += [Column("Refunds", "right", wide=True), Column("Refunded", "right"), Column("Net", "right")]
BALANCES = [Column("Account"), Column("Currency"), Column("Comes to", "right")]
BALANCES += [Column(title, "right", wide=True) for title in ("Entries", "Last moved")]
LEDGER = [Column("Account"), Column("Authorized", "right", wide=True)]
LEDGER += [Column(title, "right") for title in ("Sold", "Captured")]
LEDGER += [Column(title, "right", wide=True) for title in ("Voided", "Reversed")]
LEDGER += [Column("Refunded", "right"), Column("Together", "right")]
DIFFERS = [Column("Processor"), Column("Currency"), Column("What")]
DIFFERS += [Column(title, "right", wide=True) for title in ("By the ledger", "By the payments")]
DIFFERS += [Column("Difference", "right")]
WHOLE = "The whole comparison, with the processors' own records, is made on the machine: sluice reconcile"


def _draw_month(table: Table, _look: Look) -> None:
    lines: list[list[Cell | str]] = []
    for _, name, currency, captures, captured, undone, refunds, refunded, net in table.rows:
        sums = (captured, undone, refunded, net)
        amounts = [formats.amount(minor, currency) if minor else formats.NONE for minor in sums]
        counts = [formats.count(captures), formats.count(refunds)]
        lines.append(
            [routed_to(name), currency, counts[0], amounts[0], amounts[1], counts[1], amounts[2], amounts[3]]
        )
    tables.table(MONTH, lines, "Captures and refunds of the month")


def _draw_balances(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            Cell(account_words(kind, party, name or ""), party if name else ""),
            currency,
            formats.amount(minor, currency),
            formats.count(entries),
            look.shown(last, seconds=False),
        ]
        for kind, party, name, currency, minor, entries, last in table.rows
    ]
    tables.table(BALANCES, lines, "Balances by account and currency")


def _draw_ledger(table: Table, _look: Look) -> None:
    lines: list[list[Cell | str]] = []
    for currency, kind, party, *moved in table.rows:
        name = account_words(kind, party) if kind else f"All accounts, {currency}"
        lines.append([name, *(formats.amount(minor, currency) if minor else formats.NONE for minor in moved)])
        if not kind and not moved[-1]:
            lines[-1][-1] = Cell(formats.amount(0, currency), tone="succeeded")
    tables.table(LEDGER, lines, "What moved in the ledger, by account and kind")


def _draw_differences(table: Table, _look: Look) -> None:
    lines: list[list[Cell | str]] = []
    for name, currency, what, ledger, payments in table.rows:
        shown = [formats.amount(minor, currency) for minor in (ledger, payments, ledger - payments)]
        lines.append([routed_to(name), currency, what, shown[0], shown[1], Cell(shown[2], tone="failed")])
    tables.table(DIFFERS, lines, "What differs between ledger and payments")
    html("nothing.html", words=WHOLE)


MONTH_MONEY = Tile(
    "month-money",
    "Captures and refunds of the month",
    "What did the books post in this month (UTC) as captured and refunded, whenever the payment was made?",
    """
SELECT strftime(month, '%Y-%m') AS month, processor, currency,
       coalesce(sum(entries) FILTER (kind IN ('sale', 'capture')), 0)::BIGINT AS captures,
       -coalesce(sum(amount) FILTER (kind IN ('sale', 'capture')), 0)::BIGINT AS captured,
       coalesce(sum(amount) FILTER (kind NOT IN ('sale', 'capture', 'refund')), 0)::BIGINT AS reversed,
       coalesce(sum(entries) FILTER (kind = 'refund'), 0)::BIGINT AS refunds,
       coalesce(sum(amount) FILTER (kind = 'refund'), 0)::BIGINT AS refunded, -sum(amount)::BIGINT AS net
FROM ledger_by_day JOIN (SELECT TRY_CAST($id || '-01' AS DATE) AS month) ON date_trunc('month', day) = month
WHERE account = 'due:' || merchant
GROUP BY month, processor, currency ORDER BY currency, processor
""",
    _draw_month,
    note="by the day it was posted, UTC",
    nothing="Nothing was captured or refunded in this month.",
    for_merchants=True,
    fills=False,
)
BALANCES_NOW = Tile(
    "balances",
    "Balances",
    "What is held and what is due, by account and currency, now (those of processors, then the largest)?",
    """
SELECT kind, party, trading_name, currency, amount, entries, updated_at
FROM balances LEFT JOIN merchants ON merchants.id = party
WHERE amount <> 0
ORDER BY kind, party LIKE 'acc\\_%' ESCAPE '\\', currency, abs(amount) DESC LIMIT 60
""",
    _draw_balances,
    note="now; what processors owe us is positive, what we owe merchants negative",
    nothing="Every account comes to 0.",
    for_merchants=True,
)
LEDGER_MOVED = Tile(
    "ledger-moved",
    "What moved in the ledger",
    "What did each kind of operation move on each account in this time, and does it come to 0?",
    """
WITH by_account AS (
    SELECT currency, account, kind, sum(amount) AS amount FROM ledger
    WHERE recorded_at >= $since AND recorded_at < $until AND currency = $id GROUP BY ALL
), moved AS (
    SELECT currency, split_part(account, ':', 1) AS side, kind, amount,
           CASE WHEN account LIKE '%:acc\\_%' ESCAPE '\\' THEN 'merchants'
                ELSE split_part(account, ':', 2) END AS party
    FROM by_account
)
SELECT currency, side, party,
       coalesce(sum(amount) FILTER (kind = 'authorize'), 0)::BIGINT AS authorized,
       coalesce(sum(amount) FILTER (kind = 'sale'), 0)::BIGINT AS sold,
       coalesce(sum(amount) FILTER (kind = 'capture'), 0)::BIGINT AS captured,
       coalesce(sum(amount) FILTER (kind = 'void'), 0)::BIGINT AS voided,
       coalesce(sum(amount) FILTER (kind = 'reversal'), 0)::BIGINT AS reversed,
       coalesce(sum(amount) FILTER (kind = 'refund'), 0)::BIGINT AS refunded, sum(amount)::BIGINT AS together
FROM moved GROUP BY GROUPING SETS ((currency, side, party), (currency))
ORDER BY side NULLS LAST, party = 'merchants', party
""",
    _draw_ledger,
    note="by the time it was posted",
    nothing="Nothing moved in this currency in this time.",
)
# Where the sums of all differ, what lies on its way between two topics is looked at payment by payment and left
# out: it is no difference yet. That is what came less than 30 s before the newest of the topic that lags behind
# the other; what is older than an hour is a difference, whatever lags.
DIFFERENCES = Tile(
    "differences",
    "Reconciliation",
    "Does the ledger say the same as the payments about what was captured and refunded, ever?",
    """
WITH sums AS (
    SELECT processor, currency, CASE kind WHEN 'refund' THEN 'refunded' ELSE 'captured' END AS what,
           CASE kind WHEN 'refund' THEN -amount ELSE amount END AS by_ledger, 0 AS by_payments
    FROM ledger_by_day WHERE account = 'due:' || processor
    UNION ALL SELECT processor, currency, 'captured', 0, amount_captured FROM payments_by_day
    UNION ALL SELECT processor, currency, 'refunded', 0, amount_refunded FROM payments_by_day
), totals AS MATERIALIZED (
    SELECT processor, currency, what, sum(by_ledger) AS by_ledger, sum(by_payments) AS by_payments
    FROM sums GROUP BY ALL
), heard AS MATERIALIZED (
    SELECT greatest(least((SELECT max(recorded_at) FROM payments), (SELECT max(recorded_at) FROM ledger)),
                    now()::TIMESTAMP - INTERVAL 1 HOUR) AS up_to
), young AS MATERIALIZED (
    SELECT id FROM payments WHERE recorded_at > (SELECT up_to FROM heard) - INTERVAL 30 SECOND
    UNION SELECT payment FROM ledger WHERE recorded_at > (SELECT up_to FROM heard) - INTERVAL 30 SECOND
), looked_at AS (
    SELECT id FROM young WHERE EXISTS (FROM totals WHERE by_ledger <> by_payments)
), posted AS (
    SELECT processor, currency, kind, amount FROM ledger
    WHERE account = 'due:' || processor AND payment IN (FROM looked_at)
), told AS (
    SELECT processor, currency, amount_captured, amount_refunded FROM payments WHERE id IN (FROM looked_at)
), both_sides AS (
    FROM totals
    UNION ALL SELECT processor, currency, 'captured', -amount, 0 FROM posted WHERE kind <> 'refund'
    UNION ALL SELECT processor, currency, 'refunded', amount, 0 FROM posted WHERE kind = 'refund'
    UNION ALL SELECT processor, currency, 'captured', 0, -amount_captured FROM told
    UNION ALL SELECT processor, currency, 'refunded', 0, -amount_refunded FROM told
)
SELECT processor, currency, what, sum(by_ledger)::BIGINT AS by_ledger, sum(by_payments)::BIGINT AS by_payments
FROM both_sides GROUP BY processor, currency, what
HAVING sum(by_ledger) <> sum(by_payments) ORDER BY currency, processor, what
""",
    _draw_differences,
    note="all that was ever booked",
    nothing=f"All agree: ledger and payments tell the same of every currency and processor. {WHOLE}",
)
