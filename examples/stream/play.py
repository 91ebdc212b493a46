"""Write the recorded stream onto a Kafka of your own, to build a consumer against. Needs `confluent-kafka`.

    python examples/stream/play.py --bootstrap localhost:9092 --prefix test.

The records keep their partitions, keys, headers and times. Topics that do not exist are made, with as many
partitions as ours have; one that holds records already is left alone, unless you say `--again`. Where Kafka wants
a login, `--config` names a file of librdkafka's settings (`sasl.username=…`), one a line.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

STREAM = Path(__file__).with_name("records.jsonl.gz")
PARTITIONS = 6
COMPACTED = ("accounts.v1", "controls.v1", "payments.latest.v1")


def records(file: Path = STREAM) -> Iterator[dict[str, Any]]:
    """Every record, in the order it was written; `value` is the JSON text of the event, or None."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def play(
    bootstrap: str,
    prefix: str = "",
    topics: set[str] | None = None,
    again: bool = False,
    config: Mapping[str, str] | None = None,
) -> int:
    """Write the records of `topics`, or of all, and return their number. Raises `KafkaException`, `SystemExit`.

    `config`: further settings of librdkafka, such as a login.
    """
    kafka = {"bootstrap.servers": bootstrap, **(config or {})}
    chosen = [record for record in records() if not topics or record["topic"] in topics]
    _provide(kafka, prefix, {record["topic"] for record in chosen}, again)
    lost: list[Any] = []
    producer = Producer({**kafka, "enable.idempotence": True})
    for record in chosen:
        producer.produce(
            prefix + record["topic"],
            record["value"],
            record["key"],
            record["partition"],
            on_delivery=lambda error, _message: lost.append(error) if error else None,
            timestamp=record["timestamp_ms"],
            headers=record["headers"],
        )
        producer.poll(0)
    if producer.flush(60) or lost:
        raise SystemExit(f"not everything was written: {lost[:1] or 'no answer'}")
    return len(chosen)


def _provide(kafka: Mapping[str, str], prefix: str, topics: set[str], again: bool) -> None:
    admin = AdminClient(dict(kafka))
    there = admin.list_topics(timeout=10).topics
    missing = [topic for topic in sorted(topics) if prefix + topic not in there]
    wanted = [NewTopic(prefix + topic, PARTITIONS, 1, config=_config(topic)) for topic in missing]
    for future in admin.create_topics(wanted).values() if wanted else ():
        future.result()
    if not again:
        _refuse_full(kafka, [prefix + topic for topic in topics - set(missing)])


def _config(topic: str) -> dict[str, str]:
    return {"cleanup.policy": "compact"} if topic in COMPACTED else {"retention.ms": "-1"}


def _refuse_full(kafka: Mapping[str, str], topics: list[str]) -> None:
    consumer = Consumer({**kafka, "group.id": "unused"})
    for topic in topics:
        for partition in range(PARTITIONS):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            if high > low:
                raise SystemExit(f"{topic} holds records already: choose a --prefix, or say --again")
    consumer.close()


def _settings_of(lines: str) -> dict[str, str]:
    """The settings of a file like those of Kafka's own tools: `name=value`, one a line."""
    pairs = (line.partition("=") for line in lines.splitlines() if line.strip() and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def main() -> None:
    """Play as asked on the command line."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("--bootstrap", default="localhost:9092")
    asked.add_argument("--prefix", default="", help="what the names of the topics begin with")
    asked.add_argument("--topic", action="append", help="only this one; may be repeated")
    asked.add_argument("--again", action="store_true", help="also onto topics that hold records")
    asked.add_argument("--config", type=Path, help="a file of librdkafka's settings, name=value, one a line")
    given = asked.parse_args()
    config = _settings_of(given.config.read_text()) if given.config else {}
    try:
        written = play(given.bootstrap, given.prefix, set(given.topic or ()), given.again, config)
    except KafkaException as error:
        sys.exit(f"{given.bootstrap}: {error}")
    print(f"{written} records written")


if __name__ == "__main__":
    main()
