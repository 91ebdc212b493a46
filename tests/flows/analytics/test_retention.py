"""Details go, and nothing that was counted of them is lost or counted twice, whenever they go."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flows.analytics import retention
from flows.analytics.settings import DAYS_MIN, WarehouseSettings
from flows.analytics.writer import transaction
from schemas.events import Event, new_event
from schemas.fraud import Label, Verdict
from schemas.payments import AppliedRisk
from schemas.settings import BadSetting
from tests.flows.analytics.conftest import BIRTH, Kept, Log, looked_after, payment, refund_step, step
from tests.flows.analytics.lives import operated, operation

AGGREGATES = ("payments_by_minute", "payments_by_day", "risk_outcomes_by_minute", "model_quality")
DAY = timedelta(days=1)
NOWHERE = Path("nowhere/warehouse.duckdb")


def at(days: float, event: Event) -> Event:
    """An event that was recorded so many days after the payment's birth."""
    moment = BIRTH + days * DAY
    return replace(event, time=moment, data=replace(event.data, recorded_at=moment))


def life(n: int) -> list[Event]:
    """A payment that is refunded a year later, its verdict and its label."""
    id, day = f"pay_{n}", n % 3
    first = payment(id=id, amount=100 + n, created_at=BIRTH + day * DAY)
    risk = AppliedRisk("allow" if n % 2 else "review", "rules", 0.1, [], "none", 3.5)
    taken = replace(
        first, state="captured", status="succeeded", amount_captured=100 + n, risk=risk, processor="visa"
    )
    taken = replace(taken, risk=risk)
    back = replace(taken, amount_refunded=40)
    return [
        at(day, step(1, None, first)),
        at(day + 0.1, step(2, "processing", taken)),
        at(day + 0.2, verdict(id)),
        at(day + 30, label(id, n)),
        at(day + 365, refund_step(3, "succeeded", back, 40, f"ref_{n}")),
    ]


def verdict(payment_id: str) -> Event:
    data = Verdict(
        payment=payment_id, instrument="i", merchant="m", outcome="allow", source="rules", score=0.1, reasons=[],
        features={}, model="none", rules="r", flow_sequence=1, input_partition=0, input_offset=1, latency_ms=1.0,
        occurred_at=BIRTH, recorded_at=BIRTH,
    )  # fmt: skip
    return new_event("risk.verdict", "/test", payment_id, data, BIRTH)


def label(payment_id: str, n: int) -> Event:
    data = Label(
        payment=payment_id, instrument="i", merchant="m", label="fraud" if n % 2 else "good", source="review",
        amount=100 + n, currency="EUR", features=None, score=0.1 * (n % 7), model="trees-1-40-2",
        occurred_at=BIRTH, recorded_at=BIRTH,
    )  # fmt: skip
    return new_event("label.recorded", "/test", payment_id, data, BIRTH)


TOPIC = {"risk.verdict": "risk.v1", "label.recorded": "labels.v1"}
LIVES = [life(n) for n in range(4)]


def shown(kept: Kept) -> dict[str, list[tuple[Any, ...]]]:
    """Every aggregate."""
    return {view: kept.ask(f"FROM {view} ORDER BY ALL") for view in AGGREGATES}


def prune_all(kept: Kept, cutoff: datetime, rows_max: int = retention.CHUNK) -> None:
    """Everything that is older."""
    con = kept.warehouse._con
    for table in retention.PRUNED:
        with transaction(con):
            before = retention.prune(con, table, cutoff, rows_max)
        if before:
            kept.warehouse._upkeep.pruned[table.name] = before


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Any:
    other = Kept(tmp_path_factory.mktemp("beside"))
    yield other
    other.warehouse.close()


def test_every_table_is_pruned_or_says_why_it_stays(kept: Kept) -> None:
    tables = {name for [name] in kept.ask("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store'")}
    pruned = {table.name for table in retention.PRUNED}
    assert pruned | set(retention.STAYS) == tables
    assert not pruned & set(retention.STAYS)


def told(choices: list[tuple[int, float]]) -> Iterator[Event | datetime]:
    """What happens: the next event of a payment, an event again, or pruning of what is older than a moment.

    Nothing is pruned that is younger than the oldest event still to come for the first time.
    """
    left, known = [list(events) for events in LIVES], list[Event]()
    for choice, part in choices:
        if choice < len(left) and left[choice]:
            known.append(left[choice].pop(0))
            yield known[-1]
        elif choice == len(left) and known:
            yield known[int(part * (len(known) - 1))]
        elif choice > len(left):
            to_come = [event.data.recorded_at for events in left for event in events]
            yield BIRTH + part * (min(to_come, default=BIRTH + 500 * DAY) - BIRTH)


@hypothesis_settings(max_examples=15, deadline=None)
@given(choices=st.lists(st.tuples(st.integers(0, len(LIVES) + 1), st.floats(0, 1)), max_size=30))
def test_every_aggregate_is_as_without_pruning(
    one_kept: Kept, beside: Kept, choices: list[tuple[int, float]]
) -> None:
    for each in (one_kept, beside):
        each.empty()
    log = Log()
    for happening in told(choices):
        if isinstance(happening, datetime):
            prune_all(one_kept, happening, rows_max=3)
        else:
            record = log.event(TOPIC.get(happening.type, "payments.v1"), happening)
            one_kept.write(record)
            beside.write(record)
    assert shown(one_kept) == shown(beside)
    for view in ("payments", "risk", "refunds", "labels"):
        rows = f"SELECT COLUMNS(c -> c <> 'ingested_at') FROM {view}"
        everything = beside.ask(rows)
        assert all(row in everything for row in one_kept.ask(rows)), "what is left is whole"


