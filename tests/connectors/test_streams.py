"""The Bytewax source and sink, against the real broker."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import Source
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka import consumer, create_topics, producer
from connectors.record_reader import WAIT_S, Bookmark, RecordReader
from connectors.streams import (
    BroadcastSource,
    DeliveryFailed,
    KafkaSink,
    KafkaSource,
    OffsetGone,
    Out,
    Record,
    decode_step,
    write_step,
)
from schemas.events import decode, encode, new_event
from schemas.fraud import Label
from schemas.ids import new_id
from schemas.times import now
from schemas.topics import Topic
from tests.gateway.events.test_relay_faults import give_up
from tests.patience import best_of, until

Write = Callable[..., None]


@pytest.fixture
def topic(kafka: str) -> str:
    name = new_id("topic")
    create_topics(kafka, [Topic(name, "", "", (), {"retention.ms": "-1"}, partitions=3)])
    return name


@pytest.fixture
def write(kafka: str) -> Write:
    client = producer(kafka)

    def send(topic: str, *values: bytes | None, partition: int = 0) -> None:
        for value in values:
            client.produce(topic, value, partition=partition)
        assert client.flush(60) == 0

    return send


class Enough(Exception):
    """Ends a flow that would go on."""


@contextmanager
def raising(kind: type[BaseException]) -> Iterator[None]:
    """The block raises an error of `kind`, which Bytewax wraps in its own."""
    with pytest.raises(BytewaxRuntimeError) as caught:
        yield
    causes: list[BaseException | None] = [caught.value]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    assert any(isinstance(cause, kind) for cause in causes)


def drained(source: Source[Record], **run: Any) -> list[Record]:
    records: list[Record] = []
    flow = Dataflow("drained")
    op.output("out", op.input("in", flow, source), TestingSink(records))
    run_main(flow, **run)
    return records


def test_all_partitions_of_all_topics_are_read_in_their_order(kafka: str, topic: str, write: Write) -> None:
    for partition in range(3):
        write(topic, *(f"{partition}-{n}".encode() for n in range(700)), partition=partition)

    records = drained(KafkaSource(kafka, topic, tail=False))

    for partition in range(3):
        mine = [r for r in records if r.partition == partition]
        assert [r.value for r in mine] == [f"{partition}-{n}".encode() for n in range(700)]
        assert [r.offset for r in mine] == list(range(700))


def test_it_starts_where_it_is_told(kafka: str, topic: str, write: Write) -> None:
    write(topic, b"0", b"1", b"2")
    write(topic, b"other", partition=1)
    source = KafkaSource(kafka, topic, start={(topic, 0): Bookmark(2)}, tail=False)
    assert sorted(r.value or b"" for r in drained(source)) == [b"2", b"other"]


def test_recovery_resumes_after_the_last_snapshot(kafka: str, topic: str, write: Write, tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    keep = {
        "recovery_config": RecoveryConfig(tmp_path, backup_interval=timedelta(0)),
        "epoch_interval": timedelta(0),
    }
    write(topic, b"0", b"1")
    first = drained(KafkaSource(kafka, topic, tail=False), **keep)
    write(topic, b"2")
    second = drained(KafkaSource(kafka, topic, tail=False), **keep)
    assert [r.value for r in first] == [b"0", b"1"]
    assert [r.value for r in second] == [b"2"]


def test_workers_share_the_partitions(kafka: str, topic: str, write: Write) -> None:
    for partition in range(3):
        write(topic, b"a", b"b", partition=partition)
    records: list[Record] = []
    flow = Dataflow("shared")
    op.output("out", op.input("in", flow, KafkaSource(kafka, topic, tail=False)), TestingSink(records))
    cluster_main(flow, [], 0, worker_count_per_proc=2)
    assert sorted((r.partition, r.offset) for r in records) == [(p, o) for p in range(3) for o in range(2)]


def test_an_expired_offset_raises(kafka: str, topic: str, write: Write) -> None:
    write(topic, *(b"%d" % n for n in range(5)))
    expire(kafka, topic, before=3)
    with raising(OffsetGone):
        drained(KafkaSource(kafka, topic, start={(topic, 0): Bookmark(0)}, tail=False))


def test_an_offset_past_the_end_of_the_log_goes_back(kafka: str, topic: str, write: Write) -> None:
    write(topic, *(b"%d" % n for n in range(5)))
    source = KafkaSource(kafka, topic, start={(topic, 0): Bookmark(99)}, tail=False)
    assert [record.offset for record in drained(source)] == [0, 1, 2, 3, 4]


def test_an_offset_that_expires_while_it_is_read_raises(kafka: str, topic: str, write: Write) -> None:
    write(topic, *(b"%d" % n for n in range(5)))
    expire(kafka, topic, before=3)
    reader = RecordReader(kafka)
    reader.bookmarks[(topic, 0)] = Bookmark(1)  # as if it had stood there before the records went
    reader._consumer.assign([TopicPartition(topic, 0, 1)])
    with pytest.raises(OffsetGone, match=topic):
        reader.poll(10)
    reader.close()


def test_an_offset_may_expire_where_the_topic_is_kept_for_a_while(kafka: str, topic: str, write: Write) -> None:
    write(topic, *(b"%d" % n for n in range(5)))
    expire(kafka, topic, before=3)
    source = BroadcastSource(kafka, topic, start={(topic, 0): Bookmark(0)}, may_expire={topic}, tail=False)
    assert [r.value for r in drained(source)] == [b"3", b"4"]


def test_a_first_start_begins_at_what_is_left_of_the_log(kafka: str, topic: str, write: Write) -> None:
    write(topic, *(b"%d" % n for n in range(5)))
    expire(kafka, topic, before=3)
    assert [r.value for r in drained(KafkaSource(kafka, topic, tail=False))] == [b"3", b"4"]


def test_a_silent_source_holds_no_other_up(kafka: str, topic: str, write: Write) -> None:
    """Records pass as fast beside a topic and a broadcast that have nothing to say as they do alone."""
    silent = new_id("topic")
    create_topics(kafka, [Topic(silent, "", "", (), {"retention.ms": "-1"}, partitions=3)])

    def hop_s(topics: list[str], beside: Source[Record] | None) -> float:
        write(topic, b"first")
        moments: list[float] = []

        def bounce(record: Record) -> list[Record]:
            moments.append(time.perf_counter())
            if len(moments) > 20:
                raise Enough
            write(topic, b"next", partition=len(moments) % 3)
            return []

        flow = Dataflow("bounce")
        if beside:
            op.output("rest", op.input("rules", flow, beside), TestingSink([]))
        records = op.input("in", flow, KafkaSource(kafka, topics, start=ends(kafka, topic)))
        op.output("out", op.flat_map("bounce", records, bounce), TestingSink([]))
        with raising(Enough):
            run_main(flow)
        return median(after - before for before, after in pairwise(moments))

    def is_as_fast() -> bool:
        alone = hop_s([topic], None)
        return hop_s([silent, topic], BroadcastSource(kafka, silent, every_s=0.5)) < alone + 0.04

    assert best_of(5, is_as_fast)


def test_no_record_waits_for_its_partitions_turn_while_the_source_sleeps(
    kafka: str, topic: str, write: Write
) -> None:
    """Single records, each followed by two of another kind, as the steps of a payment are."""
    assert best_of(5, lambda: none_is_late(kafka, topic, write))


def none_is_late(kafka: str, topic: str, write: Write) -> bool:
    """Whether of 60 records that are asked for one after the other at most two come late."""
    write(topic, b"asked")
    took: list[float] = []
    sent = time.perf_counter()

    def bounce(record: Record) -> list[Record]:
        nonlocal sent
        if record.value == b"asked":
            took.append(time.perf_counter() - sent)
            partition = len(took) % 3
            threading.Timer(0.004, write, (topic, b"done", b"told"), {"partition": partition}).start()
        elif record.value == b"told":
            if len(took) == 60:
                raise Enough
            sent = time.perf_counter() + 0.01
            threading.Timer(0.01, write, (topic, b"asked"), {"partition": (len(took) + 1) % 3}).start()
        return []

    flow = Dataflow("bounce")
    stream = op.input("in", flow, KafkaSource(kafka, topic, start=ends(kafka, topic)))
    op.output("out", op.flat_map("bounce", stream, bounce), TestingSink([]))
    with raising(Enough):
        run_main(flow)
    return sum(seconds > 0.9 * WAIT_S for seconds in took) <= 2


def test_idling_costs_next_to_nothing(kafka: str, topic: str) -> None:
    assert best_of(3, lambda: idle_s(kafka, topic) < 0.2), "two idle seconds cost more than a tenth of a core"


def idle_s(kafka: str, topic: str) -> float:
    """CPU seconds of the flow's thread in about two seconds in which nothing comes."""
    spent: list[float] = []

    def beat(_lag: int) -> None:
        spent.append(time.thread_time())
        if len(spent) == 4:
            raise Enough

    flow = Dataflow("idle")
    op.output("out", op.input("in", flow, KafkaSource(kafka, topic, on_lag=beat)), TestingSink([]))
    with raising(Enough):
        run_main(flow)
    return spent[-1] - spent[1]


