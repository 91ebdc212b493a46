"""How far topics were read: each partition's place is kept, and may lie further back later."""

from sqlalchemy import Connection

from connectors.record_reader import Bookmark
from gateway.books.places import keep_places, select_places


def test_each_partition_of_a_topic_has_its_place(conn: Connection) -> None:
    marks = {("risk.v1", 0): Bookmark(7, 1_700_000_000_000), ("risk.v1", 1): Bookmark(0)}
    keep_places(conn, {**marks, ("other", 0): Bookmark(3)})
    assert select_places(conn, "risk.v1") == marks
    assert select_places(conn, "unread") == {}


def test_a_place_is_replaced_also_by_an_earlier_one(conn: Connection) -> None:
    """A log that lost records is read again from before them."""
    for mark in (Bookmark(7, 1_000), Bookmark(9, 2_000), Bookmark(5)):
        keep_places(conn, {("risk.v1", 0): mark})
        assert select_places(conn, "risk.v1") == {("risk.v1", 0): mark}
