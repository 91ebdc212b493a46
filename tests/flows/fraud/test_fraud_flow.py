"""The dataflow: on lists, and as the supervisor runs it, with real Kafka and kill -9."""

import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

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
from schemas.topics import CONTROLS, DEAD_LETTER, RISK, TOPICS
from sluice.processes import fraud_workers
from sluice.settings import StackSettings
from tests.conftest import unused_ports
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

# Which processes are killed, none meaning all, and how many there are then, with how many workers each.
SCALES: tuple[tuple[tuple[str, ...], int, int], ...] = (((), 1, 4), ((), 2, 1), (("fraud_2",), 2, 1))
SETTINGS = FraudSettings(fraud_min_labels=20)


def run(records: list[Record], controls: list[Record] | None = None, workers: int = 1) -> list[Any]:
    written: list[Any] = []
    changes, in_force = TestingSource(controls or []), Controls(DEFAULTS)
    flow = build(TestingSource(records, batch_size=7), changes, TestingSink(written), SETTINGS, in_force)
    if workers == 1:
        run_main(flow)
    else:
        cluster_main(flow, [], 0, worker_count_per_proc=workers)
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


def test_several_workers_say_bit_for_bit_what_one_says() -> None:
    """Cards, customers and merchants share each other by turns, so what was out of turn would show."""
    paid = [
        payment(
            n,
            stream_key=f"fp_{n % 7}",
            customer=f"acc_{n % 5}",
            merchant=f"acc_{n % 3}",
            amount=100 + n * n,
            device_hash=f"dev_{n % 4}",
            ip_hash=f"ip_{n % 6}",
            email_domain_hash="one" if n % 2 else None,
        )
        for n in range(240)
    ]
    records = [payment_record(each, n) for n, each in enumerate(paid)]
    labels = [label_record(v, n % 4 == 0, n) for n, v in enumerate(verdicts(run(records[:60])))]
    stream = [*records[:60], *labels, *labels[:9], *records[60:150], records[70], *records[150:]]
    by_one, *by_several = (verdicts(run(stream, workers=workers)) for workers in (1, 2, 4))
    assert len(by_one) == len(paid)
    assert any(v.source == "model" for v in by_one)
    for found in by_several:
        assert [timeless(v) for v in found] == [timeless(v) for v in by_one]


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
    """The processes as the stack starts them, and killed."""

    def __init__(self, data: Path, bootstrap: str) -> None:
        self._addresses = [f"localhost:{port}" for port in unused_ports(2)]
        self._settings = StackSettings(data=data, kafka=bootstrap)
        self._log = data / "log"
        self._plain = {"PATH": os.environ["PATH"], "SLUICE_DATA": str(data), "SLUICE_KAFKA": bootstrap}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, processes: int = 1, threads: int = 1) -> None:
        self._plain["SLUICE_FRAUD_WORKERS"] = str(processes * threads)
        addresses = ",".join(self._addresses[:processes])
        settings = msgspec.structs.replace(self._settings, fraud_workers=processes, fraud_addresses=addresses)
        for process in fraud_workers(settings):
            assert process.prepare
            process.prepare()
            with self._log.open("ab") as log:
                command = [*process.command, "-w", str(threads)]
                environment = self._plain | process.given
                self._running[process.name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        until(self.all_beat)

    def kill(self, *names: str) -> None:
        """Kill these processes, or all; of a cluster the others then end by themselves."""
        for name in names or [*self._running]:
            self._running[name].send_signal(signal.SIGKILL)
        for name in [*self._running]:
            self._running.pop(name).wait(60)

    def all_beat(self) -> bool:
        for name, process in self._running.items():
            assert process.poll() is None, self._log.read_text()
            beat = last_beat(self._settings, name)
            if beat is None or beat.pid != process.pid:
                return False
        return True


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
    for number in range(len(SCALES) * 100):
        # A merchant and a customer for each card: what two partitions share comes in another order after a kill.
        one = f"{key}-{number % 20}"
        paid = payment(number, id=f"{key}-{number:03}", stream_key=one, merchant=one, customer=one)
        send(producer, payment_record(paid))
        names.add(paid.id)
        if number % 100 == 60:
            until(lambda name=paid.id: risk.has({name}))
            killed, processes, threads = SCALES[number // 100]
            flow.kill(*killed)
            flow.start(processes, threads)
    until(lambda: risk.has(names))
    for name in names:
        assert {event.id for event in risk.events[name]} == {derived_id(f"evt_{name}", "risk.verdict")}
        first, *again = map(_judgement, risk.events[name])
        changed = [first ^ each for each in again]
        assert not any(changed), changed
    histories = sorted(risk.verdict(name).features["history"] for name in names)
    assert histories == sorted(float(n) for n in range(len(SCALES) * 5) for _ in range(20)), (
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
