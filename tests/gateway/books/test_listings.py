"""Entries of lists in the books: what the topic tells, what has expired, and how they are found."""

from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, text

from gateway.books.engine import Books
from gateway.books.list_entries import ListEntryRow, count_hit, list_entries, put_entry, select_met
from gateway.books.list_values import EntryAsked, ListValues
from gateway.books.listings import KEEP_EXPIRED_US, keep_listings, listing_of, remove_expired
from gateway.books.tables import struct_of
from gateway.prints import Prints
from schemas.events import Tombstone
from schemas.ids import new_id
from schemas.lists import FraudListing
from schemas.times import EPOCH, from_micros, now_micros

VALUES = ListValues(bytes(32), Prints(bytes(32)))


def entry(value: str = "DE", kind: str = "country", list: str = "block", **more: Any) -> ListEntryRow:
    given = {"id": new_id("lst"), "list": list, "kind": kind, "value": value, "reason": "why", "owner_id": "acc_1"}
    return msgspec.convert(given | {"expires_at": None, "version": 1, "recorded_at": 1} | more, ListEntryRow)


def told(**more: Any) -> FraudListing:
    return msgspec.structs.replace(listing_of(entry()), **more)


async def rows(books: Books) -> dict[str, ListEntryRow]:
    found = await books.read(lambda conn: conn.execute(list_entries.select()).all())
    return {row.id: struct_of(ListEntryRow, row) for row in found}


async def tombstones(books: Books) -> list[str]:
    query = text("SELECT key, value FROM outbox ORDER BY id")
    return [row.key for row in await books.read(lambda conn: conn.execute(query).all()) if not row.value]


async def test_what_the_topic_tells_is_kept_where_the_books_lack_it(books: Books) -> None:
    known, lacked = entry(), told(value="FR", version=3)
    await books.write(put_entry, known)
    await keep_listings(books, [listing_of(known), lacked])
    found = await rows(books)
    assert found[known.id] == known, "with its reason"
    assert listing_of(found[lacked.id]) == lacked
    await keep_listings(books, [msgspec.structs.replace(lacked, version=2, list="allow")])
    assert listing_of((await rows(books))[lacked.id]) == lacked, "an older one changes nothing"
    newer = msgspec.structs.replace(lacked, version=4, list="allow")
    await keep_listings(books, [newer])
    assert listing_of((await rows(books))[lacked.id]) == newer
    await keep_listings(
        books, [Tombstone("controls.v1", lacked.id, EPOCH), Tombstone("controls.v1", "lst_x", EPOCH)]
    )
    assert list(await rows(books)) == [known.id]
    assert await tombstones(books) == []


async def test_an_entry_whose_value_another_one_has_is_taken_away_everywhere(books: Books) -> None:
    mine, other = entry(), told()
    await books.write(put_entry, mine)
    await keep_listings(books, [other])
    assert list(await rows(books)) == [mine.id]
    assert await tombstones(books) == [other.id]


async def test_what_expired_long_ago_goes_with_a_tombstone(books: Books) -> None:
    long_ago = now_micros() - KEEP_EXPIRED_US
    gone = [entry(f"acc_{n}", "customer", expires_at=long_ago - 1_000_000) for n in range(201)]
    kept = [entry(), entry("FR", expires_at=long_ago + 60_000_000)]
    for row in (*gone, *kept):
        await books.write(put_entry, row)
    assert await remove_expired(books) == 201
    assert (await rows(books)).keys() == {row.id for row in kept}
    assert sorted(await tombstones(books)) == sorted(row.id for row in gone)
    assert await remove_expired(books) == 0


def test_an_entry_is_found_by_its_kind_and_value(conn: Connection) -> None:
    for row in (entry("acc_1", "customer"), entry("acc_2", "merchant"), entry("acc_1", "merchant", "allow")):
        put_entry(conn, row)
    places: list[Any] = [("customer", "acc_1"), ("merchant", "acc_2")]
    assert {met.list for met in select_met(conn, places)} == {"block"}
    assert len(select_met(conn, places)) == 2
    assert select_met(conn, [("country", "acc_1")]) == []
    assert select_met(conn, []) == []


def test_when_an_entry_ends_is_told_as_the_moment_it_is(conn: Connection) -> None:
    put_entry(conn, entry(expires_at=5))
    (met,) = select_met(conn, [("country", "DE")])
    assert met.expires_at == from_micros(5)


def test_hits_survive_a_renewal_and_one_of_no_entry_counts_nothing(conn: Connection) -> None:
    row = entry()
    put_entry(conn, row)
    for entry_id in (row.id, row.id, "lst_x"):
        count_hit(conn, entry_id)
    again = put_entry(conn, entry(reason="another"))
    assert again is not None
    assert (again.id, again.version) == (row.id, 2)
    (found,) = conn.execute(list_entries.select()).all()
    assert (found.hits, found.reason) == (2, "another")


def test_an_address_is_sealed_under_its_hash_and_told_as_payments_tell_it(conn: Connection) -> None:
    one, other = (VALUES.of(conn, "ip", text) for text in ("203.0.113.9", "203.0.113.10"))
    assert one == VALUES.of(conn, "ip", "::ffff:203.0.113.9")
    assert VALUES.opened(one.stored, one.shown) == "203.0.113.9"
    assert one.shown is not None
    assert b"203" not in one.shown
    with pytest.raises(InvalidTag):
        VALUES.opened(other.stored, one.shown)
    assert VALUES.opened("told by the topic", None) == "told by the topic"
    asked = EntryAsked("block", "ip", "203.0.113.9", "why")
    assert "203.0.113.9" not in repr(VALUES.of(conn, asked.kind, asked.value))
