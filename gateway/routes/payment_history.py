"""The history of a payment: its events, and its operations at processors."""

from datetime import datetime

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.operations import select_attempts, select_operations
from gateway.books.outbox import OutboxRow, select_history
from gateway.books.payments import PaymentRow
from gateway.payments.views import OperationView, operation_views
from gateway.routes.payments import visible
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from schemas.payments import PaymentEvent
from schemas.states import PaymentState, Status
from schemas.times import from_micros

blueprint = Blueprint("events", __name__)


class EventView(msgspec.Struct, frozen=True):
    """One event of a payment; `sequence` counts them from 1 without gaps."""

    id: str
    type: str
    sequence: int
    state: PaymentState
    previous_state: PaymentState | None
    status: Status
    recorded_at: datetime


class EventList(msgspec.Struct, frozen=True):
    """All events of a payment, the first one first."""

    data: list[EventView]
    next_cursor: None = None


class OperationList(msgspec.Struct, frozen=True):
    """All operations of a payment, the first one first."""

    data: list[OperationView]
    next_cursor: None = None


@blueprint.get("/v1/payments/<payment>/events")
@endpoint(scope="payments:read", answers={200: EventList}, codes=("not_found",))
async def list_events(call: Call[None, None], payment_id: str) -> Reply:
    """List the events of a payment."""
    row = await visible(call, payment_id)
    history = await call.runtime.books.read(select_history, row.id)
    return Reply(200, EventList([_view(event) for event in history]))


@blueprint.get("/v1/payments/<payment>/operations")
@endpoint(scope="operations:read", answers={200: OperationList}, codes=("not_found",))
async def list_operations(call: Call[None, None], payment_id: str) -> Reply:
    """List the calls made to processors for a payment: kind, result and duration of each."""
    row = await visible(call, payment_id)
    return Reply(200, OperationList(await call.runtime.books.read(_operations, row)))


def _operations(conn: Connection, row: PaymentRow) -> list[OperationView]:
    operations = select_operations(conn, row.id)  # before the attempts, so that none lacks its own
    return operation_views(row, select_attempts(conn, row.id), operations)


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
