"""Payments: create, show, list, and the return of a payer from a processor's page."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from hmac import compare_digest
from operator import attrgetter
from typing import Annotated
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from quart import Blueprint

from gateway.books import accounts
from gateway.books.payment_lists import PaymentFilter, list_payments
from gateway.books.payments import PaymentRow, open_texts, select_payment
from gateway.free_text import ShortText
from gateway.identity.contacts import email_key
from gateway.payments.create import NewPayment, Payer, create
from gateway.payments.orders import payer_returned
from gateway.payments.views import PaymentView, payment_view
from gateway.problems import Problem
from gateway.refusals import FieldError, InvalidFields
from gateway.roles import STAFF
from gateway.web.call import Call, Caller, Reply, replied
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import answer_of
from gateway.web.paging import Listing, Page, read_slice
from schemas.fraud import Outcome
from schemas.money import AMOUNT_MAX
from schemas.payments import ProcessorName
from schemas.states import PaymentState, Status
from schemas.times import to_micros

NOT_FOR_CUSTOMERS = ("risk", "customer", "reference", "last4", "amount", "currency", "email")

blueprint = Blueprint("payments", __name__)
returns_blueprint = Blueprint("returns", __name__)


class PaymentList(Listing[PaymentView], frozen=True):
    """A page of payments, the newest first. `next_cursor` is null on the last one."""


class PaymentQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Filters: a payment must match all that are given. `after` and `before` are times of creation, with a zone.

    `status`: any of its states. `amount` in minor units. `risk` is the outcome of the verdict that decided. It and
    all below it are not for customers. `email`: the customer's, all of it; for staff.
    """

    state: PaymentState | None = None
    status: Status | None = None
    merchant: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    processor: ProcessorName | None = None
    after: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    risk: Outcome | None = None
    customer: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    reference: ShortText | None = None
    last4: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}\Z")] | None = None
    amount: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)] | None = None
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")] | None = None
    email: Annotated[str, msgspec.Meta(max_length=320)] | None = None


@blueprint.post("/v1/payments")
@endpoint(
    scope="payments:write",
    limit="payments",
    body=NewPayment,
    answers={201: PaymentView, 202: PaymentView},
    codes=("idempotency_key_reused", "not_found", "request_in_progress", "stopped", "unavailable"),
    idempotency="required",
)
async def create_payment(call: Call[NewPayment, None]) -> Reply:
    """Create a payment: 201 once it is decided, 202 while it waits for a reviewer, the payer or the processor."""
    asked, caller = call.body, call.caller
    imports = "payments:import" in caller.scopes
    payer = Payer(caller.account_id, _payers_ip(call, imports=imports), call.traceparent, imports)
    created = await create(call.runtime, call.keyed(), asked, payer)
    return replied(await answer_of(call, created.answer), replayed=created.replayed)


def _payers_ip(call: Call[NewPayment, None], *, imports: bool) -> str | None:
    """A customer pays from the address of the connection, whatever the body says; others tell their payer's."""
    if call.caller.role == "customer" and not imports:
        return call.ip or None
    return call.body.device.ip if call.body.device else None


@blueprint.get("/v1/payments/<payment>")
@endpoint(scope="payments:read", answers={200: PaymentView}, codes=("not_found",))
async def show_payment(call: Call[None, None], payment_id: str) -> Reply:
    """Show a payment that the caller may see."""
    row = await visible(call, payment_id)
    return Reply(200, payment_view(row, call.caller, call.runtime.policy.prints))


@blueprint.get("/v1/payments")
@endpoint(scope="payments:read", query=PaymentQuery, answers={200: PaymentList})
async def list_all(call: Call[None, PaymentQuery]) -> Reply:
    """List the payments that the caller may see, the newest first."""
    query, caller = call.query, call.caller
    if caller.role not in STAFF:
        _check(query, NOT_FOR_CUSTOMERS if caller.role == "customer" else ("email",))
    wanted = PaymentFilter(
        party_id=None if caller.role in STAFF else caller.account_id,
        created_from=to_micros(query.after) if query.after else None,
        created_before=to_micros(query.before) if query.before else None,
        customer_id=await _customer_id(call),
        merchant_id=query.merchant,
        state=query.state,
        status=query.status,
        processor=query.processor,
        risk_outcome=query.risk,
        currency=query.currency,
        last4=query.last4,
        amount=query.amount,
        reference=query.reference,
    )
    select = partial(list_payments, wanted=wanted)
    shown, cursor = await read_slice(call, select, attrgetter("id"), str)
    prints = call.runtime.policy.prints
    return Reply(200, PaymentList([payment_view(row, caller, prints) for row in shown], cursor))


def _check(query: PaymentQuery, not_theirs: Sequence[str]) -> None:
    given = [name for name in not_theirs if getattr(query, name) is not None]
    if given:
        raise InvalidFields(*[FieldError(f"$.{name}", "Not for you to filter by.") for name in given])


async def _customer_id(call: Call[None, PaymentQuery]) -> str | None:
    """The customer that is asked for; an id that no account has where none is all that was said."""
    email, asked = call.query.email, call.query.customer
    if email is None:
        return asked
    found = await call.runtime.books.read(accounts.bare_by_email, email_key(email.strip()))
    return found.id if found and asked in (None, found.id) else ""


async def visible(call: Call[object, object], payment_id: str) -> PaymentRow:
    """The payment. Raises the problem `not_found` if it does not exist or the caller may not see it."""
    row = await call.runtime.books.read(select_payment, payment_id)
    own = row is not None and call.caller.account_id in (row.customer_id, row.merchant_id)
    if row is None or not (own or call.caller.role in STAFF):
        raise Problem("not_found")
    return row


class ReturnQuery(msgspec.Struct, frozen=True):
    """`cancelled` is present if the payer refused; parameters that the processor adds are ignored."""

    cancelled: str | None = None


@returns_blueprint.get("/v1/return/<payment>/<nonce>")
@endpoint(
    scope=None, limit="public", query=ReturnQuery, answers={200: PaymentView, 303: None}, codes=("not_found",)
)
async def come_back(call: Call[None, ReturnQuery], payment_id: str, nonce: str) -> Reply:
    """Finish a payment that its payer approved, or void a cancelled one; then redirect to `return_url`.

    It needs no token and may be repeated: an approval is believed from the processor only. HEAD, and what a
    browser fetches before its user comes, change nothing.
    """
    row = await call.runtime.books.read(select_payment, payment_id)
    if row is None or row.return_nonce is None or not compare_digest(nonce.encode(), row.return_nonce.encode()):
        raise Problem("not_found")
    cancelled, done = call.query.cancelled is not None, row
    if not call.only_looks:
        done = await call.runtime.shielded(payer_returned(call.runtime, row, cancelled=cancelled))
    return_url = (await call.runtime.books.read(open_texts, done)).return_url
    if return_url is None:
        payer = Caller(done.customer_id, done.customer_id, "customer", frozenset())
        return Reply(200, payment_view(done, payer, call.runtime.policy.prints))
    return Reply(303, headers={"Location": _with_payment(return_url, done.id)})


def _with_payment(url: str, payment_id: str) -> str:
    scheme, host, path, query, fragment = urlsplit(url)
    more = urlencode({"payment": payment_id})
    return urlunsplit((scheme, host, path, f"{query}&{more}" if query else more, fragment))
