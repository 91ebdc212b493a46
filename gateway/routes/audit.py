"""The audit: who logged in, changed a right, decided or took data out, for admins."""

from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books.audit import ActRow
from gateway.books.audit_list import AuditFilter, AuditPlace, list_audit
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.paging import Listing, Page, read_slice
from schemas.accounts import ActKind
from schemas.times import from_micros, to_micros

blueprint = Blueprint("audit", __name__)

IdText = Annotated[str, msgspec.Meta(max_length=64)]


class AuditEntryView(msgspec.Struct, frozen=True):
    """An entry of the audit. `actor`: the account or client that acted, empty where nobody is known.

    `subject`: what it was done to. `id` counts all entries from 1; `hash` chains it to the one before.
    """

    id: int
    at: datetime
    kind: ActKind
    actor: str
    subject: str
    detail: dict[str, str]
    hash: str


class AuditList(Listing[AuditEntryView], frozen=True):
    """A page of the audit, the newest first. `next_cursor` is null on the last one."""


class AuditQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Filters: an entry must match all that are given. `after` (itself included) and `before` have a zone."""

    actor: IdText | None = None
    subject: IdText | None = None
    kind: ActKind | None = None
    after: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


@blueprint.get("/v1/audit")
@endpoint(scope="audit:read", query=AuditQuery, answers={200: AuditList})
async def list_all(call: Call[None, AuditQuery]) -> Reply:
    """List who logged in, changed a right, decided or took data out, the newest first."""
    query = call.query
    wanted = AuditFilter(
        actor_id=query.actor,
        subject_id=query.subject,
        kind=query.kind,
        at_from=to_micros(query.after) if query.after else None,
        at_before=to_micros(query.before) if query.before else None,
    )
    select = partial(list_audit, wanted=wanted)
    shown, cursor = await read_slice(call, select, _place, AuditPlace)
    return Reply(200, AuditList([audit_entry_view(entry) for entry in shown], cursor))


def _place(entry: ActRow) -> AuditPlace:
    return AuditPlace(entry.at, entry.n)


def audit_entry_view(entry: ActRow) -> AuditEntryView:
    """An entry as admins see it."""
    return AuditEntryView(
        entry.n,
        from_micros(entry.at),
        entry.kind,
        entry.actor_id,
        entry.subject_id,
        msgspec.json.decode(entry.detail, type=dict[str, str]),
        entry.hash,
    )
