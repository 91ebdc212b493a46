"""DuckDB looks for a batch's rows where they can be: an old payment among them does not make it read the rest."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.analytics import stored_payments, versions
from flows.analytics.spans import LISTED_MAX, SPANS_MAX, among, during, one_of, spans, within
from tests.flows.analytics.conftest import Kept

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
BLOCK = 122_880  # rows of a block of DuckDB
PAYMENTS = 1_000_000


def scanned(kept: Kept, statement: str) -> int:
    """How many rows of its tables DuckDB reads for a statement: whole blocks, unless it skips them."""
    [(_, plan)] = kept.warehouse._con.execute(f"EXPLAIN (ANALYZE, FORMAT json) {statement}").fetchall()

    def total(node: dict[str, Any]) -> int:
        is_scan = "TABLE_SCAN" in node.get("operator_type", "")
        return (node["operator_rows_scanned"] if is_scan else 0) + sum(map(total, node["children"]))

    return total(json.loads(plan))


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=60))
def test_spans_hold_every_moment_and_are_few(seconds: list[int]) -> None:
    moments = {BEGAN + timedelta(seconds=s) for s in seconds}
    found = spans(moments)
    assert len(found) <= SPANS_MAX
    assert all(any(first <= moment <= last for first, last in found) for moment in moments)
    assert found == sorted(found)
    assert {edge for span in found for edge in span} <= moments, "they are no wider than they have to be"


def test_what_is_close_is_one_span_and_what_is_not_two() -> None:
    now, soon, old = BEGAN, BEGAN + timedelta(seconds=50), BEGAN - timedelta(days=9)
    assert spans({now, soon, old}) == [(old, old), (now, soon)]
    assert spans({now}) == [(now, now)]


def test_many_moments_are_a_range() -> None:
    moments = {BEGAN + timedelta(seconds=n) for n in range(LISTED_MAX + 1)}
    assert among("minute", moments) == "minute >= TIMESTAMP '2026-01-01 00:00:00'"
    assert among("minute", {BEGAN}) == "minute IN (TIMESTAMP '2026-01-01 00:00:00')"


@pytest.fixture
def full(kept: Kept) -> Kept:
    """A million payments, a second apart."""
    kept.ask(
        "INSERT INTO store.payments (id, sequence, created_at) SELECT 'pay_' || range, 1,"
        f" TIMESTAMP '2026-01-01' + to_seconds(range) FROM range({PAYMENTS})"
    )
    return kept


def test_a_batch_with_an_old_payment_reads_two_blocks_or_three(full: Kept) -> None:
    """The short form of `python -m benchmarks.warehouse --part batches`."""
    births = {n: BEGAN + timedelta(seconds=n) for n in (100_000, PAYMENTS - 2, PAYMENTS - 1)}
    assert scanned(full, "FROM store.payments SELECT max(id)") == PAYMENTS, "as all of them would be counted"
    ids = [f"pay_{n}" for n in births]
    there, wanted = spans(set(births.values())), one_of("id", ids).replace("$ids", str(ids))
    find = stored_payments.FIND.format(columns="id", there=within("store.payments", there), wanted=wanted)
    assert scanned(full, find) < 4 * BLOCK
    given = {"$ids": str(ids), "$ends": str(["2026-11-01"] * len(ids))}
    for statement, column in ((versions.REPLACE, "p.created_at"), (versions.FORGET, "created_at")):
        each = [statement.format(created=during(span, column), wanted=wanted) for span in there]
        each = [sql.replace("$ids", given["$ids"]).replace("$ends", given["$ends"]) for sql in each]
        assert sum(scanned(full, sql) for sql in each) < 4 * BLOCK
