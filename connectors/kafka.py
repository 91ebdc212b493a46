"""Kafka without Bytewax: every client of ours is made here, an idempotent producer or a consumer by assignment."""

import logging
import re
import socket
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from connectors.kafka_login import Bootstrap, KafkaLogin, address, connection, login
from connectors.keyfiles import SecretMissing
from connectors.logs import LoggedOnce
from schemas.settings import BadSetting, Settings
from schemas.topic_rights import GROUP, RIGHTS, Principal, TopicRights
from schemas.topics import Topic

POLL_S = 0.05  # of a thread that polls: how soon it sees that it is to stop
REPEATED_AFTER_S = 10.0
SILENT_US = 2_000_000  # a live broker answers a fetch within half a second (`fetch.wait.max.ms`)
BROKER_MESSAGE = re.compile(r"(?P<kind>\w+) \[[^]]*\] \[thrd:(?P<broker>[^]]*)\]")
REFUSED = {KafkaError._AUTHENTICATION, KafkaError._SSL}  # by these a wrong password or certificate shows
# What is said of a topic that one may not see.
FORBIDDEN = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART}
CHECKED_WITHIN_S = 10.0

log = structlog.get_logger()


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
        if "SASL authentication error" in record.getMessage():
            return False  # `kafka.refused` tells of it
        return about_broker is None or self._once.is_due((about_broker["kind"], about_broker["broker"]))


LOGGER = logging.getLogger("librdkafka")  # by default it writes to standard error, outside of our JSON lines
LOGGER.addFilter(RepeatFilter())

# librdkafka's default is up to 10 s between attempts, so a restarted broker would stay unreachable for that long.
COMMON: dict[str, Any] = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "logger": LOGGER,
}


class KafkaRefused(Exception):
    """Kafka answers, and lets this login in no more than anybody; the message says whom it refused, and where."""


class ErrorLog:
    """Logs the errors of a client, each kind once in `REPEATED_AFTER_S`: librdkafka tells of every attempt."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._once = LoggedOnce(REPEATED_AFTER_S)

    def __call__(self, error: KafkaError) -> None:
        """Log an error, unless one of its kind was logged a moment ago."""
        if not self._once.is_due(error.code()):
            return
        if error.code() in REFUSED:
            log.error("kafka.refused", reason=refusal(self._bootstrap, error))
        else:
            log.warning("kafka.unavailable", error=error.str())


def refusal(bootstrap: Bootstrap, error: KafkaError) -> str:
    """Whom Kafka refuses and why, in one line."""
    who = bootstrap.user if isinstance(bootstrap, KafkaLogin) else "nobody in particular"
    return f"Kafka at {address(bootstrap)} does not let {who} in: {error.str()}"


def producer(bootstrap: Bootstrap, **settings: Any) -> Producer:
    """An idempotent producer with `acks=all` (librdkafka's default is neither)."""
    return Producer(_client(bootstrap) | {"enable.idempotence": True, "acks": "all", "linger.ms": 0} | settings)


def consumer(bootstrap: Bootstrap, group: str = GROUP, **settings: Any) -> Consumer:
    """A consumer for `assign()`: it commits nothing, and an expired offset is an error instead of a skip."""
    return Consumer(
        _client(bootstrap)
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": False,
        }
        | settings
    )


def admin_client(bootstrap: Bootstrap) -> AdminClient:
    """What topics, users and rights are made by."""
    return AdminClient(_client(bootstrap))


def _client(bootstrap: Bootstrap) -> dict[str, Any]:
    return COMMON | {"error_cb": ErrorLog(bootstrap)} | connection(bootstrap)


def log_in(settings: Settings, principal: Principal) -> Bootstrap:
    """By which a process connects. At its start: where it is refused, one line is logged and the process ends."""
    try:
        bootstrap = login(settings, principal)
        check_login(bootstrap)
        check_rights(bootstrap, principal)
    except (BadSetting, KafkaException, KafkaRefused, SecretMissing) as refused:
        log.error("kafka.refused", reason=str(refused))
        raise SystemExit(1) from None
    return bootstrap