def test_a_pruned_payment_comes_back_whole_and_counts_once(kept: Kept, kafka_log: Log) -> None:
    began, taken, *_, refunded = LIVES[0]
    kept.write(kafka_log.event("payments.v1", began), kafka_log.event("payments.v1", taken))
    before = shown(kept)
    prune_all(kept, BIRTH + 100 * DAY)
    assert kept.ask("FROM payments") == []
    assert shown(kept) == before
    kept.write(kafka_log.event("payments.v1", taken))
    assert (kept.ask("FROM payments"), shown(kept)) == ([], before), "a repeat changes nothing"

    kept.write(kafka_log.event("payments.v1", refunded))
    [found] = kept.ask("SELECT state, amount_refunded, card, brand, merchant, sequence FROM payments")
    assert found == ("captured", 40, "card_1", "visa", "acc_merchant", 3)
    assert kept.ask("SELECT sum(count), sum(amount_refunded) FROM payments_by_minute") == [(1, 40)]
    assert kept.ask("FROM store.payment_stubs") == []
    assert kept.ask("FROM store.payments WHERE merchant IS NULL") == [], "a stub is no version"


def test_a_repeat_of_a_pruned_row_is_not_written(kept: Kept, kafka_log: Log) -> None:
    _, _, judged, labelled, refunded = LIVES[1]
    topics = ("risk.v1", "labels.v1", "payments.v1")
    records = [kafka_log.event(t, e) for t, e in zip(topics, (judged, labelled, refunded), strict=True)]
    kept.write(*records)
    before = shown(kept)
    prune_all(kept, BIRTH + 400 * DAY)
    kept.write(*records)
    for view in ("risk", "labels", "refunds", "payments"):
        assert kept.ask(f"FROM {view}") == []
    assert shown(kept) == before


def test_postings_that_were_told_late_stay_for_as_long_as_they_may_come_again(kept: Kept, kafka_log: Log) -> None:
    """`sluice outbox backfill` tells today of what was posted years ago, and `sluice outbox resend` once more."""
    posted = {"due:visa": 1999, "due:acc_merchant": -1999}
    old = replace(at(-700, operated(1, operation(), posted)), time=BIRTH)
    kept.write(kafka_log.event("operations.v1", old))
    balances, calls = kept.ask("FROM balances ORDER BY ALL"), kept.ask("FROM operations_by_minute")
    prune_all(kept, datetime.now(UTC) - 31 * DAY)
    assert kept.ask("FROM operations") == [], "details go by the books' time"
    kept.write(kafka_log.event("operations.v1", old))
    assert kept.ask("FROM balances ORDER BY ALL") == balances, "nothing is owed twice"
    assert kept.ask("FROM operations_by_minute") == calls != [], "no call is counted twice"
    kept.ask(f"UPDATE store.ledger SET ingested_at = ingested_at - INTERVAL {DAYS_MIN + 1} DAY")
    prune_all(kept, datetime.now(UTC) - DAYS_MIN * DAY)
    assert (kept.ask("FROM ledger"), kept.ask("FROM balances ORDER BY ALL")) == ([], balances)


def test_a_call_without_an_answer_stays_until_its_end_takes_its_place_in_the_sums(
    kept: Kept, kafka_log: Log
) -> None:
    silent = operation(status="unknown", finished_at=None, milliseconds=None)
    kept.write(kafka_log.event("operations.v1", at(1, operated(1, silent))))
    prune_all(kept, BIRTH + 400 * DAY)
    kept.write(kafka_log.event("operations.v1", at(500, operated(2, operation()))))
    sums = "SELECT status, was_unknown, count FROM operations_by_minute"
    assert kept.ask(sums) == [("succeeded", True, 1)]
    prune_all(kept, BIRTH + 600 * DAY)
    assert (kept.ask("FROM operations"), kept.ask(sums)) == ([], [("succeeded", True, 1)])


def test_nothing_younger_than_what_waits_to_be_read_is_pruned(kept: Kept, kafka_log: Log) -> None:
    """While a partition lags, the newest record of it says what time it is."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    began = step(1, None, payment(created_at=old))
    record = kafka_log.event("payments.v1", replace(began, data=replace(began.data, recorded_at=old)))
    kept.write(replace(record, timestamp_ms=int((old + DAY).timestamp() * 1000)))

    def left(lag: dict[tuple[str, int], int]) -> int:
        if lag:
            kept.warehouse.save_lag(lag)
        looked_after(kept, NOWHERE, 31)[0].look()
        [(count,)] = kept.ask("SELECT count(*) FROM payments")
        return count

    assert left({}) == 1, "nobody has said yet how far it is"
    assert left({("payments.v1", 0): 5}) == 1, "it is the second of January 2020"
    assert left({("payments.v1", 0): 0, ("payments.v1", 1): 5}) == 1, "of the other nothing is read yet"
    assert left({("payments.v1", 1): 0}) == 0


def test_what_comes_again_for_a_month_is_kept_for_a_month() -> None:
    with pytest.raises(BadSetting, match="31 or more"):
        WarehouseSettings(warehouse_days=30)
    assert WarehouseSettings(warehouse_days=31).kept_as("w", 1, 1).days == 31
    assert WarehouseSettings().kept_as("w", 1, 1).days is None
