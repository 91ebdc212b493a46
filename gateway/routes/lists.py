"""Lists: what analysts block or allow outright, one by one or by a file."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint, request
from sqlalchemy import Connection

from gateway.books import audit
from gateway.books.audit import Act
from gateway.books.idempotency import JSON, IdempotentAnswer, run_once
from gateway.books.list_entries import ListEntryRow
from gateway.books.list_pages import ListFilter, list_entries_of
from gateway.books.list_values import FAULTS, EntryAsked, EntryRefused, ListValues, check_entry
from gateway.books.listings import put_on_list, take_off_list
from gateway.csv_lines import CSV, batches, written
from gateway.free_text import Reason, ShortText
from gateway.payments.list_import import COLUMNS, EntryImport, Imported
from gateway.refusals import FieldError, InvalidFields
from gateway.runtime import Runtime
from gateway.web.call import Call, Reply, replied
from gateway.web.endpoint import endpoint, spend
from gateway.web.paging import Listing, Page, read_slice
from schemas.lists import ListKind, ListName
from schemas.times import from_micros, now, steady_micros

AT_ONCE = 500  # entries of a file that are read at once

blueprint = Blueprint("lists", __name__)

IdText = Annotated[str, msgspec.Meta(max_length=64)]


class NewEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is blocked or allowed outright, why, and until when (for ever, unless said).

    `value` by kind: of `card` an instrument, a card's or a payment's id; `bin` has 6 or 8 digits; `customer` and
    `merchant` are ids of accounts; `ip` is an address or a network (/24, or /64 of IPv6); `country` has two
    letters; `device` is what payments send as `device.id`.
    """

    list: ListName
    kind: ListKind
    value: ShortText
    reason: Reason
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class EntryView(msgspec.Struct, frozen=True):
    """An entry of a list. `owner`: the account that made it, or renewed it last, at `updated_at`.

    `value` of a card is its instrument. `hits` counts the payments that it decided.
    """

    id: str
    list: ListName
    kind: ListKind
    value: str
    reason: str
    owner: str
    hits: int
    expires_at: datetime | None
    updated_at: datetime


class EntryList(Listing[EntryView], frozen=True):
    """A page of the entries, the newest first. `next_cursor` is null on the last one."""


class EntryQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Filters: an entry must match all that are given. A `value` is looked up as one of its `kind`."""

    list: ListName | None = None
    kind: ListKind | None = None
    value: ShortText | None = None
    owner: IdText | None = None


@blueprint.get("/v1/lists")
@endpoint(scope="lists:read", query=EntryQuery, answers={200: EntryList})
async def list_all(call: Call[None, EntryQuery]) -> Reply:
    """List what is blocked or allowed outright, the newest first; with `Accept: text/csv` all of it as a file."""
    wanted = await _filter(call)
    if request.accept_mimetypes.best == CSV:
        return await _file(call, wanted)
    select = partial(list_entries_of, wanted=wanted)
    shown, cursor = await read_slice(call, select, lambda entry: entry.id, str)
    values = call.runtime.list_values
    return Reply(200, EntryList([entry_view(entry, values) for entry in shown], cursor))


@blueprint.post("/v1/lists")
@endpoint(
    scope="lists:write",
    body=NewEntry,
    answers={200: Imported, 201: EntryView},
    idempotency="accepted",
    takes_csv=True,
)
async def create_entry(call: Call[NewEntry, None]) -> Reply:
    """Block or allow something outright: a block entry goes before everything, an allow entry before the rules.

    What is on that list already is renewed. A file (`text/csv`, UTF-8, up to 16 MiB, its first line
    `list,kind,value,reason,expires_at`) puts many, a batch at a time, and is answered with how many lines stand
    and which were refused, and why. What was put stands where it breaks off: the same file again renews it.
    """
    if call.file is not None:
        return await _import(call, call.file)
    asked = msgspec.convert(call.body, EntryAsked, from_attributes=True)
    try:
        check_entry(asked, now())
        putting = partial(_put, values=call.runtime.list_values, asked=asked, by=call.caller.actor_id)
        done = await call.runtime.books.write(run_once, call.keyed_or_not(), steady_micros(), putting)
    except EntryRefused as error:
        raise _invalid(error) from None
    return replied(done.answer, replayed=done.replayed)


@blueprint.delete("/v1/lists/<entry>")
@endpoint(scope="lists:write", answers={204: None}, codes=("not_found",))
async def delete_entry(call: Call[None, None], entry_id: str) -> Reply:
    """Take an entry off its list."""
    await call.runtime.books.write(take_off_list, entry_id, call.caller.actor_id)
    return Reply(204)


def entry_view(entry: ListEntryRow, values: ListValues) -> EntryView:
    """An entry as staff see it."""
    return EntryView(
        id=entry.id,
        list=entry.list,
        kind=entry.kind,
        value=values.opened(entry.value, entry.shown),
        reason=entry.reason,
        owner=entry.owner_id,
        hits=entry.hits,
        expires_at=None if entry.expires_at is None else from_micros(entry.expires_at),
        updated_at=from_micros(entry.recorded_at),
    )


def _put(conn: Connection, values: ListValues, asked: EntryAsked, by: str) -> IdempotentAnswer:
    entry = put_on_list(conn, values, asked, by)
    return IdempotentAnswer(201, msgspec.json.encode(entry_view(entry, values)), JSON)


def _invalid(error: EntryRefused) -> InvalidFields:
    field, message = FAULTS[error.fault]
    return InvalidFields(FieldError(f"$.{field}", message))


async def _import(call: Call[NewEntry, None], file: AsyncIterator[bytes]) -> Reply:
    runtime, by = call.runtime, call.caller.actor_id
    spend(runtime, "files", by)
    async with runtime.import_lock:
        await runtime.books.write(audit.record, Act("lists_imported", by, by))
        importer = EntryImport(runtime.books, runtime.list_values, by, runtime.relay.has_room)
        return Reply(200, await importer.take(batches(file, COLUMNS)))


async def _filter(call: Call[None, EntryQuery]) -> ListFilter:
    """What is asked for, as it is stored. Raises `InvalidFields` for a value that is none of its kind."""
    query = call.query
    value = None
    if query.value is not None:
        if query.kind is None:
            raise InvalidFields(FieldError("$.kind", "Of which kind is the value?"))
        try:
            found = await call.runtime.books.read(call.runtime.list_values.of, query.kind, query.value)
        except EntryRefused as error:
            raise _invalid(error) from None
        value = found.stored
    return ListFilter(value=value, owner_id=query.owner, kind=query.kind, list=query.list)


async def _file(call: Call[None, EntryQuery], wanted: ListFilter) -> Reply:
    spend(call.runtime, "files", call.caller.actor_id)
    if not call.only_looks:
        await call.runtime.books.write(audit.record, Act("lists_exported", call.caller.actor_id, ""))
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": 'attachment; filename="lists.csv"',
    }
    return Reply(200, _lines(call.runtime, wanted), headers)


async def _lines(runtime: Runtime, wanted: ListFilter) -> AsyncIterator[bytes]:
    """All entries, a page at a time: however many, none but the page is in memory."""
    yield written([*COLUMNS, "expires_at", "owner", "hits", "id", "updated_at"]).encode()
    after_id: str | None = ""
    while after_id is not None:
        page = await runtime.books.browse(list_entries_of, after_id, AT_ONCE, wanted)
        yield "".join(_line(entry_view(entry, runtime.list_values)) for entry in page.rows).encode()
        after_id = page.reached


def _line(entry: EntryView) -> str:
    ends = entry.expires_at.isoformat() if entry.expires_at else ""
    return written(
        [
            entry.list,
            entry.kind,
            entry.value,
            entry.reason,
            ends,
            entry.owner,
            str(entry.hits),
            entry.id,
            entry.updated_at.isoformat(),
        ]
    )
