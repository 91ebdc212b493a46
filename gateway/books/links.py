"""One-time links: whoever has one may set an account's password, once."""

from typing import Literal

import msgspec
from sqlalchemy import ForeignKeyConstraint, Index

from gateway.books.tables import Micros, table_of

LinkPurpose = Literal["password_reset", "invitation"]


class OneTimeLink(msgspec.Struct, frozen=True):
    """A row of `one_time_links`; times by the steady clock. `hash`: keyed, of the token in the link."""

    hash: bytes
    account_id: str
    purpose: LinkPurpose
    expires_at: Micros
    used_at: Micros | None


one_time_links = table_of(
    "one_time_links",
    OneTimeLink,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_one_time_links_account"),
    primary_key=("hash",),
)
Index("ix_one_time_links_account_id", one_time_links.c.account_id, one_time_links.c.purpose)
