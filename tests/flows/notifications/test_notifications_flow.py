"""The whole flow as the supervisor runs it: real Kafka, real SMTP, real HTTP, and kill -9."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bytewax.recovery import init_db_dir

from connectors import kafka as kafka_client
from connectors.heartbeat import last_beat
from connectors.record_reader import RecordReader
from schemas.events import Event, decode, encode
from tests.conftest import contents
from tests.patience import until

pytestmark = pytest.mark.stack


class Flow:
    """The process, started and killed."""

    def __init__(self, stage: Any, bootstrap: str, log: Path) -> None:
        self._settings, self._log = stage.settings, log
        self.store = stage.settings.data / "notifications"
        self.make_store()
        self._environment = {
            "PATH": os.environ["PATH"],
            "SLUICE_DATA": str(stage.settings.data),
            "SLUICE_PORT_OFFSET": str(stage.settings.port_offset),
            "SLUICE_KAFKA": bootstrap,
            "SLUICE_GATEWAY": stage.url,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "bytewax.run", "flows.notifications.flow:get_flow"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-r", str(self.store), "-s", "1", "-b", "0"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def make_store(self) -> None:
        """A recovery store, in place of the one that is there."""
        self.store.mkdir(parents=True, exist_ok=True)
        for part in self.store.glob("part-*.sqlite3*"):
            part.unlink()
        init_db_dir(self.store, 1)

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def has_beaten(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        beat = last_beat(self._settings, "notifications")
        return beat is not None and beat.pid == self._process.pid


@pytest.fixture
def flow(stage: Any, kafka: str, tmp_path: Path) -> Iterator[Flow]:
    flow = Flow(stage, kafka, tmp_path / "log")
    yield flow
    flow.kill()


@pytest.fixture
def publish(kafka: str) -> Callable[[Event], None]:
    producer = kafka_client.producer(kafka)

    def run(event: Event) -> None:
        headers, value = encode(event)
        producer.produce("payments.v1", value, event.data.payment.stream_key, headers=[*headers])
        producer.flush(10)

    return run


def read_topic(bootstrap: str, topic: str) -> list[Event]:
    reader = RecordReader(bootstrap)
    for number in kafka_client.partitions(kafka_client.producer(bootstrap), topic):
        reader.add((topic, number))
    events: list[Event] = []
    while any(reader.bookmarks[place].offset < reader.ends[place] for place in reader.ends):
        events += [decode(record.headers, record.value) for record in reader.poll()]
    reader.close()
    return events


def test_from_payment_to_message_to_record(
    stage: Any, make: Any, flow: Flow, publish: Any, kafka: str, tmp_path: Path
) -> None:
    customer = f"acct_{os.urandom(4).hex()}"
    stage.gateway.recipients[customer] = make.recipient()
    event = make.completed(make.payment(customer=customer))
    flow.start()
    poison = kafka_client.producer(kafka)
    poison.produce("payments.v1", b"{", b"fp_1", headers=[("ce_type", b"transaction_completed")])
    poison.flush(10)
    publish(event)
    paid = make.payment(customer=customer)
    for status, sequence in (("pending", 5), ("failed", 6), ("pending", 7), ("succeeded", 8)):
        publish(refund := make.refunded(paid, 500, status, sequence))
    until(lambda: len(stage.messages()) == 4)
    until(lambda: len(records_of(kafka, event)) == len(records_of(kafka, refund)) == 2)
    assert {e.data.kind for e in records_of(kafka, refund)} == {"refund"}
    assert {e.data.channel: e.data.outcome for e in records_of(kafka, event)} == {
        "email": "delivered",
        "sms": "delivered",
    }
    until(lambda: any(e.source == "/flows/notifications" for e in read_topic(kafka, "dead_letter.v1")))
    until(flow.has_beaten)
    everything = [content for _, content in contents(tmp_path)]
    everything += [encode(e)[1] for e in read_topic(kafka, "notifications.v1")]
    assert not any(b"ada@example.com" in content or b"15005550006" in content for content in everything)


def test_killed_again_and_again_it_tells_each_customer_once(
    stage: Any, make: Any, flow: Flow, publish: Any, kafka: str
) -> None:
    customer = f"acct_{os.urandom(4).hex()}"
    stage.gateway.recipients[customer] = make.recipient()
    events = [make.completed(make.payment(customer=customer)) for _ in range(60)]
    flow.start()
    for number, event in enumerate(events):
        publish(event)
        if number % 20 == 19:
            told = len(stage.messages())
            until(lambda told=told: len(stage.messages()) > told)  # type: ignore[misc]
            flow.kill()
            flow.start()
    until(lambda: len(stage.messages()) >= 2 * len(events))
    until(lambda: len({e.id for e in records_of(kafka, *events)}) == 2 * len(events))
    texts = Counter(m["text"] for m in stage.messages() if m["channel"] == "sms")
    assert (len(texts), set(texts.values())) == (60, {1})
    mails = [m["copies"] for m in stage.messages() if m["channel"] == "email"]
    assert len(mails) == 60
    # SMTP cannot be asked: what each of the 4 connections had just handed over when the kill came is there twice.
    assert sum(mails) <= 60 + 3 * 4


@pytest.mark.parametrize("lost", ["recovery store", "log too"])
def test_a_flow_that_lost_its_store_tells_nobody_twice(
    stage: Any, make: Any, flow: Flow, publish: Any, kafka: str, lost: str
) -> None:
    """It reads the topic from its beginning; without its own log it has Kafka's word for what was told."""
    customer = f"acct_{os.urandom(4).hex()}"
    stage.gateway.recipients[customer] = make.recipient()
    before = [make.completed(make.payment(customer=customer)) for _ in range(20)]
    flow.start()
    for event in before:
        publish(event)
    until(lambda: len(records_of(kafka, *before)) == 40)
    flow.kill()
    flow.make_store()
    if lost == "log too":
        for file in flow.store.glob("effects.*"):
            file.unlink()
    after = make.completed(make.payment(customer=customer))
    publish(after)
    flow.start()
    until(lambda: len(records_of(kafka, after)) == 2)
    assert sum(message["copies"] for message in stage.messages()) == 42
    assert len(records_of(kafka, *before)) == 40


def records_of(bootstrap: str, *events: Event) -> list[Event]:
    causes = {event.id for event in events}
    return [e for e in read_topic(bootstrap, "notifications.v1") if e.data.event in causes]
