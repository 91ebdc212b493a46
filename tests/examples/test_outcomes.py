"""Consumers as other teams write them come to the warehouse's figures from either topic, killed or not."""

import json
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connectors.records import Record
from examples.stream.play import PARTITIONS, play, records
from tests.flows.analytics.conftest import Kept
from tests.patience import until
from tests.tidy.sources import ROOT

FIGURES = """
SELECT merchant, currency, count(*) AS count, sum(amount_captured)::BIGINT, sum(amount_refunded)::BIGINT
FROM payments GROUP BY ALL ORDER BY ALL
"""
POISON = (b"{unfinished", b"[]", b"7", b'{"payment": null}', b"\xff\xfe", b"", None)
BY_DAY = "(FORMAT parquet, PARTITION_BY (day))"
PROGRAMS = {
    "python": ([sys.executable, "examples/python/outcomes.py"], "--database"),
    "javascript": ([shutil.which("node") or "node", "examples/javascript/outcomes.mjs"], "--journal"),
}


def _record(line: dict[str, Any]) -> Record:
    headers: Any = [(name, text.encode()) for name, text in line["headers"].items()]
    key, value = line["key"].encode(), line["value"].encode()
    return Record(line["topic"], line["partition"], line["offset"], key, headers, value, line["timestamp_ms"])


EVENTS = [_record(line) for line in records() if line["topic"] == "payments.v1"]


@pytest.fixture(scope="module")
def half_a_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parquet and manifest as an export has them, of the first half of the stream."""
    export, kept = tmp_path_factory.mktemp("export"), Kept(tmp_path_factory.mktemp("half"))
    read = EVENTS[: len(EVENTS) // 2]
    kept.write(*read)
    kept.ask(f"COPY (SELECT *, created_at::DATE AS day FROM payments) TO '{export}/payments' {BY_DAY}")
    offsets = [max(record.offset + 1 for record in read if record.partition == n) for n in range(PARTITIONS)]
    (export / "manifest.json").write_text(json.dumps({"offsets": {"payments.v1": offsets}}))
    return export


@pytest.fixture(scope="module")
def warehouse_s(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the warehouse says after the same stream."""
    kept = Kept(tmp_path_factory.mktemp("warehouse"))
    kept.write(*EVENTS)
    names = ("merchant", "currency", "count", "captured", "refunded")
    return [dict(zip(names, row, strict=True)) for row in kept.ask(FIGURES)]


@pytest.fixture(scope="module")
def played(kafka: str) -> str:
    """The prefix of topics with the stream."""
    prefix = f"test-{secrets.token_hex(4)}."
    assert play(kafka, prefix, {"payments.v1", "payments.latest.v1"}) > 1000
    return prefix


def write(bootstrap: str, topic: str, values: list[tuple[str, bytes | None]]) -> None:
    """Write records with these keys and values."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for key, value in values:
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("start", ["events", "latest"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_consumer_comes_to_the_warehouse_s_figures(
    kafka: str, played: str, tmp_path: Path, warehouse_s: list[dict[str, Any]], program: str, start: str
) -> None:
    asked = Asked(kafka, played, tmp_path / "kept", program, ["--from-latest"] if start == "latest" else [])
    assert asked.figures() == warehouse_s
    assert sum(row["count"] for row in warehouse_s) > 200
    assert sum(row["refunded"] for row in warehouse_s) > 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_killed_and_begun_again_it_counts_nothing_twice(
    kafka: str, tmp_path: Path, warehouse_s: list[dict[str, Any]], program: str
) -> None:
    prefix = f"test-{secrets.token_hex(4)}."
    play(kafka, prefix, {"payments.v1"})
    asked = Asked(kafka, prefix, tmp_path / "kept", program, [])
    for _ in range(2):
        with asked.running() as process:
            until(lambda: asked.kept.exists() and asked.kept.stat().st_size > 20_000)
            process.send_signal(signal.SIGKILL)
        if program == "javascript":
            with asked.kept.open("ab") as journal:
                journal.write(b'{"places": [["')  # a line that was being written
        play(kafka, prefix, {"payments.v1"}, again=True)
        write(kafka, f"{prefix}payments.v1", [("anything", value) for value in POISON])
    assert asked.figures() == warehouse_s
    assert asked.figures() == warehouse_s, "and once more, with nothing new to read"


class Asked:
    """A program that keeps its figures in the file `kept`."""

    def __init__(self, bootstrap: str, prefix: str, kept: Path, program: str, more: list[str]) -> None:
        command, option = PROGRAMS[program]
        self.kept = kept
        self._command = [*command, "--bootstrap", bootstrap, "--prefix", prefix, option, str(kept), *more]

    def figures(self, until: str = "--until-end") -> Any:
        """What it prints once it has read what there is."""
        done = subprocess.run(
            [*self._command, until], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def running(self) -> "subprocess.Popen[bytes]":
        """The program, reading for ever."""
        return subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_begun_with_a_night_s_parquet_it_goes_on_from_there(
    kafka: str, played: str, tmp_path: Path, half_a_night: Path, warehouse_s: list[dict[str, Any]]
) -> None:
    database = tmp_path / "kept"
    fill = [sys.executable, "examples/python/from_parquet.py", str(half_a_night), "--database", str(database)]
    subprocess.run([*fill, "--prefix", played], cwd=ROOT, check=True, timeout=60)
    asked = Asked(kafka, played, database, "python", [])
    assert 0 < asked.figures("--lag")["unread"] < len(EVENTS)
    assert asked.figures() == warehouse_s
    assert subprocess.run([*fill, "--prefix", played], cwd=ROOT, check=False, timeout=60).returncode == 1


def test_what_is_unread_is_counted_and_aged(kafka: str, tmp_path: Path) -> None:
    prefix = f"test-{secrets.token_hex(4)}."
    play(kafka, prefix, {"payments.v1"})
    asked = Asked(kafka, prefix, tmp_path / "kept", "python", [])
    every = asked.figures("--lag")
    assert every["unread"] > 500
    assert every["seconds"] > 60, "the stream is older"
    asked.figures()
    assert asked.figures("--lag") == {"unread": 0, "seconds": 0}


def test_a_prefix_that_is_in_use_is_left_alone(kafka: str, played: str) -> None:
    with pytest.raises(SystemExit, match="holds records already"):
        play(kafka, played, {"payments.v1"})
