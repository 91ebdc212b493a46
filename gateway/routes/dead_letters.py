"""Dead letters: records that nobody could read, seen and sent again by admins."""

from datetime import datetime

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from connectors.dead_letters import FoundLetter, Replayed, ReplayOutcome
from gateway.books.audit import Act, record
from gateway.refusals import NoSuchObject
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import answered_before, write_once
from gateway.web.paging import Cursors, Listing, Page
from schemas.times import from_micros

blueprint = Blueprint("dead_letters", __name__)


class DeadLetterView(msgspec.Struct, frozen=True):
    """A dead letter. `topic`, `partition`, `offset`: where a record stands that nobody could read; `reason`: why.

    `event`: the same of all who set one record aside, as in the view `dead_letters`; `source` is who did. Both are
    empty where the letter itself is unreadable. What stood in the record is not shown: nobody could read it.
    """

    id: str
    event: str
    source: str
    topic: str
    partition: int
    offset: int
    reason: str
    recorded_at: datetime


class DeadLetterList(Listing[DeadLetterView], frozen=True):
    """A page of dead letters of the last 30 days, the newest first. `next_cursor` is null on the last one."""


class DeadLetterReplay(msgspec.Struct, frozen=True):
    """What became of a replay.

    `sent`: its record was sent to its topic again, under the id it had: whoever knows it drops it. `unreadable`:
    it still is, for `reason`. `superseded`: its topic keeps the last word on a key, and has a later one. `gone`:
    the record is not there any more. `not_ours`: its topic is another service's, whose password this one has not:
    `sluice dead-letters replay`, where the passwords are, sends it.
    """

    id: str
    outcome: ReplayOutcome
    reason: str


@blueprint.get("/v1/dead-letters")
@endpoint(scope="dead_letters:read", query=Page, answers={200: DeadLetterList}, codes=("unavailable",))
async def list_all(call: Call[None, Page]) -> Reply:
    """List the records that nobody could read, the newest first."""
    cursors, cursor = Cursors(call), call.query.cursor
    before = cursors.opened(cursor, dict[int, int]) if cursor else {}
    found, bounds = await call.runtime.shielded(call.runtime.dead_letters.page(before, call.query.limit))
    further = cursors.sealed(bounds) if bounds else None
    return Reply(200, DeadLetterList([_view(letter) for letter in found], further))


@blueprint.post("/v1/dead-letters/<letter>/replay")
@endpoint(
    scope="dead_letters:write",
    answers={200: DeadLetterReplay},
    codes=("not_found", "unavailable"),
    idempotency="accepted",
)
async def replay_letter(call: Call[None, None], letter_id: str) -> Reply:
    """Send the record of a dead letter again, where it is readable by now."""
    if (before := await answered_before(call)) is not None:
        return before
    replayed = await call.runtime.shielded(call.runtime.dead_letters.replay(letter_id))
    if replayed is None:
        raise NoSuchObject
    # Died between the two, it is sent once more: repeats do no harm.
    return await write_once(call, 200, _record, call.caller.actor_id, *replayed)


def _record(conn: Connection, actor_id: str, letter: FoundLetter, done: Replayed) -> DeadLetterReplay:
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    record(conn, Act("dead_letter_replayed", actor_id, letter.id, {"place": place, "outcome": done.outcome}))
    return DeadLetterReplay(letter.id, done.outcome, done.reason)


def _view(letter: FoundLetter) -> DeadLetterView:
    return DeadLetterView(
        letter.id,
        letter.event_id,
        letter.source,
        letter.topic,
        letter.partition,
        letter.offset,
        letter.reason,
        from_micros(letter.timestamp_ms * 1000),
    )
