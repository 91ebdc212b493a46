"""Cards as everyone but the vault knows them: a token, what may be shown of the number, and whose it is."""

from typing import Annotated, NamedTuple

import msgspec
from sqlalchemy import Connection, Index, and_, bindparam, delete, select, tuple_, update

from gateway.books.sql import Statement
from gateway.books.tables import FOR_EVER, Int32, Micros, table_of
from schemas.cards import Brand


class CardRow(msgspec.Struct, frozen=True):
    """A row of `cards`: its id is the token. Times in microseconds UTC; `deleted_at` is null while it can pay.

    `fingerprint` is the vault's, the same for every owner of the number: it leaves the books nowhere. What is
    shown is made of it by `gateway.prints`.
    """

    id: str
    owner_id: str
    brand: Brand
    bin: str
    last4: str
    exp_month: Int32
    exp_year: Int32
    fingerprint: str
    created_at: Micros
    deleted_at: Micros | None = None


class CardPlace(NamedTuple):
    """What cards are listed by; `created_at` in microseconds UTC, as much as the books can hold."""

    created_at: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    id: str


cards = table_of("cards", CardRow)
_c = cards.c
_living, _deleted = _c.deleted_at.is_(None), _c.deleted_at.is_not(None)
Index("ix_cards_owner_id", _c.owner_id, _c.created_at, _c.id, sqlite_where=_living, postgresql_where=_living)
Index("ix_cards_deleted", _c.owner_id, sqlite_where=_deleted, postgresql_where=_deleted)

_mine = and_(_c.owner_id == bindparam("of_owner_id"), _living)
_one = and_(_c.id == bindparam("of_card_id"), _mine)

# A deleted row stays deleted: the vault gives the same number a new token after that.
_upsert = Statement(
    lambda insert: (new := insert(cards)).on_conflict_do_update(
        index_elements=[_c.id],
        set_={"exp_month": new.excluded.exp_month, "exp_year": new.excluded.exp_year},
    )
)
_select = Statement(select(cards).where(_one))
_any = Statement(select(cards).where(_c.id == bindparam("of_card_id")))
_page = Statement(
    select(cards)
    .where(
        _mine,
        tuple_(_c.created_at, _c.id)
        < tuple_(bindparam("before", type_=_c.created_at.type), bindparam("before_id", type_=_c.id.type)),
    )
    .order_by(_c.created_at.desc(), _c.id.desc())
    .limit(bindparam("most"))
)
_of_owner = _c.owner_id == bindparam("of_owner_id")
_forget = Statement(delete(cards).where(_of_owner, _living))
_forget_deleted = Statement(delete(cards).where(_of_owner, _deleted))
_delete = Statement(update(cards).where(_one).values(deleted_at=bindparam("now")))

NEWEST = CardPlace(FOR_EVER, "")


def upsert_card(conn: Connection, card: CardRow) -> None:
    """Write a card, or the expiry of one that is there."""
    _upsert(conn, **msgspec.structs.asdict(card))


def select_card(conn: Connection, card_id: str, owner_id: str) -> CardRow | None:
    """The card of this token; None where it is deleted or another owner's."""
    row = _select(conn, of_card_id=card_id, of_owner_id=owner_id).first()
    return CardRow(*row) if row else None


def select_any_card(conn: Connection, card_id: str) -> CardRow | None:
    """The card of this token, whoever owns it, also where it is deleted."""
    row = _any(conn, of_card_id=card_id).first()
    return CardRow(*row) if row else None


def select_cards(conn: Connection, after: CardPlace | None, most: int, owner_id: str) -> list[CardRow]:
    """Up to `most` cards of an owner, the newest first; `after`: the last one of the page before."""
    before, before_id = after or NEWEST
    rows = _page(conn, of_owner_id=owner_id, before=before, before_id=before_id, most=most)
    return [CardRow(*row) for row in rows]


def delete_card(conn: Connection, card_id: str, owner_id: str, now: int) -> None:
    """Mark a card as deleted; what was paid with it keeps its row."""
    _delete(conn, of_card_id=card_id, of_owner_id=owner_id, now=now)


def forget_cards(conn: Connection, owner_id: str) -> None:
    """Delete every row of an owner; payments keep what was shown of the card that paid them."""
    for forget in (_forget, _forget_deleted):
        forget(conn, of_owner_id=owner_id)
