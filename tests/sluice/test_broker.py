"""The broker: a real Kafka, its storage, its restart after a kill."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

from connectors.kafka import KafkaRefused, admin_client, check_login, consumer, producer
from connectors.kafka_login import KafkaLogin, login
from schemas.settings import BadSetting
from schemas.topics import PAYMENTS
from sluice import broker
from sluice.broker import BrokerFailed
from sluice.broker_properties import Broker, properties
from sluice.broker_secrets import broker_secrets
from sluice.own_kafka import own_broker
from sluice.settings import StackSettings
from tests.brokers import SECRETS, as_admin, is_set_up, new_node, running
from tests.patience import until

Ports = Callable[[int], list[int]]


@pytest.fixture
def node(tmp_path: Path, free_ports: Ports) -> Broker:
    return new_node(tmp_path, free_ports)


def put(node: Broker, value: bytes) -> None:
    client = producer(as_admin(node))
    client.produce(PAYMENTS.name, value, partition=0)
    assert client.flush(60) == 0


def first_values(node: Broker, count: int) -> list[bytes | None]:
    client = consumer(as_admin(node))
    client.assign([TopicPartition(PAYMENTS.name, 0, 0)])
    values = [message.value() for message in client.consume(count, 60)]
    client.close()
    return values


@pytest.mark.stack
def test_after_a_kill_it_is_back_with_what_it_acknowledged_at_other_ports_and_by_another_name(
    node: Broker, class_path: list[Path], free_ports: Ports
) -> None:
    with running(node, class_path):
        put(node, b"one")
    port, controller_port, services_port = free_ports(3)
    moved = msgspec.structs.replace(node, port=port, controller_port=controller_port, services_port=services_port)
    elsewhere = msgspec.structs.replace(moved, host="0.0.0.0", advertised="127.0.0.2")
    with running(elsewhere, class_path):
        assert first_values(elsewhere, 1) == [b"one"]
        assert setting(elsewhere, ResourceType.TOPIC, PAYMENTS.name, "flush.messages") == "1"
        session = setting(elsewhere, ResourceType.BROKER, "1", "broker.session.timeout.ms")
        assert session == "1500", "by default it would be back 9 s after a kill"
        reached = msgspec.structs.replace(as_admin(elsewhere), servers=f"127.0.0.2:{services_port}")
        told = producer(reached).list_topics(timeout=30).brokers.values()
        assert [(broker.host, broker.port) for broker in told] == [("127.0.0.2", services_port)]


@pytest.mark.stack
def test_where_a_network_is_crossed_services_come_by_tls(
    tmp_path: Path, class_path: list[Path], free_offset: Callable[[], int]
) -> None:
    settings = StackSettings(
        data=tmp_path, host="0.0.0.0", port_offset=free_offset(), kafka_heap_mb=256, kafka_jit="c1"
    )
    broker.prepare(own_broker(settings), class_path, broker_secrets(settings))
    with subprocess.Popen(broker.command(own_broker(settings), class_path), stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: is_set_up(settings) or process.poll() is not None)
            service = login(settings, "fraud")
            assert isinstance(service, KafkaLogin)
            check_login(service)
            with pytest.raises(KafkaRefused, match="certificate"):
                check_login(msgspec.structs.replace(service, ca=None))
        finally:
            process.kill()


def setting(node: Broker, kind: ResourceType, name: str, key: str) -> str | None:
    """By what a broker that runs says it goes."""
    asked, admin = ConfigResource(kind, name), admin_client(as_admin(node))
    return admin.describe_configs([asked])[asked].result(60)[key].value  # type: ignore[no-any-return]


def test_a_formatting_that_was_cut_short_is_done_again(
    node: Broker, class_path: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "token_bytes", lambda count: b"\xfb" * count)  # its id reads as an option
    torn = node.directory / "data.new"
    torn.mkdir(parents=True)
    (torn / "meta.properties").write_text("version=1\ncluster.id=torn\n")
    broker.prepare(node, class_path, SECRETS)
    written = (node.directory / "data" / "meta.properties").read_text()
    assert f"cluster.id={broker.as_cluster_id(bytes([0xFB] * 16))}" in written.splitlines()


def test_a_formatting_is_on_disk_before_it_counts_as_done(
    node: Broker, class_path: list[Path], synced: list[str]
) -> None:
    broker.prepare(node, class_path, SECRETS)
    data = node.directory / "data"
    there = {path.name for path in data.iterdir()}
    assert there >= {"meta.properties", "bootstrap.checkpoint"}
    assert there <= {Path(path).name for path in synced if Path(path).parent == data.with_name("data.new")}
    assert synced[-1] == str(node.directory)


def test_a_formatting_that_fails_says_why(node: Broker) -> None:
    with pytest.raises(BrokerFailed, match="could not be formatted"):
        broker.prepare(node, [], SECRETS)
    assert not (node.directory / "data").exists()


def test_no_broker_is_not_open(free_ports: Ports) -> None:
    assert not broker.is_open(f"localhost:{free_ports(1)[0]}")


def of_three(folder: Path) -> StackSettings:
    return StackSettings(data=folder, host="0.0.0.0", kafka_advertised="b", kafka_nodes="a, b, c")


def test_a_node_of_three_names_all_and_keeps_three_copies(tmp_path: Path) -> None:
    settings = of_three(tmp_path)
    text = properties(own_broker(settings), tmp_path, broker_secrets(settings))
    given = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#") and line)
    assert given["node.id"] == "2"
    assert given["controller.quorum.voters"] == "1@a:9093,2@b:9093,3@c:9093"
    assert (given["default.replication.factor"], given["min.insync.replicas"]) == ("3", "2")
    assert given["broker.session.timeout.ms"] == "6000"
    assert given["listeners"] == "SERVICES://0.0.0.0:9094,CONTROLLER://0.0.0.0:9093"
    assert given["advertised.listeners"] == "SERVICES://b:9094,CONTROLLER://b:9093"
    assert "CONTROLLER:SASL_SSL" in given["listener.security.protocol.map"]


def test_a_directory_of_another_cluster_is_refused(tmp_path: Path) -> None:
    settings = of_three(tmp_path)
    data = own_broker(settings).directory / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("cluster.id=of_one_node\n")
    with pytest.raises(BrokerFailed, match="not of this cluster"):
        broker.prepare(own_broker(settings), [], broker_secrets(settings))
    (data / "meta.properties").write_text(f"cluster.id={broker_secrets(settings).cluster_id}\n")
    (data / broker.NODES_FILE).write_text("a,c,b")
    with pytest.raises(BrokerFailed, match="is of a,c,b"):
        broker.prepare(own_broker(settings), [], broker_secrets(settings))
    (data / broker.NODES_FILE).write_text("a,b,c")
    broker.prepare(own_broker(settings), [], broker_secrets(settings))
    alone = StackSettings(data=tmp_path)
    with pytest.raises(BrokerFailed, match="is of a,b,c"):
        broker.prepare(own_broker(alone), [], broker_secrets(alone))


def test_a_node_that_is_not_among_the_named_ones_is_refused() -> None:
    with pytest.raises(BadSetting, match="SLUICE_KAFKA_NODES"):
        StackSettings(kafka_advertised="d", kafka_nodes="a,b,c")
