"""The flow as it runs: a process of its own on the real broker, killed, asked, and asked too much."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.testing import run_main

from connectors.heartbeat import last_beat
from connectors.kafka import producer
from connectors.record_reader import RecordReader, places
from connectors.records import Out
from connectors.streams import BroadcastSource
from connectors.warehouse import QueryRefused, WarehouseAway, WarehouseError, WarehouseReader
from flows.analytics.flow import WarehouseSink, build
from flows.analytics.ingest import FOLLOWED
from flows.analytics.settings import AnalyticsSettings, SqlSettings
from schemas.events import decode
from schemas.ids import new_id
from schemas.payments import LatestPayment
from schemas.topics import ALERTS, DEAD_LETTER, LATEST_PAYMENTS, TOPICS, WITH_TOMBSTONES
from tests.flows.analytics.conftest import Kept, lives
from tests.patience import until

KILLS = int(os.environ.get("SLUICE_TEST_KILLS", "5"))

SUMS = "sum(amount)::BIGINT, sum(amount_captured)::BIGINT, sum(amount_refunded)::BIGINT"
BY_MINUTE = f"SELECT currency, state, processor, sum(count)::BIGINT, {SUMS} FROM payments_by_minute"
BY_ROW = f"SELECT currency, state, processor, count(*), {SUMS} FROM payments"
ENDED = "SELECT count(*) FILTER (state IN ('captured', 'declined')), sum(amount_refunded)::BIGINT FROM payments"
REFUNDS = "SELECT id, payment, sequence, status, amount, currency FROM refunds ORDER BY id"
ENDLESS = "SELECT count(*) FROM range(1000000000000) a, range(1000) b"
HEEDLESS = "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))"  # 20 s, which nothing interrupts
REPEATED = "SELECT length(repeat('x', 3000000000))"
SAME = (
    "SELECT COLUMNS(c -> c NOT LIKE '%ed_at' AND c NOT IN ('age_ms', 'delay_ms', 'open_s')) FROM {} ORDER BY ALL"
)
GROUPED = " GROUP BY ALL ORDER BY ALL"


class Running:
    """`analytics` or `sql` in a process of its own, and a reader of what it keeps."""

    def __init__(self, settings: AnalyticsSettings | SqlSettings) -> None:
        self._settings = settings
        self.is_copy = isinstance(settings, SqlSettings)
        self.reader = WarehouseReader(settings, "sql" if self.is_copy else "dashboard")
        self.process = self._start()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows, as soon as the warehouse answers."""
        return until(lambda: self._try(sql))

    def caught_up(self) -> bool:
        """Whether the flow that runs now has read all there is."""
        beat = last_beat(self._settings, "sql" if self.is_copy else "analytics")
        return beat is not None and beat.pid == self.process.pid and beat.lag == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        """As the supervisor does."""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        set_ones = {
            name: value for name, value in msgspec.structs.asdict(self._settings).items() if value is not None
        }
        environment = {f"SLUICE_{name.upper()}": str(value) for name, value in set_ones.items()}
        flow = "get_sql_flow" if self.is_copy else "get_flow"
        with (self._settings.data / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "bytewax.run", f"flows.analytics.flow:{flow}"],
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )

    def _try(self, sql: str) -> list[tuple[Any, ...]] | None:
        try:
            return self.reader.query(sql).rows
        except WarehouseAway:
            return None


@contextmanager
def running(settings: AnalyticsSettings | SqlSettings) -> Iterator[Running]:
    flow = Running(settings)
    try:
        yield flow
    finally:
        flow.kill()


def write(kafka: str, outs: list[Out], per_second: float = 1e9) -> None:
    client = producer(kafka)
    begun = time.monotonic()
    for n, out in enumerate(outs):
        time.sleep(max(0, begun + n / per_second - time.monotonic()))
        client.produce(out.topic, out.value, out.key, headers=[*out.headers])
        client.poll(0)
    assert client.flush(60) == 0


def latest_told(kafka: str, prefix: str) -> dict[str, list[int]]:
    """The sequences that `payments.latest.v1` tells of each payment, in their order."""
    reader = RecordReader(kafka)
    for place in places(kafka, [LATEST_PAYMENTS.name]):
        reader.add(place)
    told: dict[str, list[int]] = {}
    while not reader.at_end():
        for record in reader.poll():
            if (record.key or b"").startswith(f"pay_{prefix}".encode()):
                data = decode(record.headers, record.value).data
                assert isinstance(data, LatestPayment)
                told.setdefault(data.payment.id, []).append(data.sequence)
    reader.close()
    return told


