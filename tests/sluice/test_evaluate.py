"""`sluice evaluate`: the metrics on small lists, and the command on a file of our own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
from click.testing import CliRunner

from sluice.evaluate import EvaluationReport, evaluate
from sluice.fraud_metrics import RankedPayment, measure_week, rank_metrics

START = 100


def test_rank_metrics_of_a_perfect_a_reversed_and_a_blind_ranking() -> None:
    assert rank_metrics([(0.9, True), (0.8, True), (0.2, False), (0.1, False)]) == (1.0, 1.0)
    auc, precision = rank_metrics([(0.9, False), (0.8, False), (0.2, True), (0.1, True)])
    assert (auc, precision) == (0.0, pytest.approx((1 / 3 + 2 / 4) / 2))
    assert rank_metrics([(0.5, True), (0.5, False), (0.5, False), (0.5, False)]) == (0.5, 0.25)


def test_a_list_without_fraud_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="all frauds, or none"):
        rank_metrics([(0.5, False)])


def scored(day: int, card: str, fraud: bool, score: float) -> RankedPayment:
    return RankedPayment(START + day, card, fraud, score)


def test_a_card_known_to_be_compromised_is_left_out_from_the_eighth_day_on() -> None:
    week = [
        scored(-5, "a", True, 0.9),
        scored(2, "a", False, 0.99),  # day 2 knows the frauds up to day -6 only
        scored(3, "a", False, 0.99),  # left out
        scored(3, "b", True, 0.5),
        scored(3, "c", False, 0.1),
    ]
    assert measure_week(week, START).average_precision == pytest.approx(1 / 2)
    assert measure_week([s for s in week if s.day != START + 2], START).average_precision == 1.0


def test_card_precision_looks_at_a_hundred_cards_and_leaves_out_those_caught() -> None:
    first = [scored(0, f"c{n}", n < 30, 1 - n / 1000) for n in range(200)]
    again = [scored(1, f"c{n}", n < 30, 1 - n / 1000) for n in range(200)]
    assert measure_week(first, START).card_precision_100 == pytest.approx(0.3 / 7)
    assert measure_week([*first, *again], START).card_precision_100 == pytest.approx(0.3 / 7)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Fifty days; merchant 1 leaks all along, and one payment has no amount."""
    path = tmp_path / "made.parquet"
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        (n, begin + timedelta(minutes=30 * n), n % 37, n % 11, float(n % 90), n % 11 == 1 and n % 3 == 0)
        for n in range(50 * 48)
    ]
    with duckdb.connect() as db:
        db.execute(
            "CREATE TABLE t (tx_id INT, ts TIMESTAMP, card_id INT, merchant_id INT, amount DOUBLE, is_fraud INT)"
        )
        db.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", [(*r[:1], r[1].replace(tzinfo=None), *r[2:]) for r in rows]
        )
        db.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    return path


def test_the_command_prints_the_measures_of_each_week(file: Path) -> None:
    ran = CliRunner().invoke(evaluate, [str(file)])
    assert ran.exit_code == 0, ran.output
    found = msgspec.json.decode(ran.output, type=EvaluationReport)
    assert found.payments == 2400
    assert list(found.weeks) == ["2026-01-23", "2026-01-30", "2026-02-06", "2026-02-13"]
    assert 0.5 < found.mean.auc_roc <= 1
    assert found.mean.average_precision == pytest.approx(
        sum(week.average_precision for week in found.weeks.values()) / 4, abs=1e-4
    )
    assert sum(found.outcomes.values()) == pytest.approx(1, abs=1e-3)
    assert found.per_cpu_second > 0


def test_labels_at_once_measure_better_and_a_week_can_be_named(file: Path) -> None:
    ran = [
        CliRunner().invoke(evaluate, [str(file), "--label-delay", delay, "--test-weeks", "2026-01-23"])
        for delay in ("0s", "21d")
    ]
    at_once, late = (msgspec.json.decode(each.output, type=EvaluationReport) for each in ran)
    assert list(at_once.weeks) == ["2026-01-23"]
    assert at_once.mean.average_precision > late.mean.average_precision


def test_texts_zones_and_what_is_missing_change_nothing_but_the_count(tmp_path: Path, file: Path) -> None:
    """The same payments with ids of text and times with a zone, and with rows beside them that are none."""
    other = tmp_path / "other.parquet"
    same = "tx_id::VARCHAR AS tx_id, ts AT TIME ZONE 'UTC' AS ts, chr(65 + card_id)::VARCHAR AS card_id"
    same += ", merchant_id::DOUBLE AS merchant_id, amount, is_fraud::DOUBLE AS is_fraud"
    broken = (
        "('a', NULL, 'b', 1, 5, 0), ('c', now(), 'd', 'nan'::DOUBLE, 5, 0), ('e', now(), 'f', 1, 'nan'::DOUBLE, 0)"
    )
    no_label = "('g', TIMESTAMPTZ '2026-01-01 00:00:00Z', 'h', 1, 5, NULL)"
    with duckdb.connect() as db:
        db.execute(f"COPY (SELECT {same} FROM '{file}' UNION ALL VALUES {broken}, {no_label}) TO '{other}'")
    plain, wide = (CliRunner().invoke(evaluate, [str(each)]) for each in (file, other))
    assert wide.exit_code == 0, wide.output
    found, expected = (msgspec.json.decode(ran.output, type=EvaluationReport) for ran in (wide, plain))
    assert (found.payments, found.frauds) == (expected.payments, expected.frauds)
    assert found.left_out == {"no amount": 1, "no label": 1, "no merchant_id": 1, "no ts since 1970": 1}
    assert found.mean.auc_roc == pytest.approx(expected.mean.auc_roc, abs=0.02)


def test_what_is_no_labelled_file_is_one_clear_line(tmp_path: Path, file: Path) -> None:
    bad, unlabelled = tmp_path / "bad.parquet", tmp_path / "unlabelled.parquet"
    bad.write_text("no parquet")
    with duckdb.connect() as db:
        db.execute(f"COPY (SELECT * EXCLUDE is_fraud FROM '{file}') TO '{unlabelled}'")
    missing = [str(tmp_path / "missing.parquet")]
    for arguments in ([str(bad)], [str(unlabelled)], missing, [str(file), "--test-weeks", "2030-01-01"]):
        ran = CliRunner().invoke(evaluate, arguments)
        assert ran.exit_code == 1
        assert ran.output.startswith("Error: ")
        assert ran.output.count("\n") == 1
    assert CliRunner().invoke(evaluate, [str(file), "--currency", "XXX"]).exit_code == 2
    assert CliRunner().invoke(evaluate, [str(file), "--test-weeks", "monday"]).exit_code == 2


def test_reviews_tell_early_what_a_label_would_tell_late(file: Path) -> None:
    late = [str(file), "--label-delay", "21d", "--test-weeks", "2026-01-23"]
    ran = [CliRunner().invoke(evaluate, [*late, *more]) for more in ([], ["--reviews-per-day", "3"])]
    alone, reviewed = (msgspec.json.decode(each.output, type=EvaluationReport) for each in ran)
    assert (alone.reviews_per_day, reviewed.reviews_per_day) == (0, 3)
    assert reviewed.mean.average_precision > alone.mean.average_precision


def test_keys_made_up_of_the_card_alone_change_no_score(file: Path) -> None:
    ran = [CliRunner().invoke(evaluate, [str(file), *more]) for more in ([], ["--derive-keys"])]
    own, filled = (msgspec.json.decode(each.output, type=EvaluationReport) for each in ran)
    assert filled.weeks == own.weeks
