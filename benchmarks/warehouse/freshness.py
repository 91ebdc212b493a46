"""How soon a payment is visible by SQL, with events straight onto the topics: no gateway is in the way."""

import threading
import time
from datetime import datetime
from statistics import quantiles

import msgspec

from benchmarks import stack
from benchmarks.warehouse.lives import life
from connectors.kafka import producer
from connectors.kafka_login import Bootstrap
from connectors.warehouse import WarehouseReader
from schemas.times import now

PROCESSES = ("kafka", "analytics", "sql")
PROGRAM = f"import sys; sys.argv += {[word for name in PROCESSES for word in ('--only', name)]}; {stack.PROGRAM}"
READERS = {"analytics": "dashboard", "sql": "sql"}
POLL_S = 0.05
WARM_UP_S = 5.0
LAST_S = 3.0
# Only what came since the last look: a long answer would take longer than what is measured.
SEEN = """
SELECT id, created_at, ingested_at FROM payments
WHERE created_at >= now()::TIMESTAMP - INTERVAL 20 SECONDS AND ingested_at >= TIMESTAMP '{}'
"""


class FreshnessFigures(msgspec.Struct, frozen=True):
    """Milliseconds from `recorded_at` to visible, of so many payments; a poll's interval is part of it."""

    payments: int
    p50_ms: float
    p99_ms: float


class Watcher:
    """Asks a warehouse for what is new, again and again, in a thread of its own."""

    def __init__(self, reader: WarehouseReader, since: datetime) -> None:
        self._reader, self._since = reader, since
        self._over = threading.Event()
        self._ages: dict[str, float] = {}
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def close(self) -> FreshnessFigures:
        """Stop; what was seen."""
        self._over.set()
        self._thread.join()
        cuts = quantiles(self._ages.values(), n=100)
        return FreshnessFigures(len(self._ages), round(cuts[49], 1), round(cuts[98], 1))

    def _watch(self) -> None:
        newest = self._since
        while not self._over.wait(POLL_S):
            rows = self._reader.query(SEEN.format(newest.replace(tzinfo=None))).rows
            seen = now()
            for id, created_at, ingested_at in rows:
                newest = max(newest, ingested_at)
                if created_at >= self._since:
                    self._ages.setdefault(id, (seen - created_at).total_seconds() * 1000)


def measure(per_second: float, seconds: float) -> dict[str, FreshnessFigures]:
    """The figures of both processes, at so many payments a second."""
    with stack.running(program=PROGRAM) as running:
        running.await_ready(*PROCESSES)
        bootstrap = running.kafka()
        _send(bootstrap, per_second, WARM_UP_S)
        watchers = {name: Watcher(WarehouseReader(running.settings, who), now()) for name, who in READERS.items()}
        _send(bootstrap, per_second, seconds)
        time.sleep(LAST_S)
        return {name: watcher.close() for name, watcher in watchers.items()}


def _send(bootstrap: Bootstrap, per_second: float, seconds: float) -> None:
    client = producer(bootstrap)
    begun = time.monotonic()
    for number in range(round(per_second * seconds)):
        time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
        for each in life(number, now()):
            client.produce(each.topic, each.value, each.key, headers=[*each.headers])
        client.poll(0)
    client.flush(30)
