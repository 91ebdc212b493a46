"""Worlds that know nothing of each other: a merchant, its people and client, a customer, and what is theirs."""

from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from gateway.books.accounts import by_id
from gateway.books.cards import CardRow, upsert_card
from gateway.books.list_entries import ListEntryRow, put_entry
from gateway.books.payments import PaymentRow, insert_payment
from gateway.books.refunds import RefundRow, put_refund
from gateway.books.stops import StopRow, put_stop
from gateway.books.tasks import TaskRow, open_task, resolve_task
from gateway.identity.sql_tokens import SqlTokenOrder, create
from gateway.payments.held import end_review, open_review
from gateway.roles import MERCHANT_ROLES
from schemas.controls import DEFAULTS
from schemas.ids import new_id
from schemas.times import now_micros
from tests.gateway.actors import Actor, Actors

PAYERS = "account cards:read cards:write payments:read payments:write"
SELLERS = "cards:read cards:write payments:read payments:write refunds:write merchants:read"


class World(msgspec.Struct, frozen=True):
    """`actors`: who asks; `ids`: of a payment, its refund, and so on; `owners` and `cards`: by who pays."""

    actors: dict[str, Actor]
    ids: dict[str, str]
    owners: dict[str, str]
    cards: dict[str, str]
    app_id: str

    def payer(self, who: str) -> str:
        """Whose cards somebody uses."""
        return "customer" if who in ("customer", "app") else "merchant"

    def names(self, who: str) -> dict[str, str]:
        """What stands for the variables of a path or a body, where one of this world asks, or is asked about."""
        return self.ids | {"card": self.cards[self.payer(who)], "new": uuid4().hex}


async def build(actors: Actors) -> World:
    """A new world; none of its accounts logs in with a password."""
    shop = await actors.merchant("https://shop.example")
    customer = await actors.new("customer")
    people = {role: await actors.person(shop, role) for role in MERCHANT_ROLES}
    app = await actors.client(shop, PAYERS, type="public")
    made = {
        "customer": customer,
        **people,
        "analyst": await actors.new("analyst"),
        "admin": await actors.new("admin"),
        "client": await actors.client(shop, SELLERS),
        "app": await actors.log_in(customer.id, "customer", app.id, PAYERS),
        "service": await actors.client(None, "contacts:read sql_tokens:check"),
    }
    parties = {"customer": customer.id, "merchant": shop}
    cards = {name: await new_card(actors, owner_id) for name, owner_id in parties.items()}
    owner = await actors.runtime.books.read(by_id, people["owner"].id)
    assert owner is not None
    ids = await actors.runtime.books.write(partial(_paid, **parties))
    more = {
        "merchant": shop,
        "account": customer.id,
        "person": people["owner"].id,
        "owner_email": str(owner.email),
    }
    ended = await actors.client(shop, "payments:read", type="public")
    order = SqlTokenOrder(people["owner"].id, "a test", "Notebook", None)
    token, _ = await actors.runtime.books.write(create, order)
    stop, _ = await actors.runtime.books.write(put_stop, _stop_of_nobody())
    more |= {
        "client": ended.id,
        "entry": await new_entry(actors),
        "rule": DEFAULTS[0].id,
        "sql_token": token.id,
        "stop": stop.id,
        "kind": "payments_view",
    }
    return World(made, ids | more, parties, cards, app.id)


async def new_entry(actors: Actors) -> str:
    """An entry of a list that no payment names."""
    entry = ListEntryRow(
        id=new_id("lst"),
        list="block",
        kind="customer",
        value=new_id("acc"),
        reason="why",
        owner_id="acc_x",
        expires_at=None,
        version=1,
        recorded_at=now_micros(),
    )
    await actors.runtime.books.write(put_entry, entry)
    return entry.id


def _stop_of_nobody() -> StopRow:
    return StopRow(
        target=new_id("acc"), id=new_id("stp"), reason="why", stopped_by="acc_x", stopped_at=now_micros()
    )


async def refused(actors: Actors) -> dict[str, Actor]:
    """Those with a good token who may nothing at all."""
    now = now_micros()
    stopped = await actors.account("merchant", suspended_at=now, suspended_reason="why")
    return {
        "disabled": await actors.new("admin", disabled_at=now),
        "suspended": await actors.person(stopped, "owner"),
        "ended": await _ended(actors),
    }


async def _ended(actors: Actors) -> Actor:
    client = await actors.client(await actors.merchant(), SELLERS)
    await actors.change(f"UPDATE clients SET revoked_at = 1 WHERE id = '{client.id}'")
    return client


async def new_card(actors: Actors, owner_id: str) -> str:
    """A card that the vault knows nothing of."""
    card = CardRow(new_id("card"), owner_id, "visa", "411111", "1111", 1, 2039, uuid4().hex, now_micros())
    await actors.runtime.books.write(upsert_card, card)
    return card.id


def _paid(conn: Connection, customer: str, merchant: str) -> dict[str, str]:
    """A captured payment, a refund of it, a decided review and a resolved task."""
    now, payment_id, operation_id = now_micros(), new_id("pay"), new_id("op")
    parties: dict[str, Any] = {"customer_id": customer, "merchant_id": merchant, "currency": "EUR"}
    times = {"created_at": now, "updated_at": now}
    captured = {"state": "captured", "recovery_point": "finished", "amount_captured": 100, "capture": "automatic"}
    what = {"stream_key": "fp", "method": "card", "amount": 100, "occurred_at": now}
    payment = PaymentRow(id=payment_id, **parties, **times, **captured, **what)
    insert_payment(conn, payment)
    refund = RefundRow(id=new_id("re"), payment_id=payment_id, amount=1, **parties, **times)
    put_refund(conn, refund)
    review_id, task_id = open_review(conn, payment, now), new_id("tsk")
    end_review(conn, payment, review_id, "reject", "known", None, now)
    about = {"kind": "mismatch", "payment_id": payment_id, "operation_id": operation_id, "about_id": operation_id}
    open_task(conn, TaskRow(id=task_id, tried=1, opened_at=now, **about))  # type: ignore[arg-type]
    resolve_task(conn, task_id, "lapsed", "late", "acc_x", now)
    return {"payment": payment_id, "refund": refund.id, "review": review_id, "task": task_id}
