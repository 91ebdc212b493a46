"""Stops: what takes no new payments at the moment; administrators stop it and let it go on."""

from datetime import datetime
from functools import partial

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.idempotency import JSON, IdempotentAnswer, run_once
from gateway.books.stops import EVERYTHING, StopRow, list_stops
from gateway.free_text import Reason, ShortText
from gateway.identity.contacts import invalid_field
from gateway.payments.stopping import StopAsked, resume_sales, stop_sales
from gateway.web.call import Call, Reply, replied
from gateway.web.endpoint import endpoint
from gateway.web.paging import Listing, Page, read_page
from schemas.payments import PROCESSORS, ProcessorName
from schemas.times import from_micros, steady_micros

blueprint = Blueprint("stops", __name__)


class NewStop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to take no new payments: a `processor`, a `merchant` or `all`, one of them; and why."""

    processor: ProcessorName | None = None
    merchant: ShortText | None = None
    all: bool = False
    reason: Reason


class StopView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A stop that stands: of a `processor`, a `merchant` or `all`. `stopped_by`: the account that did."""

    id: str
    processor: str | None = None
    merchant: str | None = None
    all: bool = False
    reason: str
    stopped_by: str
    stopped_at: datetime


class StopList(Listing[StopView], frozen=True):
    """A page of the stops that stand, the newest first. `next_cursor` is null on the last one."""


@blueprint.get("/v1/stops")
@endpoint(scope="stops:read", query=Page, answers={200: StopList})
async def list_all(call: Call[None, Page]) -> Reply:
    """List what is stopped now, by whom, since when and why; the newest first."""
    shown, cursor = await read_page(call, list_stops, lambda stop: stop.id, str)
    return Reply(200, StopList([stop_view(stop) for stop in shown], cursor))


@blueprint.post("/v1/stops")
@endpoint(
    scope="stops:write",
    body=NewStop,
    answers={200: StopView, 201: StopView},
    codes=("not_found",),
    idempotency="accepted",
)
async def create_stop(call: Call[NewStop, None]) -> Reply:
    """Stop a processor, a merchant or all sales: from the next request on, in every gateway.

    Routing passes over a stopped processor; where none is left, and for a stopped merchant or all, new payments
    are refused (503 `stopped`). Captures, voids, refunds, returns of payers and recovery go on. What is stopped
    already stays so: 200 with the stop that stands, its reason and who gave it.
    """
    is_merchant = call.body.merchant is not None
    asked = StopAsked(_target(call.body), is_merchant, call.body.reason, call.caller.actor_id)
    stopping = partial(_stop, asked=asked)
    done = await call.runtime.books.write(run_once, call.keyed_or_not(), steady_micros(), stopping)
    return replied(done.answer, replayed=done.replayed)


@blueprint.delete("/v1/stops/<stop>")
@endpoint(scope="stops:write", answers={204: None}, codes=("not_found",))
async def lift_stop(call: Call[None, None], stop_id: str) -> Reply:
    """Lift a stop: what it stopped takes new payments again, unless another one stops it."""
    await call.runtime.books.write(resume_sales, stop_id, call.caller.actor_id)
    return Reply(204)


def _target(asked: NewStop) -> str:
    named = [asked.processor, asked.merchant, EVERYTHING if asked.all else None]
    given = [target for target in named if target is not None]
    if len(given) != 1:
        raise invalid_field("$", "Name a processor, a merchant or all: one of them.")
    return given[0]


def _stop(conn: Connection, asked: StopAsked) -> IdempotentAnswer:
    stop, is_new = stop_sales(conn, asked)
    return IdempotentAnswer(201 if is_new else 200, msgspec.json.encode(stop_view(stop)), JSON)


def stop_view(stop: StopRow) -> StopView:
    """A stop as staff see it."""
    is_all, is_processor = stop.target == EVERYTHING, stop.target in PROCESSORS
    return StopView(
        id=stop.id,
        processor=stop.target if is_processor else None,
        merchant=None if is_all or is_processor else stop.target,
        all=is_all,
        reason=stop.reason,
        stopped_by=stop.stopped_by,
        stopped_at=from_micros(stop.stopped_at),
    )
