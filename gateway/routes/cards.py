"""Cards: a number goes in once, to the vault, and never comes out again."""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books import cards
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import FieldError, InvalidRequest, NotFound
from gateway.identity import contacts
from schemas.cards import Brand, brand_of, luhn_valid
from schemas.times import now, now_micros

blueprint = Blueprint("cards", __name__)

DIGITS = re.compile(r"[0-9]{13,19}")
PAGE_MAX = 100


class NewCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card to keep. There is no field for a CVC: it belongs to a payment and is stored nowhere."""

    number: str
    exp_month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    exp_year: Annotated[int, msgspec.Meta(ge=2000, le=2099)]
    name: str | None = None

    def __repr__(self) -> str:
        return "NewCard(…)"

    __str__ = __repr__


class CardView(msgspec.Struct, frozen=True):
    """A card as its owner sees it. `fingerprint` is the same wherever this number is stored."""

    id: str
    brand: Brand
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str


class CardList(msgspec.Struct, frozen=True):
    """A page of cards, the newest first. `next_cursor` is null on the last one."""

    data: list[CardView]
    next_cursor: str | None


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page: `cursor` is the `next_cursor` of the one before."""

    cursor: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 20


@blueprint.post("/v1/cards")
@endpoint(
    scope="cards:write",
    body=NewCard,
    answers={201: CardView},
    codes=("unavailable",),
    idempotency="accepted",
    digest="vault",
)
async def create_card(call: Call) -> Reply:
    """Keep a card.

    The same number of the same owner keeps its token and takes the new expiry and name. The vault comes first: if
    the books fail after it, asking again finds the same token.
    """
    given: NewCard = call.body
    if errors := wrong_fields(given, now()):
        raise InvalidRequest(*errors)
    name = contacts.name(given.name) if given.name else None
    owner = call.caller.account
    stored = await call.parts.vault.store(owner, given.number, given.exp_month, given.exp_year, name)
    card = cards.Card(
        id=stored.card,
        owner=owner,
        brand=stored.brand,
        bin=stored.bin,
        last4=stored.last4,
        exp_month=given.exp_month,
        exp_year=given.exp_year,
        fingerprint=stored.fingerprint,
        created_at=now_micros(),
    )
    await call.parts.books.write(cards.upsert_card, card)
    return Reply(201, view(card))


@blueprint.get("/v1/cards")
@endpoint(scope="cards:read", query=Page, answers={200: CardList})
async def list_cards(call: Call) -> Reply:
    """The caller's cards."""
    page: Page = call.query
    found = await call.parts.books.read(cards.select_cards, call.caller.account, page.cursor, page.limit + 1)
    shown = found[: page.limit]
    more = shown[-1].id if len(found) > page.limit else None
    return Reply(200, CardList([view(card) for card in shown], more))


@blueprint.get("/v1/cards/<card>")
@endpoint(scope="cards:read", answers={200: CardView}, codes=("not_found",))
async def show_card(call: Call, card: str) -> Reply:
    """One of the caller's cards."""
    return Reply(200, view(await _own_card(call, card)))


@blueprint.delete("/v1/cards/<card>")
@endpoint(scope="cards:write", answers={204: None}, codes=("not_found", "unavailable"))
async def delete_card(call: Call, card: str) -> Reply:
    """Destroy a card's number and the key it was kept under.

    The vault comes first: if the books fail after it, asking again ends what was begun.
    """
    owner = call.caller.account
    await _own_card(call, card)
    await call.parts.vault.delete(card, owner)
    await call.parts.books.write(cards.delete_card, card, owner, now_micros())
    return Reply(204)


def wrong_fields(card: NewCard, moment: datetime) -> list[FieldError]:
    """What is wrong with a card at `moment` (UTC); no word of it quotes the number."""
    errors = []
    if message := _wrong_number(card.number):
        errors.append(FieldError("$.number", message))
    if (card.exp_year, card.exp_month) < (moment.year, moment.month):  # good to the end of its month
        errors.append(FieldError("$.exp_year", "The card has expired."))
    return errors


def view(card: cards.Card) -> CardView:
    """A card for its owner."""
    return CardView(card.id, card.brand, card.bin, card.last4, card.exp_month, card.exp_year, card.fingerprint)


async def _own_card(call: Call, card: str) -> cards.Card:
    found = await call.parts.books.read(cards.select_card, card, call.caller.account)
    if found is None:
        raise NotFound
    return found


def _wrong_number(number: str) -> str | None:
    if not DIGITS.fullmatch(number):
        return "13 to 19 digits, without blanks or dashes."
    if not luhn_valid(number):
        return "Not a card number: its check digit is wrong."
    if brand_of(number) is None:
        return "Neither a Visa nor a Mastercard number."
    return None
