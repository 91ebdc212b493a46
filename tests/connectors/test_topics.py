"""Topics are made, and are there once that is said."""

import time
from threading import Timer

from confluent_kafka.admin import NewTopic

from connectors.kafka import admin_client, await_leaders
from schemas.ids import new_id
from schemas.topics import Topic


def test_a_topic_that_is_asked_for_too_early_is_found(kafka: str) -> None:
    """With a client that had listed all topics it never was (librdkafka 2.16.1)."""
    admin, name = admin_client(kafka), new_id("topic")
    making = Timer(0.5, lambda: admin.create_topics([NewTopic(name, 3, 1)])[name].result())
    making.start()
    await_leaders(kafka, [Topic(name, "", "", (), {}, partitions=3)], time.monotonic() + 20)
    making.join()
