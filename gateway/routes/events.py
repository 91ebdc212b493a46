"""The events of a payment, as they are in the books."""

from datetime import datetime

import msgspec
from quart import Blueprint

from gateway.books.outbox import OutboxRow, select_history
from gateway.endpoint import Call, Reply, endpoint
from gateway.routes.payments import visible
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


@blueprint.get("/v1/payments/<payment>/events")
@endpoint(scope="payments:read", answers={200: EventList}, codes=("not_found",))
async def list_events(call: Call, payment: str) -> Reply:
    """What happened to a payment, step by step."""
    row = await visible(call, payment)
    history = await call.parts.books.read(select_history, row.id)
    return Reply(200, EventList([_view(event) for event in history]))


def _view(row: OutboxRow) -> EventView:
    data = msgspec.json.decode(row.value, type=PaymentEvent)  # what all events of a payment have in common
    return EventView(
        row.event,
        row.type,
        data.sequence,
        data.payment.state,
        data.previous_state,
        data.payment.status,
        from_micros(row.recorded_at),
    )
