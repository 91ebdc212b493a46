"""`python -m benchmarks.restore_drill`: books are copied before the end of a replay, lost, and brought back.

The replay, with captures in parts and refunds, goes on past the copy: for `--after` seconds, or to the end of
`--file`, which has transactions instead of made-up ones. The stack stops, the copy is put back, `sluice reconcile`
has to name what the books lost, and `sluice restore --from-kafka`, with Kafka alone running, to bring it back:
then all stores agree, a second run finds nothing to do, and no event was told again. Prints JSON, and ends with 1
unless all of that holds.
"""

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import duckdb
import msgspec

from benchmarks import stack
from benchmarks.canary.looks import all_records
from benchmarks.stack import Stack
from connectors.records import event_id_of
from schemas.topics import ACCOUNTS, LABELS, OPERATIONS, PAYMENTS, REVIEWS
from sluice.settings import benchmark_environment

TOPICS = tuple(topic.name for topic in (PAYMENTS, OPERATIONS, REVIEWS, LABELS, ACCOUNTS))
STRANGERS = re.compile(r"kafka: (\d+) payments that the books do not know")
BROUGHT_BACK = re.compile(r"brought back: (\d+) payments \((\d+) of them not in the copy\).* (\d+) events")
# Payments go through on a busy machine too, whose verdicts come late.
SETTINGS = stack.OPEN_STAND_IN | {"SLUICE_START_PATIENCE": "120"}
RECONCILED_WITHIN_S = 300
TRANSACTIONS = """
    SELECT i AS tx_id, TIMESTAMP '2019-05-01 08:00:00' + i * INTERVAL 1 MINUTE AS ts, i % 97 AS card_id,
           i % 11 AS merchant_id, 10 + i % 90 AS amount, i % 50 = 3 AS is_fraud
    FROM range({count}) t(i)
"""


class DrillFigures(msgspec.Struct, frozen=True):
    """`lost`: payments made after the copy; `strangers`, `charges`: what `reconcile` named of them.

    `brought_back` payments were written into the books, `new` of them unknown there, with `events`. `told_twice`:
    events that stand on Kafka more than once; `left_over`: events that a second run brought back.
    """

    payments: int
    lost: int
    strangers: int
    charges: int
    brought_back: int
    new: int
    events: int
    told_twice: int
    left_over: int
    seconds: float
    reconciled: bool

    def holds(self) -> bool:
        """Whether all is as it must be."""
        found = self.lost > 0 and self.lost == self.strangers == self.new and self.charges > 0
        return found and not self.told_twice and not self.left_over and self.reconciled


