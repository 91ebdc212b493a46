"""`python -m benchmarks.warehouse_rebuild`: how fast a warehouse is built anew from Kafka, each time the same.

`--data DIR` keeps the topics, so that a second run only rebuilds.
"""

import itertools
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path

import click
import msgspec

from benchmarks.payment_events import lives, send
from benchmarks.warehouse_stack import broker
from connectors.kafka_login import Bootstrap
from connectors.record_reader import RecordReader, places
from flows.analytics.rebuild import rebuild
from flows.analytics.settings import WarehouseFile
from flows.analytics.view_hash import HashedSpan, view_hash
from flows.analytics.warehouse import open_file
from schemas.topics import PAYMENTS

TENTHS = 10


class RebuildFigures(msgspec.Struct):
    """`per_second`: of records, in each tenth of them; `hash_s`: of the hash over all views.

    `cpu_s`: of all threads of this process; the broker's is not in it.
    """

    records: int
    seconds: float
    cpu_s: float
    rate: int
    per_second: list[int]
    file_mb: int
    memory_mb: int
    hash_s: float
    hash: str


@click.command()
@click.option("--payments", default=1_000_000, show_default=True)
@click.option("--runs", default=2, show_default=True, help="How often it is rebuilt; the hashes must be equal.")
@click.option("--data", type=click.Path(path_type=Path), help="Where the topics are, or are kept.")
def main(payments: int, runs: int, data: Path | None) -> None:
    """Print the figures of each run as JSON; ends with 1 where two hashes differ."""
    with broker(data) as stack:
        bootstrap = stack.kafka()
        if not _has_payments(bootstrap):
            began = time.monotonic()
            sent = send(bootstrap, lives(payments))
            click.echo(f"{sent:,} records written in {time.monotonic() - began:.0f} s", err=True)
        found = [_measured(bootstrap) for _ in range(runs)]
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    raise SystemExit(len({figures.hash for figures in found}) != 1)


def _has_payments(bootstrap: Bootstrap) -> bool:
    reader = RecordReader(bootstrap)
    try:
        for place in places(bootstrap, [PAYMENTS.name]):
            reader.add(place)
        return any(reader.ends.values())
    finally:
        reader.close()


def _measured(bootstrap: Bootstrap) -> RebuildFigures:
    marks = [(0, time.monotonic())]
    cpu_began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        file = WarehouseFile(Path(folder) / "anew.duckdb", 512, 1)
        rebuild(bootstrap, file, None, lambda more, total: marks.append((marks[-1][0] + more, time.monotonic())))
        cpu_s = round(time.process_time() - cpu_began, 1)
        size_mb = file.path.stat().st_size // 2**20
        began = time.monotonic()
        with closing(open_file(file)) as con:
            digest = view_hash(lambda sql: con.execute(sql).fetchall(), HashedSpan()).digest
    records, seconds = marks[-1][0], marks[-1][1] - marks[0][1]
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    hash_s = round(time.monotonic() - began, 1)
    rate = round(records / seconds)
    tenths = _tenths(marks)
    return RebuildFigures(records, round(seconds, 1), cpu_s, rate, tenths, size_mb, memory_mb, hash_s, digest)


def _tenths(marks: list[tuple[int, float]]) -> list[int]:
    """The rate of each tenth of the records."""
    whole = marks[-1][0]
    edges = [next(mark for mark in marks if mark[0] >= whole * tenth / TENTHS) for tenth in range(TENTHS + 1)]
    return [round((b[0] - a[0]) / max(0.001, b[1] - a[1])) for a, b in itertools.pairwise(edges)]


if __name__ == "__main__":
    main()
