"""The broker: a real Kafka, its storage, its restart after a kill."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import ConfigResource

from connectors.kafka import KafkaRefused, admin_client, check_login, consumer, producer
from connectors.kafka_login import KafkaLogin, login
from schemas.topics import PAYMENTS
from sluice import broker
from sluice.broker import Broker, BrokerFailed
from sluice.broker_secrets import broker_secrets
from sluice.own_kafka import own_broker
from sluice.settings import StackSettings
from tests.brokers import SECRETS, as_admin, is_set_up, new_node, running
from tests.patience import best_of, until

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
def test_after_a_kill_it_is_back_with_what_it_acknowledged(node: Broker, class_path: list[Path]) -> None:
    values: list[bytes] = []
    first_s = put_one_more(node, class_path, values)
    assert best_of(3, lambda: put_one_more(node, class_path, values) < first_s + 6), (
        "with the default session of 9 s it is at least 9 s more"
    )


@pytest.mark.stack
def test_it_flushes_what_it_acknowledges(node: Broker, class_path: list[Path]) -> None:
    with running(node, class_path):
        topic = ConfigResource(ConfigResource.Type.TOPIC, PAYMENTS.name)
        admin = admin_client(as_admin(node))
        settings = admin.describe_configs([topic])[topic].result(60)
        assert settings["flush.messages"].value == "1"


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


def put_one_more(node: Broker, jars: list[Path], values: list[bytes]) -> float:
    """Seconds from the start of a broker to one more record on it; then it is killed."""
    began = time.monotonic()
    values.append(b"%d" % len(values))
    with running(node, jars):
        put(node, values[-1])
        took = time.monotonic() - began
        assert first_values(node, len(values)) == values
        return took


@pytest.mark.stack
def test_moving_its_ports_keeps_its_data(node: Broker, class_path: list[Path], free_ports: Ports) -> None:
    with running(node, class_path):
        put(node, b"one")
    port, controller_port, services_port = free_ports(3)
    moved = msgspec.structs.replace(node, port=port, controller_port=controller_port, services_port=services_port)
    with running(moved, class_path):
        assert first_values(moved, 1) == [b"one"]


def test_a_formatting_that_was_cut_short_is_done_again(node: Broker, class_path: list[Path]) -> None:
    torn = node.directory / "data.new"
    torn.mkdir(parents=True)
    (torn / "meta.properties").write_text("version=1\ncluster.id=torn\n")
    broker.prepare(node, class_path, SECRETS)
    assert "torn" not in (node.directory / "data" / "meta.properties").read_text()


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


@pytest.mark.stack
def test_clients_are_told_the_name_that_reaches_it(node: Broker, class_path: list[Path]) -> None:
    elsewhere = msgspec.structs.replace(node, host="0.0.0.0", advertised="127.0.0.2")
    with running(elsewhere, class_path):
        reached = msgspec.structs.replace(as_admin(node), servers=f"127.0.0.2:{node.services_port}")
        told = producer(reached).list_topics(timeout=30).brokers.values()
        assert [(broker.host, broker.port) for broker in told] == [("127.0.0.2", node.services_port)]


def test_no_broker_is_not_open(free_ports: Ports) -> None:
    assert not broker.is_open(f"localhost:{free_ports(1)[0]}")


def test_an_id_never_reads_as_an_option() -> None:
    assert not any(broker._cluster_id().startswith("-") for _ in range(1_000))
