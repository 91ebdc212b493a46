"""`sluice replay`: a file becomes real payments, once however often it is run, and a summary is printed."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.end_to_end.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

COUNT = "SELECT count(*) FROM idempotency_keys WHERE key LIKE ?"
ROWS = """
    SELECT i AS tx_id, TIMESTAMP '2019-05-01 08:00:00' + i * INTERVAL 10 MINUTE AS ts, i % 9 AS card_id,
           i % 4 AS merchant_id, CASE WHEN i % 20 = 7 THEN 0 ELSE 10 + i / 8 END AS amount, i % 10 = 3 AS is_fraud
    FROM range(60) t(i)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 transactions ten minutes apart; 3 of them are of nothing, 6 are fraud."""
    path = tmp_path_factory.mktemp("replay") / "transactions.parquet"
    with duckdb.connect() as db:
        db.sql(ROWS).write_parquet(str(path))
    return path


def summary_of(stack: Stack, *arguments: str) -> dict[str, Any]:
    code, out, err = stack.says("replay", *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_run_pays_labels_and_measures_and_a_resumed_one_pays_nothing_twice(stack: Stack, file: Path) -> None:
    first = summary_of(stack, str(file), "--run", "test-a", "--label-delay", "2h", "--rate", "20")
    assert (first["payments"], first["skipped"]) == (57, 3)
    assert sum(first["outcomes"].values()) == 57
    assert set(first["outcomes"]) <= {"captured", "in_review", "declined"}
    assert first["labels"] == 45  # those of the last two hours are not due yet
    assert first["per_second"] <= 20.5
    measured = (first["latency_ms"], first["verdict_ms"], first["warehouse_age_ms"])
    assert all(0 < each["p50"] <= each["p99"] for each in measured)
    again = summary_of(stack, str(file), "--run", "test-a", "--label-delay", "2h")
    assert again["outcomes"] == first["outcomes"]
    assert stack.count(COUNT, "test-a-%") == 57


def test_a_part_of_a_file_in_another_currency(stack: Stack, file: Path) -> None:
    part = summary_of(stack, str(file), "--run", "test-b", "--offset", "10", "--limit", "5", "--currency", "JPY")
    assert part["payments"] == 5
    amounts = stack.books("SELECT amount FROM payments WHERE currency = 'JPY' ORDER BY occurred_at")
    assert [amount for (amount,) in amounts] == [11, 11, 12, 12, 12]  # no minor units: whole yen


def test_captures_in_parts_and_refunds_follow_and_a_resumed_run_repeats_none(stack: Stack, file: Path) -> None:
    shares = ("--parts", "1", "--refunds", "0.5")
    options = (str(file), "--run", "test-d", "--offset", "20", "--limit", "30", *shares)
    given_back = "SELECT count(*) FROM refunds WHERE status = 'succeeded'"
    before = stack.count(given_back)  # other tests of this stack refund too
    first = summary_of(stack, *options)
    assert min(first["captures"], first["refunds"], first["voids"]) > 0
    assert stack.count(given_back) - before == first["refunds"]
    again = summary_of(stack, *options)
    asked = ("outcomes", "captures", "voids", "refunds", "refused")
    assert [again[name] for name in asked] == [first[name] for name in asked]
    left = "SELECT count(*) FROM payments WHERE state IN ('authorized', 'partially_captured')"
    assert stack.count(left) == 0, "no hold is left"
    stack.reconcile()


def test_a_refusal_is_one_line_that_says_how_to_resume(stack: Stack, file: Path) -> None:
    summary_of(stack, str(file), "--run", "test-c", "--limit", "3")
    code, out, err = stack.says("replay", str(file), "--run", "test-c", "--limit", "3", "--currency", "USD")
    assert (code, out) == (1, "")
    assert "422 idempotency_key_reused; resume with --run test-c" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_what_cannot_be_replayed_is_said_before_anything_is_sent(stack: Stack, file: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_text("no transactions")
    assert "notes.parquet" in stack.says("replay", str(tmp_path / "notes.parquet"))[2]
    assert "not a currency" in stack.says("replay", str(file), "--currency", "XXX")[2]
    assert "not a duration" in stack.says("replay", str(file), "--label-delay", "soon")[2]
