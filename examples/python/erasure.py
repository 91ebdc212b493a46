"""Keep something of one's own about customers, and lose it when one is erased. Needs `confluent-kafka` alone.

    python examples/python/erasure.py --bootstrap localhost:9092 --database customers.sqlite3 --until-end

Whoever keeps nothing about a person beside our events has nothing to do: these hold nothing personal. Whoever does
(a name from their own shop, a segment, a score) reads `accounts.v1` as well, and removes it by the account's id.

There is no order between two topics: a payment's event may be read after the erasure of who paid. So the id stays,
as all that is kept of somebody, and nothing is begun anew under it.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

PAYMENTS, ACCOUNTS = "payments.v1", "accounts.v1"

TABLES = """
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS customers (account TEXT PRIMARY KEY, note TEXT);
CREATE TABLE IF NOT EXISTS erased (account TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next INTEGER, PRIMARY KEY (topic, partition));
"""
# What is known of a customer here is made up; in your shop it is whatever you know.
MEET = """
INSERT INTO customers SELECT ?, 'pays in ' || ? WHERE NOT EXISTS (SELECT 1 FROM erased WHERE account = ?)
ON CONFLICT DO NOTHING
"""
FORGET = ("INSERT INTO erased VALUES (?) ON CONFLICT DO NOTHING", "DELETE FROM customers WHERE account = ?")
GO_ON = "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next"
PLACE = "SELECT next FROM offsets WHERE topic = ? AND partition = ?"


def begin(database: str, consumer: Consumer, topics: list[str]) -> sqlite3.Connection:
    """The database, and the consumer at where it left off, or at the beginning."""
    rows = sqlite3.connect(database)
    rows.executescript(TABLES)
    places = []
    for topic in topics:
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            known = rows.execute(PLACE, (topic, partition)).fetchone()
            places.append(TopicPartition(topic, partition, known[0] if known else low))
    consumer.assign(places)
    return rows


def take(rows: sqlite3.Connection, messages: Iterable[Message]) -> None:
    """Write a batch with its offsets, in one transaction; what nobody can read is passed over."""
    with rows:
        for message in messages:
            try:
                _apply(rows, message)
            except (ValueError, TypeError, KeyError):
                where = f"{message.topic()}/{message.partition()}/{message.offset()}"
                print(f"{where}: unreadable", file=sys.stderr)  # it is on dead_letter.v1 as well
            rows.execute(GO_ON, (message.topic(), message.partition(), (message.offset() or 0) + 1))


def _apply(rows: sqlite3.Connection, message: Message) -> None:
    type = dict(message.headers() or []).get("ce_type")
    if type == b"payment.initiated":
        payment = json.loads(message.value() or b"")["payment"]
        rows.execute(MEET, (payment["customer"], payment["currency"], payment["customer"]))
    elif type == b"account.erased":
        account = json.loads(message.value() or b"")["account"]
        for statement in FORGET:
            rows.execute(statement, (account,))


def read(rows: sqlite3.Connection, consumer: Consumer, until_end: bool) -> None:
    """Take batch after batch. Raises `KafkaException`."""
    unread = {(place.topic, place.partition) for place in consumer.assignment()}
    while unread or not until_end:
        messages = consumer.consume(500, timeout=0.5)
        for error in (message.error() for message in messages):
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
        unread -= {(message.topic(), message.partition()) for message in messages if message.error()}
        take(rows, [message for message in messages if not message.error()])


def main() -> None:
    """Read as asked on the command line."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--bootstrap", default="localhost:9092")
    asked.add_argument("--database", default="customers.sqlite3")
    asked.add_argument("--prefix", default="", help="what the names of the topics begin with")
    asked.add_argument("--until-end", action="store_true")
    given = asked.parse_args()
    settings = {"bootstrap.servers": given.bootstrap, "group.id": "erasure", "enable.auto.commit": False}
    consumer = Consumer(settings | {"auto.offset.reset": "error", "enable.partition.eof": True})
    rows = begin(given.database, consumer, [given.prefix + PAYMENTS, given.prefix + ACCOUNTS])
    try:
        read(rows, consumer, given.until_end)
    finally:
        consumer.close()
        rows.close()


if __name__ == "__main__":
    main()
