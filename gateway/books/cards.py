"""Cards as everyone but the vault knows them: a token, what may be shown of the number, and whose it is."""

import msgspec
from sqlalchemy import Column, Connection, Index, Integer, Table, Text, and_, bindparam, or_, select, update

from gateway.books.metadata import Micros, metadata
from gateway.books.statement import Statement
from schemas.cards import Brand

cards = Table(
    "cards",
    metadata,
    Column("id", Text, primary_key=True),  # the token
    Column("owner", Text, nullable=False),
    Column("brand", Text, nullable=False),
    Column("bin", Text, nullable=False),
    Column("last4", Text, nullable=False),
    Column("exp_month", Integer, nullable=False),
    Column("exp_year", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),  # keyed, the same for every owner of the number
    Column("created_at", Micros, nullable=False),
    Column("deleted_at", Micros),
)
Index("ix_cards_owner", cards.c.owner, cards.c.created_at, cards.c.id)


class Card(msgspec.Struct, frozen=True):
    """A card its owner has not deleted; `created_at` in microseconds UTC."""

    id: str
    owner: str
    brand: Brand
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str
    created_at: int


_c = cards.c
_columns = [_c[name] for name in Card.__struct_fields__]
_mine = and_(_c.owner == bindparam("of_owner"), _c.deleted_at.is_(None))
_one = and_(_c.id == bindparam("of_card"), _mine)

# A deleted row stays deleted: the vault gives the same number a new token after that.
_upsert = Statement(
    lambda insert: (new := insert(cards)).on_conflict_do_update(
        index_elements=[_c.id],
        set_={"exp_month": new.excluded.exp_month, "exp_year": new.excluded.exp_year},
    )
)
_select = Statement(select(*_columns).where(_one))
_place = Statement(
    select(_c.created_at, _c.id).where(_c.id == bindparam("of_card"), _c.owner == bindparam("of_owner"))
)
_page = Statement(
    select(*_columns)
    .where(
        _mine,
        or_(
            _c.created_at < bindparam("before"),
            and_(_c.created_at == bindparam("before"), _c.id < bindparam("before_id")),
        ),
    )
    .order_by(_c.created_at.desc(), _c.id.desc())
    .limit(bindparam("most"))
)
_delete = Statement(update(cards).where(_one).values(deleted_at=bindparam("now")))

NEWEST = (2**63 - 1, "")


def upsert_card(conn: Connection, card: Card) -> None:
    """Write a card, or the expiry of one that is there."""
    _upsert(conn, **msgspec.structs.asdict(card), deleted_at=None)


def select_card(conn: Connection, card: str, owner: str) -> Card | None:
    """The card of this token; None where it is deleted or another owner's."""
    row = _select(conn, of_card=card, of_owner=owner).first()
    return Card(*row) if row else None


def select_cards(conn: Connection, owner: str, after: str | None, most: int) -> list[Card]:
    """Up to `most` cards of an owner, the newest first; `after` is the last card of the page before."""
    place = _place(conn, of_card=after, of_owner=owner).first() if after else NEWEST
    if place is None:
        return []
    before, before_id = place
    rows = _page(conn, of_owner=owner, before=before, before_id=before_id, most=most)
    return [Card(*row) for row in rows]


def delete_card(conn: Connection, card: str, owner: str, now: int) -> None:
    """Mark a card as deleted; what was paid with it keeps its row."""
    _delete(conn, of_card=card, of_owner=owner, now=now)
