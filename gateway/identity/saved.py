"""What people save under names: filters of a page, questions in SQL. One name is one text of its kind."""

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, saved
from gateway.books.accounts import AccountGone
from gateway.books.saved import SavedKind, SavedRow
from gateway.free_text import why_refused
from gateway.identity.contacts import CONTROLS, invalid_field
from gateway.refusals import NoSuchObject, Refusal
from schemas.ids import new_id
from schemas.times import now_micros

SAVED_MAX = 100  # of an account and kind
NAME_MAX = 60  # characters
CONTENT_MAX = 8_192  # bytes of UTF-8


class TooManySaved(Refusal):
    """The account has saved as much of this kind as it may."""


class SavedOrder(msgspec.Struct, frozen=True):
    """What an account saves, checked."""

    account_id: str
    kind: SavedKind
    name: str
    content: str


def checked(account_id: str, kind: SavedKind, name: str, content: str) -> SavedOrder:
    """What is asked to be saved. Raises `InvalidFields`: the name comes by the path, where no body is checked."""
    plain = name.strip()
    if not 1 <= len(plain) <= NAME_MAX or CONTROLS.search(plain):
        raise invalid_field("$.name", f"1 to {NAME_MAX} characters, no control characters.")
    if why := why_refused(plain):
        raise invalid_field("$.name", why)
    if len(content.encode()) > CONTENT_MAX:
        raise invalid_field("$.content", f"At most {CONTENT_MAX} bytes.")
    return SavedOrder(account_id, kind, plain, content)


def keep(conn: Connection, order: SavedOrder) -> SavedRow:
    """Save it, in place of what has its name. Raises `AccountGone` and `TooManySaved`."""
    # Locks the account: of two who save one name at once, the second finds the row of the first.
    if accounts.bare_to_change(conn, order.account_id) is None:
        raise AccountGone
    there = saved.list_saved(conn, order.account_id, order.kind, None, SAVED_MAX)
    old_id = next((row.id for row in there if row.name == order.name), None)
    if old_id is None and len(there) >= SAVED_MAX:
        raise TooManySaved(f"There are {SAVED_MAX} of them: remove one that you do not need.")
    row = SavedRow(id=old_id or new_id("sav"), updated_at=now_micros(), **msgspec.structs.asdict(order))
    saved.put(conn, row)
    return row


def drop(conn: Connection, account_id: str, kind: SavedKind, name: str) -> None:
    """Keep it no more. Raises `NoSuchObject` where nothing has the name."""
    there = saved.list_saved(conn, account_id, kind, None, SAVED_MAX)
    found = next((row for row in there if row.name == name.strip()), None)
    if found is None:
        raise NoSuchObject
    saved.remove(conn, found.id)
