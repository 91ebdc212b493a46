"""Refunds: give captured money back, for the payment's merchant or an admin; show and list them."""

from functools import partial
from operator import attrgetter
from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books.refunds import RefundFilter, RefundRow, list_refunds, select_refund
from gateway.free_text import Reason
from gateway.payments.refunds import begin_refund
from gateway.payments.views import RefundView, refund_view, role_towards
from gateway.problems import Problem
from gateway.roles import STAFF
from gateway.routes.captures import acts_for_merchant, follow_up
from gateway.routes.payments import visible
from gateway.web.call import Call, Caller, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import carry_out
from gateway.web.paging import Listing, Page, read_page
from schemas.money import AMOUNT_MAX

blueprint = Blueprint("refunds", __name__)


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`amount` in minor units: a part of what was captured; absent: all that was not given back yet."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)] | None = None
    reason: Reason | None = None


class RefundList(Listing[RefundView], frozen=True):
    """A page of refunds, the newest first. `next_cursor` is null on the last one."""


class RefundQuery(Page, frozen=True, forbid_unknown_fields=True):
    """`payment`: those of one payment."""

    payment: Annotated[str, msgspec.Meta(max_length=64)] | None = None


@blueprint.post("/v1/payments/<payment>/refunds")
@follow_up(scope="refunds:write", body=RefundRequest, answers={201: RefundView, 202: RefundView})
async def refund_payment(call: Call[RefundRequest, None], payment_id: str) -> Reply:
    """Give captured money back; 202 while the processor has not answered."""
    row = await visible(call, payment_id)
    if not acts_for_merchant(call.caller, row):
        raise Problem("forbidden")
    return await carry_out(call, begin_refund, row.id, amount=call.body.amount, reason=call.body.reason)


@blueprint.get("/v1/refunds/<refund>")
@endpoint(scope="payments:read", answers={200: RefundView}, codes=("not_found",))
async def show_refund(call: Call[None, None], refund_id: str) -> Reply:
    """Show a refund of a payment that the caller may see."""
    row = await call.runtime.books.read(select_refund, refund_id)
    own = row is not None and call.caller.account_id in (row.customer_id, row.merchant_id)
    if row is None or not (own or call.caller.role in STAFF):
        raise Problem("not_found")
    return Reply(200, _view(row, call.caller))


@blueprint.get("/v1/refunds")
@endpoint(scope="payments:read", query=RefundQuery, answers={200: RefundList})
async def list_all(call: Call[None, RefundQuery]) -> Reply:
    """List the refunds of payments that the caller may see, the newest first."""
    query, caller = call.query, call.caller
    party_id = None if caller.role in STAFF else caller.account_id
    select = partial(list_refunds, wanted=RefundFilter(party_id=party_id, payment_id=query.payment))
    shown, cursor = await read_page(call, select, attrgetter("id"), str)
    return Reply(200, RefundList([_view(row, caller) for row in shown], cursor))


def _view(row: RefundRow, caller: Caller) -> RefundView:
    return refund_view(row, role_towards(row, caller))
