"""The stack's own Kafka: where it is, and what it must have before our services come."""

from connectors.kafka import admin_client
from connectors.kafka_login import login
from sluice import kafka_acls
from sluice.broker import is_open
from sluice.broker_properties import Broker
from sluice.kafka_users import GivenPasswords, give_passwords, missing_users, passwords
from sluice.settings import StackSettings


def own_broker(settings: StackSettings) -> Broker:
    """The stack's own Kafka."""
    return Broker(
        settings.data / "kafka",
        settings.port("kafka"),
        settings.port("kafka_controller"),
        settings.port("kafka_services"),
        settings.kafka_heap_mb,
        settings.kafka_jit,
        settings.host,
        settings.kafka_advertised,
        settings.kafka_hosts(),
    )


def set_up(settings: StackSettings) -> bool:
    """Whether it serves all topics, and each service may do there what is its own.

    What is missing is made, and a password is given where it is another one than the last time. Raises
    `KafkaException`, `SecretMissing`.
    """
    bootstrap = login(settings, "admin")
    if not is_open(bootstrap):
        return False
    admin, given = admin_client(bootstrap), passwords(settings)
    kafka_acls.make(
        admin, kafka_acls.difference(kafka_acls.present(admin), anonymous=settings.kafka_has_plain_port())
    )
    known = GivenPasswords(own_broker(settings).directory)
    if not known.are(given) or missing_users(admin):
        give_passwords(admin, given)
        known.note(given)
    return True
