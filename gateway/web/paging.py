"""Lists, paged in one way for all: `limit` and a `cursor` that names a place, not a row that may change.

A place is what a list is sorted by, of the last item of a page; the next page begins after it. A cursor is sealed
with a key of the gateway: it holds for the list, the filters and the account it was made for, and nobody reads ids
of others out of it.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import Connection

from gateway.books.engine import Slice
from gateway.keyed_hashes import keyed_hash
from gateway.refusals import FieldError, InvalidFields
from gateway.web.call import Call

T = TypeVar("T")
PlaceT = TypeVar("PlaceT")

LIMIT_MAX = 100
PURPOSE = b"cursors"  # of the key that is derived from the gateway's


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page: `cursor` is the `next_cursor` of the one before; empty: the first."""

    cursor: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = 20


PageT = TypeVar("PageT", bound=Page)


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list. `next_cursor` is null on the last one; one before it may have less than `limit` items."""

    data: list[T]
    next_cursor: str | None


async def read_page(
    call: Call[Any, PageT],
    select: Callable[[Connection, PlaceT | None, int], Sequence[T]],
    place: Callable[[T], PlaceT],
    kind: type[PlaceT],
) -> tuple[Sequence[T], str | None]:
    """The items of the page that a call asks for, and the cursor of the next one (None on the last).

    `select(conn, after, most)` reads up to `most` items past a place of type `kind`; `place` is that of an item.
    Raises `InvalidFields` for a cursor that is made up, or of another list.
    """

    def select_slice(conn: Connection, after: PlaceT | None, most: int) -> Slice[T, PlaceT]:
        return Slice(select(conn, after, most))

    return await read_slice(call, select_slice, place, kind)


async def read_slice(
    call: Call[Any, PageT],
    select: Callable[[Connection, PlaceT | None, int], Slice[T, PlaceT]],
    place: Callable[[T], PlaceT],
    kind: type[PlaceT],
) -> tuple[Sequence[T], str | None]:
    """The same where `select` may find less than there is, and says how far it came."""
    cursors, page = Cursors(call), call.query
    after = cursors.opened(page.cursor, kind) if page.cursor else None
    found = await call.runtime.books.browse(select, after, page.limit + 1)
    shown = found.rows[: page.limit]
    reached = place(shown[-1]) if len(found.rows) > page.limit else found.reached
    return shown, None if reached is None else cursors.sealed(reached)


class Cursors:
    """Seals and opens the cursors of what a call lists."""

    def __init__(self, call: Call[Any, PageT]) -> None:
        self._siv = AESSIV(keyed_hash(call.runtime.key, PURPOSE, size=64))
        filters = msgspec.structs.asdict(msgspec.structs.replace(call.query, cursor=None, limit=1))
        caller = call.caller
        # As JSON: msgpack has no times beyond the year 9999, where one may be by its zone.
        self._bound_to = [msgspec.json.encode((call.path, caller.account_id, caller.role, filters))]

    def sealed(self, place: Any) -> str:
        """A place as a cursor; the same one each time."""
        sealed = self._siv.encrypt(msgspec.msgpack.encode(place), self._bound_to)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def opened(self, cursor: str, kind: type[PlaceT]) -> PlaceT:
        """The place in a cursor. Raises `InvalidFields` for one that was not sealed for this list."""
        try:
            sealed = base64.b64decode(_padded(cursor), altchars=b"-_", validate=True)
            return msgspec.msgpack.decode(self._siv.decrypt(sealed, self._bound_to), type=kind)
        except (ValueError, binascii.Error, InvalidTag):
            raise InvalidFields(FieldError("$.cursor", "Not a cursor of this list.")) from None


def _padded(cursor: str) -> bytes:
    return cursor.encode() + b"=" * (-len(cursor) % 4)
