"""Kafka without an engine: topics, a producer that says what became of each record, consumers by assignment."""

import logging
import re
import socket
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from schemas.topics import Topic

REPEATED_AFTER_S = 10.0
SILENT_US = 2_000_000  # a broker that is there answers a fetch within half a second (`fetch.wait.max.ms`)
COMPLAINT = re.compile(r"(?P<kind>\w+) \[[^]]*\] \[thrd:(?P<broker>[^]]*)\]")


class Seldom(logging.Filter):
    """Lets each kind of complaint about a broker through once in 10 s.

    librdkafka logs every try of every client: a broker away for 7 s took 2,200 lines of five processes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is to be logged."""
        complaint = COMPLAINT.match(record.getMessage())
        if complaint is None:
            return True
        about, now = (complaint["kind"], complaint["broker"]), time.monotonic()
        if now - self._said.get(about, -REPEATED_AFTER_S) < REPEATED_AFTER_S:
            return False
        self._said[about] = now
        return True


LOGGER = logging.getLogger("librdkafka")  # else it writes to standard error, past our JSON lines
LOGGER.addFilter(Seldom())

# librdkafka waits up to 10 s between tries by default: a restarted broker would be away for that long.
COMMON: dict[str, Any] = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "logger": LOGGER,
}


def producer(bootstrap: str, **settings: Any) -> Producer:
    """An idempotent producer with `acks=all` (librdkafka's default is neither)."""
    return Producer(
        COMMON
        | {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 0}
        | settings
    )


def consumer(bootstrap: str, group: str = "unused", **settings: Any) -> Consumer:
    """A consumer to `assign()`: it commits nothing, and an expired offset is an error, never skipped."""
    return Consumer(
        COMMON
        | {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": False,
        }
        | settings
    )


def is_listening(bootstrap: str) -> bool:
    """Whether any of these servers takes connections.

    Asked before a client is made: librdkafka complains of each refused try, and its calls hang for seconds.
    """
    return any(_accepts(address) for address in bootstrap.split(","))


def _accepts(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True


class _Broker(msgspec.Struct):
    state: str
    waitresp_cnt: int  # requests without an answer
    txidle: int  # microseconds since the last request
    toppars: dict[str, msgspec.Raw]  # what is read from it


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker]


def answering(statistics: str) -> bool:
    """Whether all brokers a consumer reads from are there and answer, by the document its `stats_cb` is given.

    https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md
    """
    found = msgspec.json.decode(statistics, type=_Statistics).brokers.values()
    read = [broker for broker in found if broker.toppars]
    silent = [b for b in read if b.state != "UP" or (b.waitresp_cnt and b.txidle > SILENT_US)]
    return bool(read) and not silent


def partitions(client: Consumer | Producer, topic: str, timeout_s: float = 10) -> list[int]:
    """The partitions of a topic. Raises `KafkaException` where the broker or the topic is away."""
    found = client.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def offsets_at(client: Consumer, topic: str, moment_ms: int) -> list[TopicPartition]:
    """Where each partition stands at a moment (milliseconds since 1970 UTC); the end where nothing is newer."""
    wanted = [TopicPartition(topic, p, moment_ms) for p in partitions(client, topic)]
    found: list[TopicPartition] = client.offsets_for_times(wanted, timeout=10)
    return found


def create_topics(bootstrap: str, topics: Iterable[Topic], replication: int = 1, timeout_s: float = 20) -> None:
    """Create the topics that do not exist yet, with their settings; return once every partition takes requests.

    A `replication` of -1 is the cluster's own. Raises `KafkaException`.
    """
    admin = AdminClient(COMMON | {"bootstrap.servers": bootstrap})
    topics = list(topics)
    wanted = [
        NewTopic(t.name, num_partitions=t.partitions, replication_factor=replication, config=t.config)
        for t in topics
    ]
    for future in admin.create_topics(wanted, request_timeout=timeout_s).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    _await_leaders(admin, topics, time.monotonic() + timeout_s)


def _await_leaders(admin: AdminClient, topics: Iterable[Topic], until: float) -> None:
    # A topic that was just created, and any topic after a kill of the broker, has no leader for a moment.
    end = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(t.name, p): end for t in topics for p in range(t.partitions)}
    while True:
        try:
            for future in admin.list_offsets(wanted, request_timeout=5).values():
                future.result()
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