def check_login(bootstrap: Bootstrap) -> None:
    """Raises `KafkaRefused` where Kafka answers and refuses; where it does not answer it may come later."""
    if not is_listening(bootstrap):
        return
    errors: list[KafkaError] = []
    client = consumer(bootstrap, error_cb=errors.append)
    until = time.monotonic() + CHECKED_WITHIN_S
    try:
        while time.monotonic() < until:
            client.poll(0)  # serves `error_cb`
            if refused := [error for error in errors if error.code() in REFUSED]:
                raise KafkaRefused(refusal(bootstrap, refused[0]))
            if _answers(client):
                return
    finally:
        client.close()


def check_rights(bootstrap: Bootstrap, principal: Principal) -> None:
    """Raises `KafkaRefused` where a service may not do at Kafka what it is there for, by its table of rights."""
    if isinstance(bootstrap, str) or not is_listening(bootstrap):
        return
    admin, lacking = admin_client(bootstrap), list[str]()
    needed = {rights.topic: _operations(rights, principal) for rights in RIGHTS}
    asked = TopicCollection([topic for topic, operations in needed.items() if operations])
    described = admin.describe_topics(asked, include_authorized_operations=True, request_timeout=CHECKED_WITHIN_S)
    for topic, told in described.items():
        try:
            allowed = {operation.name for operation in told.result().authorized_operations}
        except KafkaException as error:
            if error.args[0].code() not in FORBIDDEN:
                return  # it may come later, as in `check_login`
            allowed = set()
        lacking += [f"{operation} {topic}" for operation in sorted(needed[topic] - allowed)]
    if lacking:
        who = f"Kafka at {bootstrap.servers} does not let {bootstrap.user}"
        raise KafkaRefused(f"{who} {', '.join(lacking)}: `sluice kafka apply` makes topics and rights")


def _operations(rights: TopicRights, principal: Principal) -> set[str]:
    reads, writes = principal in rights.readers, principal in rights.writers
    return {name for name, is_needed in (("READ", reads), ("WRITE", writes)) if is_needed}


def _answers(client: Consumer) -> bool:
    try:
        client.list_topics(timeout=0.5)
    except KafkaException:
        return False
    return True


def is_listening(bootstrap: Bootstrap) -> bool:
    """Whether any of these servers accepts connections.

    Checked before a client is created: librdkafka logs each refused attempt, and its calls hang for seconds.
    """
    return any(_accepts(server) for server in address(bootstrap).split(","))


def _accepts(server: str) -> bool:
    host, _, port = server.strip().rpartition(":")
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


def create_topics(
    bootstrap: Bootstrap, topics: Iterable[Topic], replication: int = 1, timeout_s: float = 20, min_isr: int = 0
) -> None:
    """Create the topics that do not exist yet, with their settings; return once every partition accepts requests.

    A `replication` of -1 and a `min_isr` of 0 are the cluster's own. Raises `KafkaException`.
    """
    admin, topics = admin_client(bootstrap), list(topics)
    missing = missing_topics(admin, topics, timeout_s)
    in_sync = {"min.insync.replicas": str(min_isr)} if min_isr else {}
    wanted = [
        NewTopic(t.name, num_partitions=t.partitions, replication_factor=replication, config=t.config | in_sync)
        for t in missing
    ]
    for future in (admin.create_topics(wanted, request_timeout=timeout_s) if wanted else {}).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    _await_leaders(bootstrap, topics, time.monotonic() + timeout_s)


def missing_topics(admin: AdminClient, topics: Iterable[Topic], timeout_s: float) -> list[Topic]:
    """Those that do not exist, or that this login may not see. Raises `KafkaException`."""
    there = admin.list_topics(timeout=timeout_s).topics
    return [topic for topic in topics if topic.name not in there]


def _await_leaders(bootstrap: Bootstrap, topics: Iterable[Topic], until: float) -> None:
    """Return once every partition accepts requests; a new one, or any after a broker's death, has no leader yet.

    Each look is a new client's: one that had listed all topics and then asks for a new one too early never finds
    it (librdkafka 2.16.1). No test holds that: it takes a broker that is slow at that moment. Raises
    `KafkaException` where one has none at `until` (`time.monotonic()`, seconds).
    """
    end = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(t.name, p): end for t in topics for p in range(t.partitions)}
    while True:
        admin = admin_client(bootstrap)  # by name: a client that nothing refers to ends, and its futures never do
        try:
            for future in admin.list_offsets(wanted, request_timeout=5).values():
                future.result()
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