def test_a_broadcast_gives_all_that_stood_on_the_topic_at_once(kafka: str, topic: str, write: Write) -> None:
    for partition in range(3):
        write(topic, *(b"x" for _ in range(600)), partition=partition)
    part = BroadcastSource(kafka, topic, every_s=0.5).build("step", 0, 1)
    assert len(list(part.next_batch())) == 1800
    write(topic, b"later")
    begun = time.monotonic()
    until(lambda: list(part.next_batch()))
    assert time.monotonic() - begun >= 0.4
    part.close()


def test_a_clock_set_back_does_not_put_a_broadcast_off(
    kafka: str, topic: str, write: Write, set_clock: Callable[[float], None]
) -> None:
    part = BroadcastSource(kafka, topic, every_s=0.1).build("step", 0, 1)
    part.next_batch()
    set_clock(-1)
    write(topic, b"later")
    until(lambda: list(part.next_batch()))
    assert part.next_awake() is None
    part.close()


def test_lag_counts_what_is_still_to_be_read(kafka: str, topic: str, write: Write) -> None:
    write(topic, *(b"x" for _ in range(1200)))
    lags: list[int] = []
    part = BroadcastSource(kafka, topic, on_lag=lambda lag: lags.append(sum(lag.values()))).build("step", 0, 1)
    begun = time.monotonic()

    def has_read_all() -> bool:
        part.next_batch()
        return lags[-1:] == [0]

    until(has_read_all)
    part.close()
    assert len(lags) <= time.monotonic() - begun + 2, "at most about one a second"


