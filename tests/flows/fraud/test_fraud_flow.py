"""The dataflow: on lists, and as the supervisor runs it, with real Kafka and kill -9."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from bytewax.recovery import init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from connectors import kafka as kafka_client
from connectors.heartbeat import last_beat
from connectors.record_reader import RecordReader, places
from connectors.records import Record
from flows.fraud.flow import build
from flows.fraud.rules import Controls
from flows.fraud.settings import FraudSettings
from schemas.controls import DEFAULTS
from schemas.events import DeadLetter, Event, decode, derived_id
from schemas.fraud import ListEntry, Rule, Verdict
from schemas.settings import Settings
from schemas.topics import CONTROLS, DEAD_LETTER, RISK, TOPICS
from tests.flows.fraud.conftest import (
    BEGIN,
    label_record,
    payment,
    payment_record,
    read_verdict,
    record,
    timeless,
)
from tests.patience import until

KILLS = 3
SETTINGS = FraudSettings(fraud_min_labels=20)


def run(records: list[Record], controls: list[Record] | None = None) -> list[Any]:
    written: list[Any] = []
    changes, in_force = TestingSource(controls or []), Controls(DEFAULTS)
    run_main(build(TestingSource(records), changes, TestingSink(written), SETTINGS, in_force))
    return written


def verdicts(written: list[Any]) -> list[Verdict]:
    return [read_verdict(out.headers, out.value) for out in written if out.topic == RISK.name]


def payments(count: int) -> list[Record]:
    return [
        payment_record(payment(n, stream_key=f"fp_{n % 5}", merchant=f"acc_{n % 3}", amount=100 + n * n), n)
        for n in range(count)
    ]


def test_each_payment_gets_one_verdict_with_a_derived_id() -> None:
    written = run(payments(20))
    found = {out.key.decode(): decode(out.headers, out.value) for out in written}
    assert found.keys() == {f"pay_{n}" for n in range(20)}
    for name, event in found.items():
        assert event.id == derived_id(f"evt_{name}", "risk.verdict")
        assert event.traceparent == f"00-{int(name[4:]):032x}-{1:016x}-01"
        assert isinstance(event.data, Verdict)
        assert event.data.input_offset == int(name[4:])


def test_fed_in_the_recorded_order_it_says_the_same_again() -> None:
    first = verdicts(run(payments(120)))
    labels = [label_record(v, n % 4 == 0, n) for n, v in enumerate(first[:60])]
    records = [*payments(60), *labels, *payments(120)[60:]]
    assert [timeless(v) for v in verdicts(run(records))] == [timeless(v) for v in verdicts(run(records))]
    assert any(v.source == "model" for v in verdicts(run(records)))


def test_poison_is_set_aside_and_the_rest_is_judged() -> None:
    good = payments(4)
    poison = [
        Record("payments.v1", 0, 100, b"k", [], b"{", 0),
        Record("payments.v1", 0, 101, None, good[0].headers, None, 0),
        Record("payments.v1", 0, 102, b"k", good[0].headers, b"\xff\xfe", 0),
        Record("payments.v1", 0, 103, b"k", good[0].headers, b"[" * 100_000, 0),
        Record("labels.v1", 0, 104, b"k", [("ce_type", b"no.such.type")], b"{}", 0),
        Record("labels.v1", 0, 105, b"k", label_headers(), b'{"label": "maybe"}', 0),
    ]
    written = run([*good[:2], *poison, *good[2:]])
    letters = [decode(out.headers, out.value).data for out in written if out.topic == DEAD_LETTER.name]
    assert sorted(letter.offset for letter in letters if isinstance(letter, DeadLetter)) == list(range(100, 106))
    assert len(verdicts(written)) == 4


def test_events_of_other_types_are_passed_over() -> None:
    others = [payment_record(payment(0), type=type) for type in ("payment.captured", "payment.declined")]
    assert run(others) == []


class Flow:
    """The process, started and killed."""

    def __init__(self, data: Path, bootstrap: str, **settings: str) -> None:
        self.settings = Settings(data=data)
        self._store, self._log = data / "fraud", data / "log"
        self._store.mkdir()
        init_db_dir(self._store, 1)
        self._environment = {"PATH": os.environ["PATH"], "SLUICE_DATA": str(data), "SLUICE_KAFKA": bootstrap}
        self._environment |= settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, workers: int = 1) -> None:
        command = [sys.executable, "-m", "bytewax.run", "flows.fraud.flow:get_flow", "-r", str(self._store)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-s", "1", "-b", "0", "-w", str(workers)], env=self._environment, stdout=log, stderr=log
            )
        until(self.has_beaten)

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def has_beaten(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        beat = last_beat(self.settings, "fraud")
        return beat is not None and beat.pid == self._process.pid


@pytest.fixture
def flow(kafka: str, tmp_path: Path) -> Iterator[Flow]:
    kafka_client.create_topics(kafka, TOPICS)
    running = Flow(tmp_path, kafka)
    yield running
    running.kill()


class Risk:
    """What has been written since the test began, by payment."""

    def __init__(self, bootstrap: str) -> None:
        self._reader = RecordReader(bootstrap)
        for place in places(bootstrap, [RISK.name]):
            self._reader.add(place)
        while not self._reader.at_end():
            self._reader.poll()
        self.events: dict[str, list[Event]] = defaultdict(list)

    def has(self, names: set[str]) -> bool:
        for found in self._reader.poll():
            event = decode(found.headers, found.value)
            self.events[event.subject].append(event)
        return names <= self.events.keys()

    def verdict(self, name: str) -> Verdict:
        data = self.events[name][0].data
        assert isinstance(data, Verdict)
        return data

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def risk(kafka: str, flow: Flow) -> Iterator[Risk]:
    reading = Risk(kafka)
    yield reading
    reading.close()


@pytest.mark.stack
def test_killed_again_and_again_and_rescaled_it_judges_every_payment(
    kafka: str, flow: Flow, risk: Risk, tmp_path: Path
) -> None:
    key = tmp_path.name
    producer, names = kafka_client.producer(kafka), set[str]()
    flow.start()
    for number in range(KILLS * 100):
        # A merchant and a customer for each card: what two partitions share comes in another order after a kill.
        one = f"{key}-{number % 20}"
        paid = payment(number, id=f"{key}-{number:03}", stream_key=one, merchant=one, customer=one)
        send(producer, payment_record(paid))
        names.add(paid.id)
        if number % 100 == 60:
            until(lambda name=paid.id: risk.has({name}))
            flow.kill()
            flow.start(workers=2 - number // 100 % 2)
    until(lambda: risk.has(names))
    for name in names:
        assert {event.id for event in risk.events[name]} == {derived_id(f"evt_{name}", "risk.verdict")}
        first, *again = map(_judgement, risk.events[name])
        changed = [first ^ each for each in again]
        assert not any(changed), changed
    histories = sorted(risk.verdict(name).features["history"] for name in names)
    assert histories == sorted(float(n) for n in range(KILLS * 5) for _ in range(20)), (
        "none forgotten, none counted twice"
    )


def test_controls_are_in_force_from_the_first_payment_and_live(kafka: str, flow: Flow, risk: Risk) -> None:
    producer, key = kafka_client.producer(kafka), f"blocked-{time.time_ns()}"
    rule = Rule(f"rule-{key}", "history", 1, "review", "seen_before", True, BEGIN)
    entry = ListEntry(f"entry-{key}", "block", "instrument", key, "stolen", None, BEGIN)
    send(producer, control_record("control.list_entry", entry.id, entry))
    flow.start()
    send(producer, payment_record(payment(0, id=f"{key}-0", stream_key=key)))
    until(lambda: risk.has({f"{key}-0"}))
    assert risk.verdict(f"{key}-0").outcome == "block"
    send(producer, control_record("control.rule", rule.id, rule))
    numbers = count(1)

    def rule_spoke() -> bool:
        number = next(numbers)
        name = f"{key}-{number}"
        send(producer, payment_record(payment(number, id=name, stream_key=f"other-{key}")))
        until(lambda: risk.has({name}))
        return "seen_before" in risk.verdict(name).reasons

    until(rule_spoke)
    send(producer, control_record("control.rule", rule.id, Rule(**{**_fields(rule), "enabled": False})))


def _fields(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in rule.__struct_fields__}


def _judgement(event: Event) -> set[tuple[str, str]]:
    assert isinstance(event.data, Verdict)
    judged = timeless(event.data)
    parts = {name: getattr(judged, name) for name in ("outcome", "reasons", "score", "input_offset")}
    return {(name, repr(value)) for name, value in (parts | judged.features).items()}


def label_headers() -> list[tuple[str, bytes]]:
    judged = verdicts(run(payments(1)))[0]
    return label_record(judged, True).headers


def control_record(type: str, key: str, data: Rule | ListEntry) -> Record:
    return record(CONTROLS.name, key, Event(f"evt_{key}", type, "/test", key, BEGIN, data))


def send(producer: Any, item: Record) -> None:
    producer.produce(item.topic, item.value, item.key, headers=item.headers)
    assert producer.flush(60) == 0
