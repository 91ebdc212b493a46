"""A hash over the rows of the views, to compare two warehouses by: of the same records it is the same.

It knows nothing of the order of rows, of when they were written here (`ingested_at`), nor of what lies outside of
the span. Each row counts by the MD5 of its JSON; these add up per view, and SHA-256 makes one hash of the sums.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from connectors.records import Place
from flows.analytics.spans import literal

# Views that say nothing of a span of payments that another warehouse would say too, and why.
NOT_HASHED = {
    "pipeline_health": "how far this warehouse is",
    "alerts": "their topic forgets them after 90 days",
    "dead_letters": "their topic forgets them after 30 days",
    "attempts": "one that was pruned in part begins later",
}
TIMES = ("created_at", "opened_at", "minute", "hour", "day", "recorded_at")  # the first of them tells the span
OF_THE_MOMENT = ("ingested_at", "open_s")  # columns that depend on when somebody wrote or asks

COLUMNS = """
SELECT c.table_name, list(c.column_name ORDER BY c.column_index)
FROM duckdb_columns() c JOIN duckdb_views() v ON v.view_name = c.table_name AND v.schema_name = c.schema_name
WHERE c.schema_name = 'main' AND NOT v.internal GROUP BY ALL ORDER BY ALL
"""
OF_A_VIEW = """
SELECT '{view}' AS name, NULL AS partition, count(*) AS n, sum(md5_number_lower(row))::VARCHAR AS low,
       sum(md5_number_upper(row))::VARCHAR AS high
FROM (SELECT to_json(v)::VARCHAR AS row FROM (SELECT COLUMNS(c -> c NOT IN {omitted}) FROM {view}{span}) v)
"""
OFFSETS = "SELECT topic, partition, next_offset, NULL, NULL FROM pipeline_health"

Ask = Callable[[str], Sequence[tuple[Any, ...]]]  # the rows of a statement


class HashedSpan(msgspec.Struct, frozen=True):
    """Of which rows: created since `begin` and before `end`, UTC; None: from or to wherever there are any."""

    begin: datetime | None = None
    end: datetime | None = None


class ViewHash(msgspec.Struct, frozen=True):
    """The rows of the views in a span, at offsets: `views` has a text per view, in which their number stands."""

    views: Mapping[str, str]
    offsets: Mapping[Place, int]

    @property
    def digest(self) -> str:
        """One hash of all views: 64 hexadecimal digits."""
        told = "".join(f"{view} {text}\n" for view, text in sorted(self.views.items()))
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def rows(self) -> int:
        """How many rows it was made of."""
        return sum(int(text.split()[0]) for text in self.views.values())


def view_hash(ask: Ask, span: HashedSpan) -> ViewHash:
    """The hash of what a warehouse has now, by one statement: offsets and rows are of one moment."""
    columns = {view: names for view, names in ask(COLUMNS) if view not in NOT_HASHED}
    rows = ask(" UNION ALL ".join([*(_of(view, names, span) for view, names in columns.items()), OFFSETS]))
    views = {name: f"{n} {low or 0} {high or 0}" for name, partition, n, low, high in rows if partition is None}
    offsets = {(name, partition): n for name, partition, n, _, _ in rows if partition is not None}
    return ViewHash(views, offsets)


def differing(one: ViewHash, other: ViewHash) -> list[str]:
    """The views whose rows differ."""
    names = sorted({*one.views, *other.views})
    return [name for name in names if one.views.get(name) != other.views.get(name)]


def _of(view: str, columns: Sequence[str], span: HashedSpan) -> str:
    time = next((column for column in TIMES if column in columns), None)
    return OF_A_VIEW.format(view=view, omitted=OF_THE_MOMENT, span=_where(time, span) if time else "")


def _where(time: str, span: HashedSpan) -> str:
    edges = [f"{time} {sign} {literal(at)}" for sign, at in ((">=", span.begin), ("<", span.end)) if at]
    return f" WHERE {' AND '.join(edges)}" if edges else ""
