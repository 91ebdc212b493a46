"""Capture and void: by the payment's merchant or an admin; its customer may only cancel what waits for them."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books import idempotency
from gateway.books.idempotency import Replay
from gateway.books.payments import PaymentRow
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import Forbidden, RequestInProgress, WrongState
from gateway.payments.follow_ups import Asked, begin_capture, begin_void
from gateway.payments.outcome import Step
from gateway.payments.path import Request, drive
from gateway.payments.snapshot import PaymentView
from gateway.routes.payments import REPLAYED, visible
from schemas.money import AMOUNT_MAX

blueprint = Blueprint("follow_ups", __name__)

CODES = (
    "not_found",
    "wrong_state",
    "operation_in_progress",
    "request_in_progress",
    "idempotency_key_reused",
    "unavailable",
)


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`amount` in minor units: a part of what was authorized; absent: all of it. The rest is released."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)] | None = None


class Void(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


@blueprint.post("/v1/payments/<payment>/capture")
@endpoint(
    scope="payments:write",
    limit="payments",
    body=Capture,
    answers={200: PaymentView, 202: PaymentView},
    codes=CODES,
    idempotency="required",
)
async def capture_payment(call: Call, payment: str) -> Reply:
    """Take the money of an authorized payment; 202 while the processor is silent."""
    row = await visible(call, payment)
    if call.caller.role != "admin" and call.caller.account != row.merchant:
        raise Forbidden
    return await call.parts.shielded(_run(call, row, partial(begin_capture, amount=call.body.amount)))


@blueprint.post("/v1/payments/<payment>/void")
@endpoint(
    scope="payments:write",
    limit="payments",
    body=Void,
    answers={200: PaymentView, 202: PaymentView},
    codes=CODES,
    idempotency="required",
)
async def void_payment(call: Call, payment: str) -> Reply:
    """Release an authorized payment, or cancel one that waits for its payer."""
    row = await visible(call, payment)
    if call.caller.role == "customer" and row.state != "requires_action":
        raise WrongState("A customer may only cancel a payment that waits for them.")
    if call.caller.role == "analyst":
        raise Forbidden
    return await call.parts.shielded(_run(call, row, begin_void))


async def _run(call: Call, row: PaymentRow, begin: Callable[..., Step | Replay]) -> Reply:
    assert call.key is not None
    request = Request(call.caller.account, call.key, call.fingerprint)
    asked = Asked(request, row.id, call.caller.role)
    begun = await call.parts.books.write(begin, call.parts.terms, asked)
    if isinstance(begun, Replay):
        return Reply(begun.status, begun.body, REPLAYED)
    step = await drive(call.parts, begun)
    reply = step.reply or await call.parts.books.read(idempotency.select_answer, request.account, request.key)
    if reply is None:
        raise RequestInProgress(retry_after=1)
    return Reply(reply.status, reply.body)
