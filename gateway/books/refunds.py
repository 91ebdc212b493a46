"""Refunds: captured money given back. One takes an operation for each capture that it gives money back of."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Index, Select, bindparam, literal_column, null, or_, select, tuple_, update

from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, Micros, Minor, struct_of, table_of
from schemas.states import DeclineCode, Status


class RefundRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `refunds`. Amounts in minor units of `currency`, times in microseconds UTC.

    `amount`: what was asked; of one that ended after a part was given back, that part. `amount_refunded`: what was
    given back so far. `reason` is the merchant's own text, sealed for the payer (`persons`).
    `decline_code`: why not all of it was given back.
    `pending_reason`: the processor's word for what it waits for.
    """

    id: str
    payment_id: str
    customer_id: str
    merchant_id: str
    currency: str
    reason: str | None = None
    created_at: Micros
    # Above: fixed at creation. Below: what `put_refund` writes.
    amount: Minor
    amount_refunded: Minor = 0
    status: Status = "pending"
    decline_code: DeclineCode | None = None
    pending_reason: str | None = None
    updated_at: Micros


class RefundFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which refunds a list shows: all that are given must hold. `party_id`: an account that paid or sold."""

    party_id: str | None = None
    payment_id: str | None = None


refunds = table_of("refunds", RefundRow)
_c = refunds.c
Index("ix_refunds_payment_id", _c.payment_id, _c.id)
Index("ix_refunds_customer_id", _c.customer_id, _c.id)
Index("ix_refunds_merchant_id", _c.merchant_id, _c.id)

_names = RefundRow.__struct_fields__
_changing = _names[_names.index("amount") :]

_put = Statement(
    lambda insert: (put := insert(refunds)).on_conflict_do_update(
        index_elements=["id"], set_={name: put.excluded[name] for name in _changing}
    )
)
_select = Statement(select(refunds).where(_c.id == bindparam("refund_id")))
_forget = Statement(
    update(refunds)
    .where(_c.customer_id == bindparam("of_customer_id"), _c.reason.is_not(None))
    .values(reason=null())
    .returning(_c.payment_id)
)
_below = bindparam("below", type_=_c.id.type)


def _led_by(leader: str, value: str) -> Select[Any]:
    """A page of the refunds that an index leads to, by pairs as in `payment_lists`."""
    this = bindparam(value, type_=_c[leader].type)
    pair = tuple_(_c[leader], _c.id)
    query = select(refunds).where(pair < tuple_(this, _below), pair > tuple_(this, literal_column("''")))
    return query.order_by(_c[leader].desc(), _c.id.desc()).limit(bindparam("most"))


_page = select(refunds).order_by(_c.id.desc()).limit(bindparam("most"))
_party_id = bindparam("of_party_id", type_=_c.customer_id.type)
_of_party = or_(_party_id.is_(None), _c.customer_id == _party_id, _c.merchant_id == _party_id)
# By the index that leads to the refunds; None: all of them.
PAGES = {
    None: Statement(_page.where(_c.id < _below)),
    "payment_id": Statement(_led_by("payment_id", "of_payment_id").where(_of_party)),
    "customer_id": Statement(_led_by("customer_id", "of_party_id")),
    "merchant_id": Statement(_led_by("merchant_id", "of_party_id")),
}


def put_refund(conn: Connection, row: RefundRow) -> None:
    """Write a new refund, or what may change of one; the version of its payment guards it."""
    _put(conn, **msgspec.structs.asdict(row))


def select_refund(conn: Connection, refund_id: str) -> RefundRow | None:
    """The refund of this id."""
    row = _select(conn, refund_id=refund_id).first()
    return struct_of(RefundRow, row) if row else None


def list_refunds(conn: Connection, after_id: str | None, most: int, wanted: RefundFilter) -> list[RefundRow]:
    """Up to `most` refunds, the newest first; `after_id` is the last one of the page before."""
    found: dict[str, RefundRow] = {}
    # One by one: of both in one statement every row would be read and sorted.
    for leader, values in _sides(wanted):
        rows = PAGES[leader](conn, below=after_id or ABOVE_ALL_IDS, most=most, **values)
        found |= {row.id: struct_of(RefundRow, row) for row in rows}
    return [found[refund_id] for refund_id in sorted(found, reverse=True)[:most]]


def _sides(wanted: RefundFilter) -> list[tuple[str | None, dict[str, str | None]]]:
    """The index that leads to each side's refunds, and what is asked of them. A payment has few."""
    values = {"of_payment_id": wanted.payment_id, "of_party_id": wanted.party_id}
    if wanted.payment_id is not None:
        return [("payment_id", values)]
    return [(None, values)] if wanted.party_id is None else [("customer_id", values), ("merchant_id", values)]


def forget_reasons(conn: Connection, customer_id: str) -> set[str]:
    """Take out of a payer's refunds what merchants wrote about them; the ids of the payments."""
    return {row.payment_id for row in _forget(conn, of_customer_id=customer_id)}
