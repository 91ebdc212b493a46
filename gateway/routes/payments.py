"""Payments: create, look at, list."""

from datetime import datetime
from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import accounts, cards
from gateway.books.idempotency import Replay, select_replay
from gateway.books.payments import PaymentRow, list_payments, payment_query, payments, select_payment
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import FieldError, Forbidden, InvalidRequest, NotFound
from gateway.identity.roles import STAFF
from gateway.origins import may_return
from gateway.payments.new_payment import ByCard, NewPayment, row_of, wrong_fields
from gateway.payments.path import create
from gateway.payments.snapshot import PaymentView, view
from gateway.routes.keyed import REPLAYED, answer_to, request_of
from schemas.fraud import Outcome
from schemas.payments import ProcessorName
from schemas.states import PaymentState
from schemas.times import to_micros

blueprint = Blueprint("payments", __name__)

PAGE_MAX = 100


class PaymentList(msgspec.Struct, frozen=True):
    """A page of payments, the newest first. `next_cursor` is null on the last one."""

    data: list[PaymentView]
    next_cursor: str | None


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which payments: all that are given must hold. `after` and `before` are times of creation, with a zone.

    `risk`, the outcome of the verdict that decided, is not for customers.
    """

    state: PaymentState | None = None
    merchant: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    processor: ProcessorName | None = None
    risk: Outcome | None = None
    after: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 20


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
    found = await call.parts.books.read(_find, call, asked)
    if isinstance(found, Replay):
        return Reply(found.status, found.body, REPLAYED)
    payment = _row(call, asked, found)
    cvc = None
    if isinstance(asked.payment_method, ByCard):
        cvc = asked.payment_method.cvc
        await call.parts.vault.check()  # better no payment than one that fails for the vault
    given = await call.parts.shielded(create(call.parts, request_of(call), payment, cvc))
    answer = await answer_to(call, given)
    ours = answer.payment == payment.id
    return Reply(answer.status, answer.body, {} if ours else REPLAYED)


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
    if wanted.risk is not None and call.caller.role == "customer":
        raise InvalidRequest(FieldError("$.risk", "Not for customers: they see no risk."))
    found = await call.parts.books.read(_page, call.caller.account, call.caller.role, wanted)
    shown = found[: wanted.limit]
    more = shown[-1].id if len(found) > wanted.limit else None
    return Reply(200, PaymentList([view(row, call.caller.role) for row in shown], more))


async def visible(call: Call, payment: str) -> PaymentRow:
    """The payment, if the caller may see it. Raises `NotFound` for another's as for none."""
    row = await call.parts.books.read(select_payment, payment)
    mine = row is not None and call.caller.account in (row.customer, row.merchant)
    if row is None or not (mine or call.caller.role in STAFF):
        raise NotFound
    return row


class Found(msgspec.Struct, frozen=True):
    """What a new payment names: who sells, and the payer's card."""

    merchant: accounts.Account
    card: cards.Card | None


def _find(conn: Connection, call: Call, asked: NewPayment) -> Found | Replay:
    """What the request names, or what it was answered before: a repeat needs none of it to be there still."""
    keyed = request_of(call)
    if replay := select_replay(conn, keyed.account, keyed.key, keyed.fingerprint):
        return replay
    merchant = accounts.by_id(conn, asked.merchant)
    if merchant is None or merchant.role != "merchant":
        raise NotFound("There is no such merchant.")
    if not isinstance(asked.payment_method, ByCard):
        return Found(merchant, None)
    card = cards.select_card(conn, asked.payment_method.card, call.caller.account)
    if card is None:
        raise NotFound("There is no such card.")
    return Found(merchant, card)


def _row(call: Call, asked: NewPayment, found: Found) -> PaymentRow:
    caller = call.caller
    if asked.return_url is not None and not _may_return(call, found.merchant, asked.return_url):
        raise InvalidRequest(FieldError("$.return_url", "Its origin is not registered for the merchant."))
    given = asked.device.ip if asked.device else None
    ip = given or (call.ip if caller.role == "customer" else None)
    return row_of(asked, caller.account, caller.role, found.card, ip, call.parts.key, call.traceparent)


def _may_return(call: Call, merchant: accounts.Account, url: str) -> bool:
    registered = msgspec.json.decode(merchant.return_origins, type=list[str])
    return may_return(url, registered, call.parts.settings.profile)


def _page(conn: Connection, account: str, role: str, wanted: Filter) -> list[PaymentRow]:
    c = payments.c
    query = payment_query().order_by(c.id.desc()).limit(wanted.limit + 1)
    if role not in STAFF:
        query = query.where((c.customer == account) | (c.merchant == account))
    for column, value in (
        (c.state, wanted.state),
        (c.merchant, wanted.merchant),
        (c.processor, wanted.processor),
        (c.risk_outcome, wanted.risk),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.after is not None:
        query = query.where(c.created_at >= to_micros(wanted.after))
    if wanted.before is not None:
        query = query.where(c.created_at < to_micros(wanted.before))
    if wanted.cursor is not None:
        query = query.where(c.id < wanted.cursor)
    return list_payments(conn, query)
