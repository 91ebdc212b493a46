"""How far topics have been read, by partition: a gateway that was away, however long, reads on from there."""

import msgspec
from sqlalchemy import Connection, bindparam, select

from connectors.record_reader import Bookmark, Bookmarks
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Int64, table_of


class PlaceRow(msgspec.Struct, frozen=True):
    """A row of `places`. `next_offset`: of the first record that has not been read, or may have to be read again.

    `read_ms`: Kafka's time of the record before it, milliseconds since 1970 UTC; null where that is not known.
    """

    topic: str
    partition: Int32
    next_offset: Int64
    read_ms: Int64 | None


places = table_of("places", PlaceRow, primary_key=("topic", "partition"))
_c = places.c
_of_topic = Statement(select(_c.partition, _c.next_offset, _c.read_ms).where(_c.topic == bindparam("of_topic")))
_put = Statement(
    lambda insert: (put := insert(places)).on_conflict_do_update(
        index_elements=["topic", "partition"],
        set_={"next_offset": put.excluded.next_offset, "read_ms": put.excluded.read_ms},
    )
)


def select_places(conn: Connection, topic: str) -> Bookmarks:
    """Where each partition of a topic is read on; empty where it never was read."""
    found = _of_topic(conn, of_topic=topic)
    return {(topic, row.partition): Bookmark(row.next_offset, row.read_ms) for row in found}


def keep_places(conn: Connection, marks: Bookmarks) -> None:
    """Note where partitions are read on; also further back, for a log may have lost records."""
    for (topic, partition), mark in marks.items():
        _put(conn, topic=topic, partition=partition, next_offset=mark.offset, read_ms=mark.read_ms)
