"""The hash tells whether two warehouses have the same rows, and nothing else."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from connectors.records import Record
from flows.analytics import retention
from flows.analytics.view_hash import COLUMNS, NOT_HASHED, TIMES, HashedSpan, ViewHash, differing, view_hash
from flows.analytics.writer import transaction
from tests.flows.analytics.conftest import BIRTH, Kept, Log, lives, payment, step

DAY = timedelta(days=1)
WHOLE = HashedSpan()
TO_THE_DAY = HashedSpan((BIRTH + 10 * DAY).replace(hour=0, minute=0, second=0))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = Kept(tmp_path_factory.mktemp("other"))
    yield kept
    kept.warehouse.close()


@pytest.fixture
def both(kept: Kept, other: Kept) -> tuple[Kept, Kept]:
    """Two warehouses of the same records, read in different batches and, by partition, in another order."""
    log = Log()
    records = [log.record(out, n % 3) for n, out in enumerate(lives(30))]
    old = [log.event("payments.v1", born(n, BIRTH + n * DAY), 1) for n in range(20)]
    other.empty()
    kept.write(*records, *old)
    for part in random.Random(1).sample(range(3), 3):
        other.write(*[record for record in [*records, *old] if record.partition == part])
    return kept, other


def born(n: int, moment: datetime) -> object:
    event = step(1, None, payment(id=f"pay_old_{n}", created_at=moment))
    return replace(event, data=replace(event.data, recorded_at=moment))


def hash_of(kept: Kept, span: HashedSpan = WHOLE) -> ViewHash:
    return view_hash(kept.ask, span)


def test_it_does_not_depend_on_order_batches_or_when_it_was_written(both: tuple[Kept, Kept]) -> None:
    one, two = both
    assert hash_of(one) == hash_of(two)
    one.ask("UPDATE store.payments SET ingested_at = now()")
    assert hash_of(one).digest == hash_of(two).digest
    assert hash_of(one).rows > 60


def test_it_does_not_depend_on_what_retention_took_outside_of_the_span(both: tuple[Kept, Kept]) -> None:
    one, two = both
    for table in retention.PRUNED:
        with transaction(one.warehouse._con):
            retention.prune(one.warehouse._con, table, BIRTH + 8 * DAY)
    assert one.ask("SELECT count(*) FROM payments") == [(12,)]
    assert differing(hash_of(one), hash_of(two)) == ["payments", "refunds"]
    assert hash_of(one, TO_THE_DAY) == hash_of(two, TO_THE_DAY)
    assert hash_of(one, TO_THE_DAY).rows > 10


@pytest.mark.parametrize(
    ("change", "view"),
    [
        ("UPDATE store.payments SET amount = amount + 1 WHERE id = 'pay_old_15'", "payments"),
        ("UPDATE store.payments SET trace_id = '' WHERE id = 'pay_old_15'", "payments"),
        ("DELETE FROM store.payments WHERE id = 'pay_old_15'", "payments"),
        ("INSERT INTO store.payments FROM store.payments WHERE id = 'pay_old_15'", "payments"),
        ("UPDATE store.payment_minutes SET count = count + 1 WHERE minute > '2026-12-08'", "payments_by_minute"),
    ],
)
def test_every_row_and_column_counts(both: tuple[Kept, Kept], change: str, view: str) -> None:
    one, two = both
    one.fold()
    one.ask(change)
    assert view in differing(hash_of(one, TO_THE_DAY), hash_of(two, TO_THE_DAY))
    assert hash_of(one, HashedSpan(end=TO_THE_DAY.begin)) == hash_of(two, HashedSpan(end=TO_THE_DAY.begin))


def test_every_view_is_hashed_or_says_why_not(kept: Kept) -> None:
    columns = dict(kept.ask(COLUMNS))
    assert set(hash_of(kept).views) == set(columns) - set(NOT_HASHED)
    assert set(NOT_HASHED) <= set(columns)
    whole = {view for view, names in columns.items() if not set(TIMES) & set(names)}
    assert whole <= {"pipeline_health", "balances", "alerts"}, "a span means something to all others"


def test_offsets_are_of_the_same_moment(kept: Kept, kafka_log: Log) -> None:
    record: Record = kafka_log.event("payments.v1", step(1, None, payment()), 4)
    kept.write(record)
    kept.warehouse.save_lag({("payments.v1", 4): 0})
    assert hash_of(kept).offsets == {("payments.v1", 4): 1}