class RestoreDrill:
    """A data directory on which stacks run one after the other, at the same ports."""

    def __init__(self, place: Path) -> None:
        self._data, self._copies = place / "data", place / "copies"
        self._data.mkdir(mode=0o700)
        self._offset = stack.free_offset()

    @contextmanager
    def running(self, *only: str) -> Iterator[Stack]:
        """The stack, or some of its processes, ready."""
        with stack.running(data=self._data, offset=self._offset, only=only, settings=SETTINGS) as running:
            running.await_ready(*only)
            yield running

    def pay_and_copy(self, file: Path, rate: float, before_s: float) -> int:
        """Replay a file, copying the books on the way; how many payments there are in the end."""
        with self.running() as stack:
            words = ["replay", str(file), "--rate", str(rate), "--parts", "0.2", "--refunds", "0.2", "--json"]
            with (self._data / "replay.log").open("wb") as log:
                replay = subprocess.Popen(
                    [sys.executable, "-m", "sluice", *words], env=stack.environment, stdout=log, stderr=log
                )
                time.sleep(before_s)
                must(stack, "backup", "books", str(self._copies))
                if replay.wait():
                    raise click.ClickException((self._data / "replay.log").read_text()[-2000:])
            if not stack.reconciles(RECONCILED_WITHIN_S):
                raise click.ClickException("the stores do not agree before anything is lost")
        return _payments(self._data / "books.sqlite3")

    def copy(self) -> Path:
        """The copy that was made."""
        return max(self._copies.iterdir())

    def lose(self) -> tuple[int, int, int]:
        """Put the copy back: how many payments it lacks, and how many, and charges, are named by `reconcile`."""
        lost = _payments(self._data / "books.sqlite3") - _payments(self.copy() / "books.sqlite3")
        command = [sys.executable, "-m", "sluice", "restore", str(self.copy()), "--replace"]
        subprocess.run(command, env=benchmark_environment(self._data, self._offset), check=True)
        with self.running("kafka", "sandbox", "analytics") as stack:  # no gateway: it would go on
            said = stack.sluice("reconcile", "--all", "--wait", "20").stdout
        strangers = STRANGERS.search(said)
        return lost, int(strangers[1]) if strangers else 0, said.count("which the books do not know")

    def bring_back(self) -> tuple[tuple[int, int, int], int, float]:
        """What is written back, what a second run finds, and the seconds that the first one took."""
        with self.running("kafka") as stack:
            began = time.monotonic()
            first = BROUGHT_BACK.search(must(stack, "restore", "--from-kafka"))
            took_s = time.monotonic() - began
            second = BROUGHT_BACK.search(must(stack, "restore", "--from-kafka"))
        assert first is not None
        assert second is not None, "it says what it did"
        return (int(first[1]), int(first[2]), int(first[3])), int(second[3]), took_s

    def agrees(self) -> tuple[bool, int]:
        """Whether everything does in the end, and how many events stand on Kafka more than once."""
        with self.running() as stack:
            return stack.reconciles(RECONCILED_WITHIN_S), _told_twice(stack)


def must(stack: Stack, *words: str) -> str:
    """What a `sluice` command says. Raises `click.ClickException` where it does not end well."""
    ran = stack.sluice(*words)
    if ran.returncode:
        raise click.ClickException(f"{' '.join(words)}: {ran.stdout[-1000:]}{ran.stderr[-1000:]}")
    return ran.stdout


@click.command()
@click.option("--file", type=click.Path(path_type=Path, exists=True), help="Parquet, as `sluice replay` takes it.")
@click.option("--rate", default=20.0, help="Payments per second.")
@click.option("--before", "before_s", default=20.0, help="Seconds of the replay before the copy.")
@click.option("--after", "after_s", default=60.0, help="Seconds after it, without a --file.")
def main(file: Path | None, rate: float, before_s: float, after_s: float) -> None:
    """Run the drill; some minutes, and the replay's time."""
    with tempfile.TemporaryDirectory(prefix="sluice-drill-") as folder:
        figures = drill(Path(folder), file, rate, before_s, after_s)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not figures.holds())


def drill(folder: Path, file: Path | None, rate: float, before_s: float, after_s: float) -> DrillFigures:
    """Run it in a directory."""
    file, run = file or _made(folder, int(rate * (before_s + after_s))), RestoreDrill(folder)
    payments = run.pay_and_copy(file, rate, before_s)
    lost, strangers, charges = run.lose()
    (brought_back, new, events), left_over, seconds = run.bring_back()
    reconciled, told_twice = run.agrees()
    return DrillFigures(
        payments=payments,
        lost=lost,
        strangers=strangers,
        charges=charges,
        brought_back=brought_back,
        new=new,
        events=events,
        told_twice=told_twice,
        left_over=left_over,
        seconds=round(seconds, 1),
        reconciled=reconciled,
    )


def _made(folder: Path, count: int) -> Path:
    path = folder / "transactions.parquet"
    with duckdb.connect() as db:
        db.sql(TRANSACTIONS.format(count=count)).write_parquet(str(path))
    return path


def _payments(books: Path) -> int:
    with closing(sqlite3.connect(f"{books.absolute().as_uri()}?mode=ro", uri=True)) as conn:
        [(count,)] = conn.execute("SELECT count(*) FROM payments").fetchall()
        return int(count)


def _told_twice(stack: Stack) -> int:
    told = Counter(event_id_of(record.headers) for record in all_records(stack.kafka(), TOPICS))
    return sum(count > 1 for count in told.values())


if __name__ == "__main__":
    main()
