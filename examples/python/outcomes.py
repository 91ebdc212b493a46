"""How each payment ended, per merchant and currency, kept in SQLite. Needs `confluent-kafka`, nothing of Sluice.

    python examples/python/outcomes.py --bootstrap localhost:9092 --database outcomes.sqlite3

reads `payments.v1` from its first record on, and goes on for ever; Ctrl-C prints the figures. With `--from-latest`
it begins with `payments.latest.v1`, which has one record per payment, and reads of `payments.v1` what is written
from now on. With `--until-end` it stops once it has read what there is. With `--lag`, beside it, the program only
tells how many records are unread, and for how many seconds the oldest of them has been.

Offsets are rows of the same transaction as the figures: a kill at any moment repeats nothing and loses nothing.
"""

import argparse
import json
import signal
import sqlite3
import sys
import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

EVENTS, LATEST = "payments.v1", "payments.latest.v1"
BATCH = 500
COLUMNS = ("merchant", "currency", "state", "amount_captured", "amount_refunded")

TABLES = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY, sequence INTEGER,
    merchant TEXT, currency TEXT, state TEXT, captured INTEGER, refunded INTEGER
);
CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next INTEGER, PRIMARY KEY (topic, partition));
"""
# A repeat, or an event that both topics tell of, has no higher sequence than the row, and changes nothing.
TAKE = """
INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    sequence = excluded.sequence, state = excluded.state,
    captured = excluded.captured, refunded = excluded.refunded
WHERE excluded.sequence > payments.sequence
"""
PLACES = "SELECT topic, partition, next FROM offsets"
PLACE = "SELECT next FROM offsets WHERE topic = ? AND partition = ?"
GO_ON = "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next"
FIGURES = """
SELECT merchant, currency, count(*) AS count, sum(captured) AS captured, sum(refunded) AS refunded
FROM payments GROUP BY merchant, currency ORDER BY merchant, currency
"""


def begin(database: str, consumer: Consumer, events: str, latest: str = "") -> sqlite3.Connection:
    """The database, with a place to read each partition on from; those of before are kept.

    With `latest`, events are read from their present end on. Both topics are read for ever: what `latest` was not
    told yet it brings later, and after that nothing that changes a row.
    """
    rows = sqlite3.connect(database)
    rows.executescript(TABLES)
    with rows:
        for topic in [latest, events] if latest else [events]:
            for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
                if not rows.execute(PLACE, (topic, partition)).fetchone():
                    at_end = bool(latest) and topic == events
                    rows.execute(GO_ON, (topic, partition, _start(consumer, topic, partition, at_end)))
    return rows


def _start(consumer: Consumer, topic: str, partition: int, at_end: bool) -> int:
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    return int(high if at_end else low)


def take(rows: sqlite3.Connection, messages: Iterable[Message]) -> None:
    """Write a batch with its offsets, in one transaction."""
    with rows:
        for message in messages:
            if (row := _row(message)) is not None:
                rows.execute(TAKE, row)
            rows.execute(GO_ON, (message.topic(), message.partition(), (message.offset() or 0) + 1))


def _row(message: Message) -> tuple[Any, ...] | None:
    """The row of a record that tells of a payment: whatever type of event it is, the payment is as it then was."""
    try:
        event = json.loads(message.value() or b"null")
        return event["payment"]["id"], int(event["sequence"]), *(event["payment"][name] for name in COLUMNS)
    except (ValueError, TypeError, KeyError):
        where = f"{message.topic()}/{message.partition()}/{message.offset()}"
        print(f"{where}: no event of a payment", file=sys.stderr)  # it is on dead_letter.v1 as well
        return None


def read(rows: sqlite3.Connection, consumer: Consumer, until_end: bool) -> None:
    """Take batch after batch. Raises `KafkaException`, also where the place to go on from has expired."""
    places = rows.execute(PLACES).fetchall()
    consumer.assign([TopicPartition(*place) for place in places])
    unread = {(topic, partition) for topic, partition, _ in places}
    while unread or not until_end:
        messages = consumer.consume(BATCH, timeout=0.5)
        for message in messages:
            error = message.error()
            if error is None:
                continue
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            unread.discard((message.topic(), message.partition()))
        take(rows, [message for message in messages if message.error() is None])


def lag(rows: sqlite3.Connection, consumer: Consumer) -> dict[str, float]:
    """How many records of the topics are unread, and the age of the oldest of them (seconds) by Kafka's clock."""
    unread: dict[tuple[str, int], int] = {}
    for topic, partition, next in rows.execute(PLACES).fetchall():
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        unread[topic, partition] = end - next
    places = [TopicPartition(*place) for place in rows.execute(PLACES) if unread[place[:2]]]
    consumer.assign(places)
    times: dict[tuple[str | None, int | None], int] = {}
    while len(times) < len(places) and (message := consumer.poll(10)):
        times.setdefault((message.topic(), message.partition()), message.timestamp()[1])
    oldest_s = time.time() - min(times.values()) / 1000 if times else 0.0
    return {"unread": sum(unread.values()), "seconds": round(oldest_s, 3)}


def figures(rows: sqlite3.Connection) -> list[dict[str, Any]]:
    """Count, captured and refunded (minor units of the currency) of each merchant and currency."""
    rows.row_factory = sqlite3.Row
    return [dict(row) for row in rows.execute(FIGURES)]


def main() -> None:
    """Read as asked on the command line, and print the figures as JSON."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--bootstrap", default="localhost:9092")
    asked.add_argument("--database", default="outcomes.sqlite3")
    asked.add_argument("--prefix", default="", help="what the names of the topics begin with")
    asked.add_argument("--from-latest", action="store_true")
    asked.add_argument("--until-end", action="store_true")
    asked.add_argument("--lag", action="store_true")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    consumer = Consumer(
        {
            "bootstrap.servers": given.bootstrap,
            "group.id": "outcomes",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
    )
    latest = given.prefix + LATEST if given.from_latest else ""
    rows = begin(given.database, consumer, given.prefix + EVENTS, latest)
    try:
        if given.lag:
            print(json.dumps(lag(rows, consumer)))
            return
        read(rows, consumer, given.until_end)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()
    print(json.dumps(figures(rows), indent=2))


if __name__ == "__main__":
    main()
