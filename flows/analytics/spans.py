"""Where in a table DuckDB has to look for the rows of a batch: it skips the blocks and vectors that hold none.

A batch holds what is happening now, and now and then an old payment that is captured or refunded. One range over
both would read everything in between, and a list of times only skips blocks of 122,880 rows: the others are read
whole.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sized
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from schemas.times import as_utc

Span = tuple[datetime, datetime]

APART = timedelta(minutes=1)  # what is closer lies in the same vectors
SPANS_MAX = 12  # each is a scan of its own, half a millisecond
LISTED_MAX = 1000
COMPARED_MAX = 200


def in_utc(moment: datetime) -> datetime:
    """`moment` in UTC, as which it is taken where it has no zone. Raises `OverflowError`: UTC has no such time."""
    return moment if moment.tzinfo is UTC else as_utc(moment).astimezone(UTC)


def stored(moment: datetime) -> datetime:
    """A moment as the columns of the tables have it: UTC without saying so."""
    return in_utc(moment).replace(tzinfo=None)


def spans(moments: Collection[datetime]) -> list[Span]:
    """The first and last moment of each cluster; there are `SPANS_MAX` at most, and they hold all moments."""
    ordered = sorted(moments)
    apart = [(later - earlier, later) for earlier, later in pairwise(ordered) if later - earlier > APART]
    begins = sorted([ordered[0], *(later for _, later in sorted(apart, reverse=True)[: SPANS_MAX - 1])])
    return [
        (begin, ordered[bisect_left(ordered, end) - 1] if end else ordered[-1])
        for begin, end in zip(begins, [*begins[1:], None], strict=True)
    ]


def within(table: str, there: Iterable[Span], clock: str = "created_at") -> str:
    """The rows of a table of which a time is in one of these spans (UTC), as a subquery."""
    return " UNION ALL ".join(f"FROM {table} WHERE {during(span, clock)}" for span in there)


def during(span: Span, clock: str = "created_at") -> str:
    """The condition that a time of a row is in a span (UTC)."""
    return f"{clock} BETWEEN {literal(span[0])} AND {literal(span[1])}"


def one_of(column: str, ids: Sized) -> str:
    """The condition that a column is one of the texts `$ids`; a join pays where there are many."""
    return f"{column} IN $ids" if len(ids) <= COMPARED_MAX else f"{column} IN (SELECT unnest($ids::VARCHAR[]))"


def among(column: str, moments: Collection[datetime]) -> str:
    """A condition that is true where `column` is one of `moments` (UTC); of too many, or at a later time."""
    if len(moments) > LISTED_MAX:
        return f"{column} >= {literal(min(moments))}"
    return f"{column} IN ({', '.join(map(literal, moments))})"


def literal(moment: datetime) -> str:
    """A moment (UTC) in SQL."""
    return f"TIMESTAMP '{stored(moment)}'"
