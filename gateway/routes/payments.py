"""Payments: create, look at, list, and follow step by step."""

from datetime import datetime
from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import accounts, cards, idempotency
from gateway.books.outbox import OutboxRow, select_history
from gateway.books.payments import PaymentRow, list_payments, payment_query, payments, select_payment
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import FieldError, Forbidden, InvalidRequest, NotFound, RequestInProgress
from gateway.identity.roles import STAFF
from gateway.origins import may_return
from gateway.payments.new_payment import ByCard, NewPayment, row_of, wrong_fields
from gateway.payments.path import Request, create
from gateway.payments.snapshot import PaymentView, view
from schemas.payments import PaymentEvent, Processor
from schemas.risk import Outcome
from schemas.states import PaymentState, Status
from schemas.times import from_micros, to_micros

blueprint = Blueprint("payments", __name__)

PAGE_MAX = 100
REPLAYED = {"Idempotent-Replayed": "true"}


class PaymentList(msgspec.Struct, frozen=True):
    """A page of payments, the newest first. `next_cursor` is null on the last one."""

    data: list[PaymentView]
    next_cursor: str | None


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which payments: all that are given must hold. `after` and `before` are times of creation, with a zone."""

    state: PaymentState | None = None
    merchant: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    processor: Processor | None = None
    risk: Outcome | None = None
    after: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 20


class StepView(msgspec.Struct, frozen=True):
    """One event of a payment; `sequence` counts them from 1 without gaps."""

    id: str
    type: str
    sequence: int
    state: PaymentState
    previous_state: PaymentState | None
    status: Status
    recorded_at: datetime


class StepList(msgspec.Struct, frozen=True):
    """All events of a payment, the first one first."""

    data: list[StepView]
    next_cursor: None = None


@blueprint.post("/v1/payments")
@endpoint(
    scope="payments:write",
    limit="payments",
    body=NewPayment,
    answers={201: PaymentView, 202: PaymentView},
    codes=("idempotency_key_reused", "not_found", "request_in_progress", "unavailable"),
    idempotency="required",
)
async def create_payment(call: Call) -> Reply:
    """Take a payment: 201 with its end, 202 where it waits for somebody (a reviewer, the payer, the processor)."""
    asked: NewPayment = call.body
    if errors := wrong_fields(asked):
        raise InvalidRequest(*errors)
    if asked.occurred_at is not None and "payments:import" not in call.caller.scopes:
        raise Forbidden("Saying when a payment happened needs the scope payments:import.")
    payment = await _row(call, asked)
    cvc = None
    if isinstance(asked.payment_method, ByCard):
        cvc = asked.payment_method.cvc
        await call.parts.vault.check()  # better no payment than one that fails for the vault
    assert call.key is not None
    request = Request(call.caller.account, call.key, call.fingerprint)
    answered = await call.parts.shielded(create(call.parts, request, payment, cvc))
    if answered is None:
        answered = await call.parts.books.read(idempotency.select_answer, call.caller.account, call.key)
    if answered is None:
        raise RequestInProgress(retry_after=1)
    ours = answered.payment == payment.id
    return Reply(answered.status, answered.body, {} if ours else REPLAYED)


@blueprint.get("/v1/payments/<payment>")
@endpoint(scope="payments:read", answers={200: PaymentView}, codes=("not_found",))
async def show_payment(call: Call, payment: str) -> Reply:
    """A payment the caller may see."""
    return Reply(200, view(await visible(call, payment), call.caller.role))


@blueprint.get("/v1/payments")
@endpoint(scope="payments:read", query=Filter, answers={200: PaymentList})
async def list_all(call: Call) -> Reply:
    """The payments the caller may see, the newest first."""
    wanted: Filter = call.query
    found = await call.parts.books.read(_page, call.caller.account, call.caller.role, wanted)
    shown = found[: wanted.limit]
    more = shown[-1].id if len(found) > wanted.limit else None
    return Reply(200, PaymentList([view(row, call.caller.role) for row in shown], more))


@blueprint.get("/v1/payments/<payment>/events")
@endpoint(scope="payments:read", answers={200: StepList}, codes=("not_found",))
async def list_events(call: Call, payment: str) -> Reply:
    """What happened to a payment, step by step."""
    row = await visible(call, payment)
    history = await call.parts.books.read(select_history, row.id)
    return Reply(200, StepList([_step(event) for event in history]))


async def visible(call: Call, payment: str) -> PaymentRow:
    """The payment, if the caller may see it. Raises `NotFound` for another's as for none."""
    row = await call.parts.books.read(select_payment, payment)
    mine = row is not None and call.caller.account in (row.customer, row.merchant)
    if row is None or not (mine or call.caller.role in STAFF):
        raise NotFound
    return row


async def _row(call: Call, asked: NewPayment) -> PaymentRow:
    caller = call.caller
    token = asked.payment_method.card if isinstance(asked.payment_method, ByCard) else None
    card, merchant = await call.parts.books.read(_parties, caller.account, token, asked.merchant)
    if merchant is None:
        raise NotFound("There is no such merchant.")
    if token is not None and card is None:
        raise NotFound("There is no such card.")
    if asked.return_url is not None and not _may_return(call, merchant, asked.return_url):
        raise InvalidRequest(FieldError("$.return_url", "Its origin is not registered for the merchant."))
    given = asked.device.ip if asked.device else None
    ip = given or (call.ip if caller.role == "customer" else None)
    return row_of(asked, caller.account, caller.role, card, ip, call.parts.key, call.traceparent)


def _parties(
    conn: Connection, customer: str, card: str | None, merchant: str
) -> tuple[cards.Card | None, accounts.Account | None]:
    sells = accounts.by_id(conn, merchant)
    found = cards.select_card(conn, card, customer) if card else None
    return found, sells if sells and sells.role == "merchant" else None


def _may_return(call: Call, merchant: accounts.Account, url: str) -> bool:
    registered = msgspec.json.decode(merchant.return_origins, type=list[str])
    return may_return(url, registered, call.parts.settings.profile)


def _page(conn: Connection, account: str, role: str, wanted: Filter) -> list[PaymentRow]:
    c = payments.c
    query = payment_query().order_by(c.id.desc()).limit(wanted.limit + 1)
    if role not in STAFF:
        query = query.where((c.customer == account) | (c.merchant == account))
    equal = {c.state: wanted.state, c.merchant: wanted.merchant, c.processor: wanted.processor}
    for column, value in {**equal, c.risk_outcome: wanted.risk if role != "customer" else None}.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.after is not None:
        query = query.where(c.created_at >= to_micros(wanted.after))
    if wanted.before is not None:
        query = query.where(c.created_at < to_micros(wanted.before))
    if wanted.cursor is not None:
        query = query.where(c.id < wanted.cursor)
    return list_payments(conn, query)


def _step(row: OutboxRow) -> StepView:
    data = msgspec.json.decode(row.value, type=PaymentEvent)  # what all events of a payment have in common
    return StepView(
        row.event,
        row.type,
        data.sequence,
        data.payment.state,
        data.previous_state,
        data.payment.status,
        from_micros(row.recorded_at),
    )
