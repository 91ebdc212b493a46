"""Lists, paged in one way for all: `limit` and an opaque `cursor` that names a place, not a row that may change.

A place is what a list is sorted by, of the last item of a page; the next page begins after it.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from gateway.books.engine import Books
from gateway.refusals import FieldError, InvalidFields

T = TypeVar("T")
PlaceT = TypeVar("PlaceT")

LIMIT_MAX = 100


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page: `cursor` is the `next_cursor` of the one before; empty: the first."""

    cursor: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = 20


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list. `next_cursor` is null on the last one."""

    data: list[T]
    next_cursor: str | None


async def read_page(
    books: Books,
    page: Page,
    select: Callable[[Connection, PlaceT | None, int], Sequence[T]],
    place: Callable[[T], PlaceT],
    kind: type[PlaceT],
) -> tuple[Sequence[T], str | None]:
    """The items of a page, and the cursor of the next one (None on the last).

    `select(conn, after, most)` reads up to `most` items past a place of type `kind`; `place` is that of an item.
    Raises `InvalidFields` for a made-up cursor.
    """
    found = await books.read(select, _place_of(page, kind), page.limit + 1)
    shown = found[: page.limit]
    return shown, _cursor(place(shown[-1])) if len(found) > page.limit else None


def _place_of(page: Page, kind: type[PlaceT]) -> PlaceT | None:
    if not page.cursor:
        return None
    try:
        packed = base64.b64decode(_padded(page.cursor), altchars=b"-_", validate=True)
        place = msgspec.msgpack.decode(packed, type=kind)
        if "\0" in str(place):  # no place of ours has one, and PostgreSQL takes none
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidFields(FieldError("$.cursor", "Not a cursor of this list.")) from None
    return place


def _padded(cursor: str) -> bytes:
    return cursor.encode() + b"=" * (-len(cursor) % 4)


def _cursor(place: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).rstrip(b"=").decode()
