"""What a person saved for themselves: filters of the page Payments, questions in SQL."""

from datetime import datetime
from typing import Annotated, get_args

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.saved import SavedKind, SavedRow, list_saved
from gateway.free_text import FREE
from gateway.identity import saved
from gateway.problems import Problem
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint, spend
from gateway.web.paging import Listing, Page, read_page
from schemas.times import from_micros

SavedText = Annotated[str, msgspec.Meta(min_length=1, max_length=saved.CONTENT_MAX, extra=FREE)]

blueprint = Blueprint("saved", __name__)


class SavedUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept under the name, for whoever wrote it to read: 8,192 bytes at most."""

    content: SavedText


class SavedQuery(Page, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`kind`: of what."""

    kind: SavedKind


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """What a person saved under a name, which is one of its kind."""

    kind: SavedKind
    name: str
    content: str
    updated_at: datetime


class SavedList(Listing[SavedView], frozen=True):
    """A page of what a person saved, what was saved first last. `next_cursor` is null on the last one."""


@blueprint.get("/v1/me/saved")
@endpoint(scope="account", query=SavedQuery, answers={200: SavedList})
async def list_own_saved(call: Call[None, SavedQuery]) -> Reply:
    """List what one saved of a kind: `payments_view` or `sql_question`."""
    account_id, kind = call.caller.actor_id, call.query.kind

    def page(conn: Connection, after_id: str | None, most: int) -> list[SavedRow]:
        return list_saved(conn, account_id, kind, after_id, most)

    shown, cursor = await read_page(call, page, lambda row: row.id, str)
    return Reply(200, SavedList([saved_view(row) for row in shown], cursor))


@blueprint.put("/v1/me/saved/<kind>/<name>")
@endpoint(
    scope="account",
    body=SavedUpdate,
    answers={200: SavedView},
    codes=("not_found", "rate_limited", "wrong_state"),
)
async def put_own_saved(call: Call[SavedUpdate, None], kind: str, name: str) -> Reply:
    """Save something under a name of 60 characters at most, in place of what has it. There are 100 of a kind."""
    spend(call.runtime, "saved", call.caller.actor_id)
    order = saved.checked(call.caller.actor_id, _kind(kind), name, call.body.content)
    return Reply(200, saved_view(await call.runtime.books.write(saved.keep, order)))


@blueprint.delete("/v1/me/saved/<kind>/<name>")
@endpoint(scope="account", answers={204: None}, codes=("not_found", "rate_limited"))
async def delete_own_saved(call: Call[None, None], kind: str, name: str) -> Reply:
    """Remove what one saved under a name."""
    spend(call.runtime, "saved", call.caller.actor_id)
    await call.runtime.books.write(saved.drop, call.caller.actor_id, _kind(kind), name)
    return Reply(204)


def saved_view(row: SavedRow) -> SavedView:
    """What its owner sees of it."""
    return SavedView(kind=row.kind, name=row.name, content=row.content, updated_at=from_micros(row.updated_at))


def _kind(text: str) -> SavedKind:
    """Raises the problem `not_found` for a kind that there is not."""
    for kind in get_args(SavedKind):
        if kind == text:
            return kind  # type: ignore[no-any-return]
    raise Problem("not_found")