def test_the_sink_writes_key_headers_and_value(kafka: str, topic: str) -> None:
    outs = [Out(topic, b"key", [("ce_id", b"evt_1")], b"%d" % n) for n in range(3)]
    flow = Dataflow("write")
    op.output("out", op.input("in", flow, TestingSource(outs)), KafkaSink(kafka))
    run_main(flow)
    records = drained(KafkaSource(kafka, topic, tail=False))
    assert [(r.key, r.headers, r.value) for r in records] == [
        (b"key", [("ce_id", b"evt_1")], b"%d" % n) for n in range(3)
    ]
    assert len({r.partition for r in records}) == 1


@pytest.mark.parametrize("write", [op.output, write_step])
def test_the_sink_raises_where_the_broker_is_away(write: Callable[..., None]) -> None:
    flow = Dataflow("away")
    outs = [Out("payments.v1", b"key", [], b"value")]
    write("out", op.input("in", flow, TestingSource(outs)), KafkaSink("localhost:1", ack_s=0.5))
    with raising(DeliveryFailed):
        run_main(flow)


def test_the_sink_raises_where_the_topic_does_not_exist(kafka: str) -> None:
    flow = Dataflow("nowhere")
    outs = [Out(new_id("nowhere"), b"key", [], b"value")]
    op.output("out", op.input("in", flow, TestingSource(outs)), KafkaSink(kafka, ack_s=1))
    with raising(DeliveryFailed):
        run_main(flow)


@pytest.mark.parametrize("gave_up_before", [True, False])
def test_the_sink_replaces_a_producer_that_gave_up(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch, gave_up_before: bool
) -> None:
    writer = KafkaSink(kafka).build("out", 0, 1)
    first = writer._producer
    if gave_up_before:
        give_up(first)
    else:  # meanwhile: its `flush` returns nothing and sets no exception
        failing = SimpleNamespace(produce=first.produce, poll=first.poll, flush=failed_flush)
        monkeypatch.setattr(writer, "_producer", failing)
    writer.write_batch([Out(topic, b"key", [], b"%d" % n) for n in range(3)])
    writer.write_batch([Out(topic, b"key", [], b"3")])
    found = [r.value for r in drained(KafkaSource(kafka, topic, tail=False))]
    assert list(dict.fromkeys(found)) == [b"%d" % n for n in range(4)]


def failed_flush(_timeout_s: float) -> NoReturn:
    raise SystemError("returned NULL without setting an exception")


def test_decoding_sets_aside_what_nobody_can_read() -> None:
    label = Label("pay_1", "fp_1", "acc_1", "good", "test", 100, "EUR", None, None, None, now(), now())
    headers, value = encode(new_event("label.recorded", "test", "pay_1", label, now()))
    good = Record("labels.v1", 0, 7, b"fp_1", headers, value, 0)
    poison = Record("labels.v1", 0, 8, b"fp_1", [], b"{", 0)
    events: list[Any] = []
    letters: list[Out] = []
    flow = Dataflow("decode")
    decoded = decode_step("read", op.input("in", flow, TestingSource([good, poison])), "test")
    op.output("events", decoded.events, TestingSink(events))
    op.output("dead", decoded.dead_letters, TestingSink(letters))
    run_main(flow)
    assert [(record, event.data) for record, event in events] == [(good, label)]
    assert [letter.topic for letter in letters] == ["dead_letter.v1"]
    assert decode(letters[0].headers, letters[0].value).subject == "labels.v1/0/8"


def expire(kafka: str, topic: str, before: int) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([TopicPartition(topic, 0, before)])[TopicPartition(topic, 0, before)].result(60)


def ends(kafka: str, topic: str) -> dict[tuple[str, int], Bookmark]:
    """Before the last record of partition 0, and after all of the others."""
    client = consumer(kafka)
    found = {p: client.get_watermark_offsets(TopicPartition(topic, p), timeout=60)[1] for p in range(3)}
    client.close()
    return {(topic, p): Bookmark(max(0, end - (p == 0))) for p, end in found.items()}
