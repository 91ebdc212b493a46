"""A merchant's people: who logs in under an account of their own and acts for it."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, Index, bindparam, select

from gateway.books.sql import Statement
from gateway.books.tables import Micros, table_of

MerchantRole = Literal["owner", "operator", "viewer"]


class MerchantPerson(msgspec.Struct, frozen=True):
    """A row of `merchant_people`: a person acts for one merchant. `created_at` in microseconds UTC."""

    account_id: str
    merchant_id: str
    role: MerchantRole
    created_at: Micros


merchant_people = table_of(
    "merchant_people",
    MerchantPerson,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_merchant_people_account"),
    ForeignKeyConstraint(["merchant_id"], ["accounts.id"], name="fk_merchant_people_merchant"),
    primary_key=("account_id",),
)
Index("ix_merchant_people_merchant_id", merchant_people.c.merchant_id, merchant_people.c.account_id)

_by_account = Statement(select(merchant_people).where(merchant_people.c.account_id == bindparam("account_id")))


def by_account(conn: Connection, account_id: str) -> MerchantPerson | None:
    """For whom an account acts, and as what; None: for itself."""
    row = _by_account(conn, account_id=account_id).first()
    return MerchantPerson(*row) if row else None
