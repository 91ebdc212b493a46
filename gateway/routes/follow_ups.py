"""Capture and void: by the payment's merchant or an admin; its customer may only cancel what waits for them."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books.idempotency import Replay
from gateway.books.payments import PaymentRow
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import Forbidden
from gateway.identity.callers import Caller
from gateway.payments.follow_ups import Asked, begin_capture, begin_void
from gateway.payments.outcome import Step
from gateway.payments.path import drive
from gateway.payments.snapshot import PaymentView
from gateway.routes.keyed import REPLAYED, answer_to, request_of
from gateway.routes.payments import visible
from schemas.money import AMOUNT_MAX

blueprint = Blueprint("follow_ups", __name__)

follow_up = partial(
    endpoint,
    scope="payments:write",
    limit="payments",
    answers={200: PaymentView, 202: PaymentView},
    codes=(
        "not_found",
        "wrong_state",
        "operation_in_progress",
        "request_in_progress",
        "idempotency_key_reused",
        "unavailable",
    ),
    idempotency="required",
)


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`amount` in minor units: a part of what was authorized; absent: all of it. The rest is released."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)] | None = None


class Void(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


@blueprint.post("/v1/payments/<payment>/capture")
@follow_up(body=Capture)
async def capture_payment(call: Call, payment: str) -> Reply:
    """Take the money of an authorized payment; 202 while the processor is silent."""
    row = await visible(call, payment)
    if not _sold(call.caller, row):
        raise Forbidden
    return await call.parts.shielded(_run(call, row, partial(begin_capture, amount=call.body.amount)))


@blueprint.post("/v1/payments/<payment>/void")
@follow_up(body=Void)
async def void_payment(call: Call, payment: str) -> Reply:
    """Release an authorized payment, or cancel one that waits for its payer."""
    row = await visible(call, payment)
    sold = _sold(call.caller, row)
    if not sold and call.caller.account != row.customer:
        raise Forbidden
    return await call.parts.shielded(_run(call, row, partial(begin_void, as_payer=not sold)))


def _sold(caller: Caller, row: PaymentRow) -> bool:
    return caller.role == "admin" or caller.account == row.merchant


async def _run(call: Call, row: PaymentRow, begin: Callable[..., Step | Replay]) -> Reply:
    asked = Asked(request_of(call), row.id, call.caller.role)
    begun = await call.parts.books.write(begin, call.parts.terms, asked)
    if isinstance(begun, Replay):
        return Reply(begun.status, begun.body, REPLAYED)
    step = await drive(call.parts, begun)
    answer = await answer_to(call, step.reply)
    return Reply(answer.status, answer.body)
