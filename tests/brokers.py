"""Brokers of single tests: killed, moved, or set back to what they were before."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from confluent_kafka import KafkaException

from connectors.kafka_login import KafkaLogin
from schemas.topic_rights import user
from sluice import broker
from sluice.broker_properties import Broker, BrokerSecrets
from sluice.own_kafka import set_up
from sluice.settings import StackSettings
from tests.patience import until

SECRETS = BrokerSecrets("of-a-test")


def new_node(folder: Path, free_ports: Callable[[int], list[int]]) -> Broker:
    """A broker that was never started."""
    return Broker(folder / "kafka", *free_ports(3), heap_mb=256, jit="c1")


def as_admin(node: Broker, secrets: BrokerSecrets = SECRETS) -> KafkaLogin:
    """By which everything may be done."""
    servers = f"localhost:{node.services_port}"
    return KafkaLogin(servers, user("admin"), secrets.admin_password, tls=False, mechanism="PLAIN")


def is_set_up(settings: StackSettings) -> bool:
    """Whether the stack's own broker has all that it must; while it comes up it may refuse anything."""
    with suppress(KafkaException):
        return set_up(settings)
    return False


@contextmanager
def running(
    node: Broker, jars: list[Path], secrets: BrokerSecrets = SECRETS
) -> Iterator["subprocess.Popen[bytes]"]:
    """A broker with all our topics; it is killed at the end."""
    broker.prepare(node, jars, secrets)
    with subprocess.Popen(broker.command(node, jars), stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: broker.is_open(as_admin(node, secrets)) or process.poll() is not None)
            assert process.poll() is None
            yield process
        finally:
            process.kill()
