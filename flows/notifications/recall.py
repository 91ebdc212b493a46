"""What was told by Kafka's own account: for a flow whose file is gone, so that it tells nobody twice."""

from collections.abc import Iterator
from datetime import datetime

from connectors.kafka import consumer, offsets_at
from connectors.kafka_login import Bootstrap
from connectors.record_reader import Bookmark, RecordReader
from connectors.records import event_id_of
from schemas.times import from_micros, to_micros
from schemas.topics import NOTIFICATIONS


def told_since(bootstrap: Bootstrap, moment: datetime) -> Iterator[tuple[str, datetime]]:
    """The ids of the messages on `notifications.v1` since `moment`, with the times of their records.

    Raises `KafkaException` where the broker or the topic is unavailable.
    """
    client = consumer(bootstrap)
    try:
        found = offsets_at(client, NOTIFICATIONS.name, to_micros(moment) // 1000)
    finally:
        client.close()
    reader = RecordReader(bootstrap)
    try:
        for place in found:
            if place.offset >= 0:  # -1: no record is that new
                reader.add((place.topic, place.partition), Bookmark(place.offset))
        while not reader.at_end():
            for record in reader.poll():
                yield event_id_of(record.headers), from_micros(record.timestamp_ms * 1000)
    finally:
        reader.close()
