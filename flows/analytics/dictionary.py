"""The data dictionary: every view and column of the warehouse, as their comments say it.

`python -m flows.analytics.dictionary` writes the page docs/data-dictionary.md, which a test holds current.
"""

from pathlib import Path

import duckdb

from flows.analytics.warehouse import make_schema
from schemas.topics import (
    ACCOUNTS,
    ALERTS,
    CONTROLS,
    DEAD_LETTER,
    LABELS,
    NOTIFICATIONS,
    OPERATIONS,
    PAYMENTS,
    REVIEWS,
    RISK,
)

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"

OURS = "–"  # of no topic: what the warehouse itself says
ORIGINS = {
    "payments": PAYMENTS.name,
    "refunds": PAYMENTS.name,
    "payments_by_minute": PAYMENTS.name,
    "payments_by_hour": PAYMENTS.name,
    "payments_by_day": PAYMENTS.name,
    "operations": OPERATIONS.name,
    "operations_by_minute": OPERATIONS.name,
    "attempts": OPERATIONS.name,
    "ledger": OPERATIONS.name,
    "ledger_by_day": OPERATIONS.name,
    "balances": OPERATIONS.name,
    "reviews": REVIEWS.name,
    "risk": RISK.name,
    "verdicts": RISK.name,
    "risk_outcomes_by_minute": PAYMENTS.name,
    "labels": LABELS.name,
    "model_quality": LABELS.name,
    "alerts": ALERTS.name,
    "rules": CONTROLS.name,
    "lists": CONTROLS.name,
    "controls": CONTROLS.name,
    "accounts": ACCOUNTS.name,
    "merchants": ACCOUNTS.name,
    "notifications": NOTIFICATIONS.name,
    "dead_letters": DEAD_LETTER.name,
    "pipeline_health": OURS,
}
# Columns of another origin than their view.
ELSEWHERE = {
    ("risk", "waited_ms"): PAYMENTS.name,
    ("risk", "applied_outcome"): PAYMENTS.name,
    ("risk", "applied_source"): PAYMENTS.name,
}

HEAD = """# The data dictionary

Every view of the warehouse and every column, as the warehouse itself says it (`duckdb_columns()`). Questions and
their statements are in [sql.md](sql.md). Names and columns are a contract: columns may be added at the end, none
is lost. The tables behind them (schema `store`) are not. *Topic* says where a column comes from
([consumers.md](consumers.md)); what has none is the warehouse's own.

`make schemas` writes this page from the comments in `flows/analytics/`.
"""
COMMENTS = "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal"
COLUMNS = """
SELECT column_name, data_type, comment FROM duckdb_columns()
WHERE schema_name = 'main' AND table_name = $view ORDER BY column_index
"""


def page() -> str:
    """The whole page, as Markdown."""
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("LOAD json")
        make_schema(con)
        abouts = dict(con.execute(COMMENTS).fetchall())
        # A view without a place in ORIGINS comes last, so that whoever adds one sees it.
        views = [*ORIGINS, *sorted(abouts.keys() - ORIGINS.keys())]
        return "\n".join([HEAD, *(_section(con, view, abouts[view]) for view in views)])


def _section(con: duckdb.DuckDBPyConnection, view: str, about: str) -> str:
    lines = [f"## {view}", "", about, "", "| column | type | topic | meaning |", "|---|---|---|---|"]
    for column, type, meaning in con.execute(COLUMNS, {"view": view}).fetchall():
        lines.append(f"| `{column}` | {type} | {_origin(view, column)} | {meaning} |")
    return "\n".join([*lines, ""])


def _origin(view: str, column: str) -> str:
    return OURS if column == "ingested_at" else ELSEWHERE.get((view, column), ORIGINS.get(view, OURS))


if __name__ == "__main__":
    PAGE.write_text(page())
