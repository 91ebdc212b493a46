"""Kafka without Bytewax: topics, an idempotent producer, consumers by assignment."""

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

from connectors.logs import LoggedOnce
from schemas.topics import Topic

POLL_S = 0.05  # of a thread that polls: how soon it sees that it is to stop
REPEATED_AFTER_S = 10.0
SILENT_US = 2_000_000  # a live broker answers a fetch within half a second (`fetch.wait.max.ms`)
BROKER_MESSAGE = re.compile(r"(?P<kind>\w+) \[[^]]*\] \[thrd:(?P<broker>[^]]*)\]")


class RepeatFilter(logging.Filter):
    """Passes each kind of message about a broker once in `REPEATED_AFTER_S`.

    librdkafka logs each attempt of each client: a broker that was down for 7 s took 2,200 lines of five processes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._once = LoggedOnce(REPEATED_AFTER_S)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is to be logged."""
        about_broker = BROKER_MESSAGE.match(record.getMessage())
        return about_broker is None or self._once.is_due((about_broker["kind"], about_broker["broker"]))


LOGGER = logging.getLogger("librdkafka")  # by default it writes to standard error, outside of our JSON lines
LOGGER.addFilter(RepeatFilter())

# librdkafka's default is up to 10 s between attempts, so a restarted broker would stay unreachable for that long.
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
    """A consumer for `assign()`: it commits nothing, and an expired offset is an error instead of a skip."""
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
    """Whether any of these servers accepts connections.

    Checked before a client is created: librdkafka logs each refused attempt, and its calls hang for seconds.
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
    """Whether all brokers a consumer reads from are up and answering, by the JSON given to its `stats_cb`.

    https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md
    """
    found = msgspec.json.decode(statistics, type=_Statistics).brokers.values()
    read = [broker for broker in found if broker.toppars]
    silent = [b for b in read if b.state != "UP" or (b.waitresp_cnt and b.txidle > SILENT_US)]
    return bool(read) and not silent


def partitions(client: Consumer | Producer, topic: str, timeout_s: float = 10) -> list[int]:
    """The partitions of a topic. Raises `KafkaException` where the broker or the topic is unavailable."""
    found = client.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def offsets_at(client: Consumer, topic: str, moment_ms: int) -> list[TopicPartition]:
    """Each partition's offset at a moment (milliseconds since 1970 UTC); its end where no record is newer."""
    wanted = [TopicPartition(topic, p, moment_ms) for p in partitions(client, topic)]
    found: list[TopicPartition] = client.offsets_for_times(wanted, timeout=10)
    return found


def create_topics(bootstrap: str, topics: Iterable[Topic], replication: int = 1, timeout_s: float = 20) -> None:
    """Create the topics that do not exist yet, with their settings; return once every partition accepts requests.

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
    # A new topic, and any topic after the broker was killed, has no leader for a moment.
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
