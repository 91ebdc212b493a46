"""A node of our own Kafka: what there is to know of it, and its `server.properties`."""

from pathlib import Path
from typing import Literal

import msgspec

from schemas.topic_rights import user

PROPERTIES = """\
process.roles=broker,controller
node.id={node_id}
listeners={listeners}
advertised.listeners={advertised_listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SERVICES:{protocol},CONTROLLER:{controller_protocol}
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
{quorum}
log.dirs={log_dirs}
auto.create.topics.enable=false
default.replication.factor={replication}
min.insync.replicas={min_isr}
offsets.topic.replication.factor={replication}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={min_isr}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={min_isr}
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
# What it acknowledges is on disk: one node alone has no replica that would survive the loss of its power, and
# nodes on one machine lose it together.
log.flush.interval.messages=1
broker.session.timeout.ms={session_ms}
# The controller drops a heartbeat it cannot handle within half of this, and fences the broker after a session
# without one: with 100 ms a busy machine was enough (seen at a load of 15 on two cores).
broker.heartbeat.interval.ms=400
num.network.threads=2
num.io.threads=4
# The compacted topic is tiny; by default the cleaner would reserve a third of the heap.
log.cleaner.dedupe.buffer.size=8388608
"""

SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PLAIN = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    'username="{admin}" password="{password}" user_{admin}="{password}";'
)
# The broker comes to itself there, and checks at its start that it trusts its own certificate.
TLS = """\
listener.name.{listener}.ssl.keystore.type=PEM
listener.name.{listener}.ssl.keystore.location={pem}
listener.name.{listener}.ssl.truststore.type=PEM
listener.name.{listener}.ssl.truststore.location={ca}
"""

COPIES_MAX = 3
# After a kill -9 a node alone may not write until the session of the one before it has ended. Of several, another
# one leads by then: it is more that none is taken for dead because the machine is busy. Kafka has 9 s by default.
SESSION_MS, SESSION_OF_SEVERAL_MS = 1_500, 6_000
Jit = Literal["full", "c1"]


class Broker(msgspec.Struct, frozen=True):
    """One node: where its data lies, its ports, its heap and how far the JVM compiles.

    `port` is for whoever is on this machine, without a password; our services come to `services_port`, at the
    address `host`, which their clients know as `advertised`. `full` costs less CPU per record once warm, `c1`
    starts a second earlier. `nodes`: what each node of a cluster is `advertised` as; there `port` is closed, for
    who is on this machine would be led to the other nodes.
    """

    directory: Path
    port: int
    controller_port: int
    services_port: int
    heap_mb: int = 384
    jit: Jit = "full"
    host: str = "localhost"
    advertised: str = "localhost"
    nodes: tuple[str, ...] = ()

    @property
    def bootstrap(self) -> str:
        """What clients on this machine connect to."""
        return f"localhost:{self.port}"


class BrokerSecrets(msgspec.Struct, frozen=True):
    """The admin's password, and the PEM files of key and certificate for our services; None: without TLS.

    `ca`: of the authorities that the certificate is trusted by. `cluster_id` is the same on each node of a
    cluster; a node alone draws its own.
    """

    admin_password: str
    pem: Path | None = None
    ca: Path | None = None
    cluster_id: str = ""


def properties(broker: Broker, log_dirs: Path, secrets: BrokerSecrets) -> str:
    """The text of `server.properties`; a password stands in it."""
    several, copies = bool(broker.nodes), min(len(broker.nodes), COPIES_MAX) or 1
    secured = "SASL_SSL" if secrets.pem else "SASL_PLAINTEXT"
    return PROPERTIES.format(
        node_id=broker.nodes.index(broker.advertised) + 1 if several else 1,
        listeners=_listeners(broker, broker.host),
        advertised_listeners=_listeners(broker, broker.advertised),
        quorum=_quorum(broker),
        replication=copies,
        min_isr=max(copies - 1, 1),
        session_ms=SESSION_OF_SEVERAL_MS if several else SESSION_MS,
        log_dirs=log_dirs,
        admin=user("admin"),
        plain=PLAIN.format(admin=user("admin"), password=secrets.admin_password),
        scram=SCRAM,
        protocol=secured,
        controller_protocol=secured if several else "SASL_PLAINTEXT",
        tls=_tls(secrets, ("services", "controller") if several else ("services",)),
    )


def _listeners(broker: Broker, host: str) -> str:
    services = f"SERVICES://{host}:{broker.services_port}"
    if broker.nodes:
        return f"{services},CONTROLLER://{host}:{broker.controller_port}"
    # Whoever is on this machine reads at the first; our services come by a password at the second.
    return f"PLAINTEXT://localhost:{broker.port},{services},CONTROLLER://localhost:{broker.controller_port}"


def _quorum(broker: Broker) -> str:
    """Who decides. A cluster's nodes are named for good: who lost its disk comes back as who it was."""
    if not broker.nodes:
        return f"controller.quorum.bootstrap.servers=localhost:{broker.controller_port}"
    voters = [f"{number}@{host}:{broker.controller_port}" for number, host in enumerate(broker.nodes, 1)]
    return f"controller.quorum.voters={','.join(voters)}"


def _tls(secrets: BrokerSecrets, listeners: tuple[str, ...]) -> str:
    if secrets.pem is None:
        return ""
    return "".join(TLS.format(listener=name, pem=secrets.pem, ca=secrets.ca) for name in listeners)