@pytest.fixture
def on_broker(settings: AnalyticsSettings, kafka: str) -> AnalyticsSettings:
    return msgspec.structs.replace(settings, kafka=kafka)


@pytest.fixture
def limited(on_broker: AnalyticsSettings) -> SqlSettings:
    """Beside it, with limits on the time of a statement that a busy machine does not meet."""
    given = {"data": on_broker.data, "port_offset": on_broker.port_offset, "kafka": on_broker.kafka}
    return SqlSettings(**given, statement_s=100)


@pytest.mark.stack
def test_kill_9_loses_nothing_and_doubles_nothing(
    on_broker: AnalyticsSettings, kafka: str, tmp_path: Path
) -> None:
    prefix = new_id("kill")
    outs = lives(1500, prefix)
    mine = f" WHERE id LIKE 'pay_{prefix}%'"
    writing = threading.Thread(target=write, args=(kafka, outs, 400))
    writing.start()
    with running(on_broker) as flow:
        for _ in range(KILLS):
            flow.ask("SELECT 1")
            time.sleep(random.random() * 0.5)
            flow.kill()
            flow.restart()
        writing.join()
        # A heartbeat is up to a second old: that nothing was left to read then says nothing of what came since.
        until(lambda: flow.caught_up() and flow.ask(ENDED + mine) == [(1500, 300 * 40)])

        by_row = flow.ask(BY_ROW + mine + GROUPED)
        assert sum(count for _, _, _, count, *_ in by_row) == 1500
        assert sum(amount for *_, amount, _, _ in by_row) == sum(100 + n for n in range(1500))
        assert sum(refunded for *_, refunded in by_row) == 300 * 40
        given = "SELECT sum(amount) FROM refunds WHERE status = 'succeeded' AND payment LIKE"
        assert flow.ask(f"{given} 'pay_{prefix}%'") == [(300 * 40,)]
        assert flow.ask(BY_MINUTE + GROUPED) == flow.ask(BY_ROW + GROUPED)
        everything, refunds = flow.ask(BY_ROW + GROUPED), flow.ask(REFUNDS)
        newest = dict(flow.ask(f"SELECT id, sequence FROM payments {mine}"))
        until(lambda: {id: told[-1] for id, told in latest_told(kafka, prefix).items()} == newest)
        told = latest_told(kafka, prefix)
        assert all(sequences == sorted(sequences) for sequences in told.values()), "it never goes back"

    fresh = Kept(tmp_path / "fresh")
    source = BroadcastSource(kafka, FOLLOWED, tail=False)
    run_main(build("fresh", source, WarehouseSink(fresh.warehouse)))
    assert fresh.ask(BY_ROW + GROUPED) == everything, "the same numbers from Kafka alone"
    assert fresh.ask(BY_MINUTE + GROUPED) == everything
    assert fresh.ask(REFUNDS) == refunds
    fresh.warehouse.close()


def test_it_starts_where_its_file_says_and_tells_how_far_it_is(on_broker: AnalyticsSettings, kafka: str) -> None:
    prefix = new_id("beat")
    write(kafka, lives(20, prefix))
    with running(on_broker) as flow:
        until(flow.caught_up)
        health = flow.ask("SELECT topic, partition, lag, age_ms FROM pipeline_health")
    assert {(topic, partition) for topic, partition, *_ in health} == {
        (topic.name, partition)
        for topic in TOPICS
        if topic.name in FOLLOWED
        for partition in range(topic.partitions)
    }
    assert all(lag == 0 and age_ms < 60_000 for *_, lag, age_ms in health)


@pytest.mark.stack
def test_the_copy_is_equal_to_the_warehouse_at_the_same_offset(
    on_broker: AnalyticsSettings, limited: SqlSettings, kafka: str
) -> None:
    """All of every view but for when each of the two wrote it."""
    write(kafka, lives(200, new_id("same")))
    with running(on_broker) as warehouse, running(limited) as copy:
        listed = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'"
        views = [name for [name] in copy.ask(listed)]
        assert {"payments", "operations", "balances", "reviews", "merchants"} < set(views)

        def compared() -> list[tuple[str, list[Any], list[Any]]]:
            asked = [(view, SAME.format(view)) for view in views]
            return [(view, warehouse.reader.query(sql).rows, copy.reader.query(sql).rows) for view, sql in asked]

        until(lambda: warehouse.caught_up() and copy.caught_up() and all(a == b for _, a, b in compared()))
        assert all(rows for view, rows, _ in compared() if view in ("payments", "refunds", "pipeline_health"))


