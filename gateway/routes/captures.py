"""Capture and void, for the payment's merchant or an admin; its customer may cancel one that waits for them."""

from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books.payments import PaymentRow
from gateway.payments.captures import begin_capture, begin_void
from gateway.payments.views import PaymentView
from gateway.problems import Problem
from gateway.routes.payments import visible
from gateway.web.call import Call, Caller, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import carry_out
from schemas.money import AMOUNT_MAX

blueprint = Blueprint("follow_ups", __name__)

PAYMENT = {200: PaymentView, 202: PaymentView}

follow_up = partial(
    endpoint,
    limit="payments",
    codes=(
        "not_found",
        "processor_declined",
        "amount_too_large",
        "wrong_state",
        "operation_in_progress",
        "request_in_progress",
        "idempotency_key_reused",
        "unavailable",
    ),
    idempotency="required",
)


class CaptureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`amount` in minor units: a part of what is capturable; absent: all of it.

    The rest is released, unless `final` is false: then it stays reserved for a further capture.
    """

    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)] | None = None
    final: bool = True


class VoidRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No body."""


@blueprint.post("/v1/payments/<payment>/capture")
@follow_up(scope="payments:write", body=CaptureRequest, answers=PAYMENT)
async def capture_payment(call: Call[CaptureRequest, None], payment_id: str) -> Reply:
    """Capture an authorized payment, all of it or in parts; 202 while the processor has not answered."""
    row = await visible(call, payment_id)
    if not acts_for_merchant(call.caller, row):
        raise Problem("forbidden")
    return await carry_out(call, begin_capture, row.id, amount=call.body.amount, final=call.body.final)


@blueprint.post("/v1/payments/<payment>/void")
@follow_up(scope="payments:write", body=VoidRequest, answers=PAYMENT)
async def void_payment(call: Call[VoidRequest, None], payment_id: str) -> Reply:
    """Release what is reserved and not captured, or cancel a payment that waits for its payer."""
    row = await visible(call, payment_id)
    for_merchant = acts_for_merchant(call.caller, row)
    if not for_merchant and call.caller.account_id != row.customer_id:
        raise Problem("forbidden")
    return await carry_out(call, begin_void, row.id, as_payer=not for_merchant)


def acts_for_merchant(caller: Caller, row: PaymentRow) -> bool:
    """Whether a caller may move the money of a payment: its merchant, or an admin."""
    return caller.role == "admin" or caller.account_id == row.merchant_id
