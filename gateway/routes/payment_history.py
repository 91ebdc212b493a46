"""The history of a payment: its events, and its operations at processors."""

from datetime import datetime
from functools import partial

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.operations import (
    Operation,
    OperationPlace,
    list_operations,
    select_attempts,
    select_operations,
)
from gateway.books.outbox import OutboxRow, list_history
from gateway.books.payments import PaymentRow
from gateway.payments.history import PastState, past_states
from gateway.payments.views import OperationView, operation_views
from gateway.routes.payments import visible
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.paging import Listing, Page, read_page
from schemas.payments import PaymentEvent
from schemas.states import STATUS, PaymentState, Status
from schemas.times import from_micros

blueprint = Blueprint("events", __name__)


class EventView(msgspec.Struct, frozen=True):
    """One event of a payment; `sequence` counts them from 1 without gaps.

    Events are kept for a month. Of what lies further back, a line for each state is made from the payment's
    operations: its `id` and `sequence` are null.
    """

    id: str | None
    type: str
    sequence: int | None
    state: PaymentState
    previous_state: PaymentState | None
    status: Status
    recorded_at: datetime


class EventList(Listing[EventView], frozen=True):
    """A page of the events of a payment, the first one first. `next_cursor` is null on the last one."""


class OperationList(Listing[OperationView], frozen=True):
    """A page of the operations of a payment, the first one first. `next_cursor` is null on the last one."""


# Its sequence; of what is made from operations: 0 for the last, -1 for the one before.
Placed = tuple[int, EventView]


@blueprint.get("/v1/payments/<payment>/events")
@endpoint(scope="payments:read", query=Page, answers={200: EventList}, codes=("not_found",))
async def list_events(call: Call[None, Page], payment_id: str) -> Reply:
    """List the events of a payment."""
    select = partial(_events, row=await visible(call, payment_id))
    shown, cursor = await read_page(call, select, lambda placed: placed[0], int)
    return Reply(200, EventList([event for _, event in shown], cursor))


@blueprint.get("/v1/payments/<payment>/operations")
@endpoint(scope="operations:read", query=Page, answers={200: OperationList}, codes=("not_found",))
async def list_all(call: Call[None, Page], payment_id: str) -> Reply:
    """List the calls made to processors for a payment: kind, result and duration of each."""
    row = await visible(call, payment_id)
    select = partial(list_operations, payment_id=row.id)
    shown, cursor = await read_page(call, select, _place, OperationPlace)
    attempts = await call.runtime.books.browse(select_attempts, row.id)  # after them, so that none lacks its own
    return Reply(200, OperationList(operation_views(row, attempts, list(shown)), cursor))


def _place(operation: Operation) -> OperationPlace:
    return OperationPlace(operation.ordinal, operation.id)


def _events(conn: Connection, after: int | None, most: int, row: PaymentRow) -> list[Placed]:
    """Up to `most` events past a place: those that are kept, and before them what the operations tell."""
    placed: list[Placed] = []
    if after is None or after <= 0:
        kept = list_history(conn, row.id, 0, 1)
        placed = [line for line in _untold(conn, row, kept) if after is None or line[0] > after][:most]
    events = list_history(conn, row.id, max(after or 0, 0), most - len(placed))
    return placed + [(event.sequence or 0, _view(event)) for event in events]


def _untold(conn: Connection, row: PaymentRow, kept: list[OutboxRow]) -> list[Placed]:
    """The states from before the first event that is kept."""
    if kept and kept[0].sequence == 1:
        return []
    until = kept[0].recorded_at if kept else None
    states = [
        past for past in past_states(row, select_operations(conn, row.id)) if until is None or past.at < until
    ]
    return [(number - len(states) + 1, _past_view(past)) for number, past in enumerate(states)]


def _past_view(past: PastState) -> EventView:
    type = "payment.initiated" if past.previous is None else f"payment.{past.state}"
    return EventView(None, type, None, past.state, past.previous, STATUS[past.state], from_micros(past.at))


def _view(row: OutboxRow) -> EventView:
    data = msgspec.json.decode(row.value, type=PaymentEvent)  # the fields that all events of a payment have
    return EventView(
        row.event_id,
        row.type,
        data.sequence,
        data.payment.state,
        data.previous_state,
        data.payment.status,
        from_micros(row.recorded_at),
    )