@pytest.mark.stack
def test_what_is_asked_of_the_copy_does_no_harm_to_the_warehouse(
    on_broker: AnalyticsSettings, limited: SqlSettings
) -> None:
    with running(on_broker) as warehouse, running(limited) as copy:
        assert copy.ask("SELECT 1") == warehouse.ask("SELECT 1") == [(1,)]
        ask_and_go(limited, "bench", ENDLESS)
        os.kill(copy.process.pid, signal.SIGSEGV)  # as a statement may
        copy.process.wait()
        copy.restart()
        assert copy.ask("SELECT 1") == [(1,)]
        with pytest.raises(QueryRefused, match="brought the process down"):
            WarehouseReader(limited, "bench").query("SELECT 1")
        assert warehouse.process.poll() is None


@pytest.mark.stack
def test_a_runaway_statement_ends_and_where_nothing_ends_it_its_reader_waits(
    limited: SqlSettings, kafka: str
) -> None:
    """Even when its client is gone: DuckDB goes on without it."""
    prefix = new_id("run")
    mine = f"SELECT count(*) FROM payments WHERE id LIKE 'pay_{prefix}%'"
    with running(msgspec.structs.replace(limited, statement_s=1)) as flow:
        until(flow.caught_up)
        write(kafka, lives(10, prefix))
        ask_and_go(limited, "bench", ENDLESS)
        until(lambda: has_a_turn(limited, "bench"))
        assert flow.process.poll() is None, "it ended alone"
        until(lambda: ask_and_go(limited, "bench", HEEDLESS) or flow.process.poll())
        assert flow.process.returncode == 75

        flow.restart()
        until(lambda: flow.ask(mine) == [(10,)])  # another reader is let in
        with pytest.raises(QueryRefused, match="try again in"):
            WarehouseReader(limited, "bench").query("SELECT 1")


@pytest.mark.stack
@pytest.mark.parametrize("greedy", ["SELECT quantile_cont(a, 0.5) FROM range(1000000000) t(a)", REPEATED])
def test_a_statement_that_takes_all_memory_ends(limited: SqlSettings, greedy: str) -> None:
    """By the guard, with its process, or because there is no more."""
    with running(msgspec.structs.replace(limited, sql_process_mb=700)) as flow:
        until(flow.caught_up)
        with pytest.raises(WarehouseError):
            flow.reader.query(greedy)
        until(lambda: flow.process.poll() is not None or flow._try("SELECT 1") == [(1,)])


def test_an_expired_offset_stops_the_flow_where_records_are_kept_for_ever() -> None:
    kept_for_ever = {topic.name for topic in TOPICS if topic.config.get("retention.ms") == "-1"}
    assert kept_for_ever == {topic.name for topic in TOPICS} - WITH_TOMBSTONES - {ALERTS.name, DEAD_LETTER.name}


def test_a_batch_is_written_without_pandas(tmp_path: Path) -> None:
    """It would take 70 MB and a second in each of the two processes."""
    code = (
        "import sys, pathlib; from flows.analytics.own_process import do_without_pandas; do_without_pandas();"
        "from tests.flows.analytics.conftest import Kept, Log, lives;"
        "log = Log(); Kept(pathlib.Path(sys.argv[1])).write(*map(log.record, lives(2)));"
        "assert not [name for name in sys.modules if name.startswith('pandas.')]"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")


def has_a_turn(settings: SqlSettings, reader: str) -> bool:
    """Whether a reader may ask now: nothing of theirs runs."""
    try:
        WarehouseReader(settings, reader).query("SELECT 1")
    except QueryRefused:
        return False
    return True


def ask_and_go(settings: SqlSettings, reader: str, sql: str) -> None:
    """Ask in a process of its own, which is killed while it waits for the answer, if it came as far as to ask."""
    code = (
        "import sys, pathlib; from connectors.warehouse import WarehouseReader;"
        "from schemas.settings import Settings;"
        "settings = Settings(data=pathlib.Path(sys.argv[1]), port_offset=int(sys.argv[2]));"
        "reader = WarehouseReader(settings, sys.argv[3]); print('asking', flush=True); reader.query(sys.argv[4])"
    )
    arguments = [str(settings.data), str(settings.port_offset), reader, sql]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        assert client.stdout
        client.stdout.readline()
        time.sleep(1)
        client.kill()
