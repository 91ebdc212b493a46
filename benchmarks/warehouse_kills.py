"""`python -m benchmarks.warehouse_kills`: kills `analytics` and `sql` again and again while events flow.

Afterwards both have every payment once, and the same rows as a warehouse that is built anew from Kafka at the same
offsets.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import msgspec

from benchmarks.payment_events import lives, send
from benchmarks.stack import Stack
from benchmarks.warehouse_stack import Keeper, broker, keeping
from connectors.kafka_login import Bootstrap
from connectors.records import Out
from flows.analytics.rebuild import rebuild
from flows.analytics.settings import WarehouseFile
from flows.analytics.view_hash import HashedSpan, ViewHash, view_hash
from flows.analytics.warehouse import open_file

LIVES_S = (0.1, 1.0)  # how long a process lives, once it answers
PER_SECOND = 1_500  # records
COUNTED = "SELECT sum(count)::BIGINT, sum(amount)::BIGINT, sum(amount_captured)::BIGINT FROM payments_by_minute"


class Killings(msgspec.Struct):
    """What came of it. `exact`: each payment counts once; `equal`: both are as Kafka alone has it."""

    kills: dict[str, int]
    payments: int
    records: int
    rows: int
    exact: dict[str, bool]
    equal: dict[str, bool]


@click.command()
@click.option("--kills", default=50, show_default=True, help="Of each of the two.")
def main(kills: int) -> None:
    """Print what survived as JSON; ends with 1 where anything is lost or counted twice."""
    with broker() as stack, keeping(stack, "analytics") as analytics, keeping(stack, "sql") as copy:
        found = killings(stack, [analytics, copy], kills)
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    sys.exit(not all((*found.exact.values(), *found.equal.values())))


def killings(stack: Stack, keepers: list[Keeper], kills: int) -> Killings:
    """Kill both while payments come in, then compare."""
    load = SteadyPayments(stack.kafka())
    load.start()
    killers = [threading.Thread(target=_kill, args=(keeper, kills)) for keeper in keepers]
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()
    load.stop()
    hashes = {keeper.name: keeper.hash_at(load.records) for keeper in keepers}
    exact = {keeper.name: keeper.ask(COUNTED) == load.expected() for keeper in keepers}
    anew = _anew(stack, hashes["analytics"])
    equal = {name: (found.digest, found.offsets) == (anew.digest, anew.offsets) for name, found in hashes.items()}
    return Killings(dict.fromkeys(hashes, kills), load.payments, load.records, anew.rows, exact, equal)


class SteadyPayments(threading.Thread):
    """Writes payments at a steady rate until it is stopped, and sees each to its end."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        super().__init__(name="load")
        self._brokers = bootstrap
        self._ended = threading.Event()
        self.payments = self.records = 0

    def run(self) -> None:
        """Write."""
        self.records = send(self._brokers, self._paced())

    def stop(self) -> None:
        """Begin no further payment, and return once all is written."""
        self._ended.set()
        self.join()

    def expected(self) -> list[tuple[int, ...]]:
        """What `COUNTED` has to say of all payments."""
        amounts = [100 + number % 9_900 for number in range(self.payments)]
        captured = sum(amount for number, amount in enumerate(amounts) if number % 5)
        return [(self.payments, sum(amounts), captured)]

    def _paced(self) -> Iterator[Out]:
        began = time.monotonic()
        for sent, each in enumerate(lives(10_000_000)):
            if dict(each.headers)["ce_type"] == b"payment.initiated":
                if self._ended.is_set():
                    return
                self.payments += 1
            time.sleep(max(0, began + sent / PER_SECOND - time.monotonic()))
            yield each


def _kill(keeper: Keeper, times: int) -> None:
    """Kill it so many times, each time some moment after it answers."""
    chance = random.Random(keeper.name)
    for _ in range(times):
        keeper.ask("SELECT 1")
        time.sleep(chance.uniform(*LIVES_S))
        keeper.kill()
        keeper.start()


def _anew(stack: Stack, found: ViewHash) -> ViewHash:
    """The same built from Kafka alone, at the same offsets."""
    with tempfile.TemporaryDirectory() as folder:
        file = WarehouseFile(Path(folder) / "anew.duckdb", 512, 1)
        rebuild(stack.kafka(), file, found.offsets, lambda records, total: None)
        with closing(open_file(file)) as con:
            return view_hash(lambda sql: con.execute(sql).fetchall(), HashedSpan())


if __name__ == "__main__":
    main()
