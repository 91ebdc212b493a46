"""Cards: a number is sent once, kept by the vault, and never shown again."""

import re
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.addresses import counted_network
from gateway.books import cards
from gateway.books.accounts import AccountGone, forbid_erasure
from gateway.free_text import ContactText, of_class
from gateway.identity import contacts
from gateway.payments.tokenizing import Sender, admit_number
from gateway.prints import Prints
from gateway.problems import Problem
from gateway.refusals import FieldError, InvalidFields
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import answered_before, write_once
from gateway.web.paging import Listing, Page, read_page
from schemas.cards import Brand, brand_of, is_over, luhn_valid
from schemas.times import now, now_micros

blueprint = Blueprint("cards", __name__)

DIGITS = re.compile(r"[0-9]{13,19}")


class NewCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card to store. There is no field for a CVC: it belongs to a payment and is stored nowhere."""

    number: Annotated[str, msgspec.Meta(extra=of_class("card_number"))]
    exp_month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    exp_year: Annotated[int, msgspec.Meta(ge=2000, le=2099)]
    name: ContactText | None = None

    def __repr__(self) -> str:
        return "NewCard(…)"

    __str__ = __repr__


class CardView(msgspec.Struct, frozen=True):
    """A card as its owner sees it. `fingerprint` is the same wherever this owner stores this number or pays by it.

    Nobody else is shown the same: no payment of others can be compared with it.
    """

    id: str
    brand: Brand
    bin: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str


class CardList(Listing[CardView], frozen=True):
    """A page of cards, the newest first. `next_cursor` is null on the last one."""


async def _admit(call: Call[NewCard, None]) -> None:
    """Refuse one number too many of those that look like it; what is no number at all is refused later."""
    if _wrong_number(call.body.number):
        return
    imports = "payments:import" in call.caller.scopes
    network = "" if imports else counted_network(call.ip, call.runtime.settings.profile)
    await admit_number(call.runtime, call.body.number, Sender(call.caller.account_id, network))


@blueprint.post("/v1/cards")
@endpoint(
    scope="cards:write",
    body=NewCard,
    answers={201: CardView},
    codes=("unavailable",),
    idempotency="accepted",
    digest="vault",
    first=_admit,
)
async def create_card(call: Call[NewCard, None]) -> Reply:
    """Store a card.

    A number that its owner stored before keeps its token and takes the new expiry and name. Of the numbers that
    share the first six and last four digits few different ones a day are taken; more are 429 until the next day.
    """
    given = call.body
    if errors := wrong_fields(given, now()):
        raise InvalidFields(*errors)
    name = contacts.name(given.name) if given.name else None
    if earlier := await answered_before(call):
        return earlier
    owner_id = call.caller.account_id
    # The vault first: whoever repeats the request, killed after it or not, finds the same token.
    stored = await call.runtime.vault.store(owner_id, given.number, given.exp_month, given.exp_year, name)
    card = cards.CardRow(
        id=stored.card_id,
        owner_id=owner_id,
        brand=stored.brand,
        bin=stored.bin,
        last4=stored.last4,
        exp_month=given.exp_month,
        exp_year=given.exp_year,
        fingerprint=stored.fingerprint,
        created_at=now_micros(),
    )
    try:
        return await write_once(call, 201, _keep, call.runtime.policy.prints, card)
    except AccountGone:
        await call.runtime.vault.delete(card.id, owner_id)
        raise


def _keep(conn: Connection, prints: Prints, card: cards.CardRow) -> CardView:
    forbid_erasure(conn, card.owner_id, card.owner_id)
    cards.upsert_card(conn, card)
    return card_view(card, prints)


@blueprint.get("/v1/cards")
@endpoint(scope="cards:read", query=Page, answers={200: CardList})
async def list_cards(call: Call[None, Page]) -> Reply:
    """List the caller's cards."""
    select = partial(cards.select_cards, owner_id=call.caller.account_id)
    shown, cursor = await read_page(call, select, _place, cards.CardPlace)
    prints = call.runtime.policy.prints
    return Reply(200, CardList([card_view(card, prints) for card in shown], cursor))


@blueprint.get("/v1/cards/<card>")
@endpoint(scope="cards:read", answers={200: CardView}, codes=("not_found",))
async def show_card(call: Call[None, None], card_id: str) -> Reply:
    """Show one of the caller's cards."""
    return Reply(200, card_view(await _own_card(call, card_id), call.runtime.policy.prints))


@blueprint.delete("/v1/cards/<card>")
@endpoint(scope="cards:write", answers={204: None}, codes=("not_found", "unavailable"))
async def delete_card(call: Call[None, None], card_id: str) -> Reply:
    """Destroy a card's number and the key that encrypts it."""
    owner_id = call.caller.account_id
    await _own_card(call, card_id)
    # The vault first: if the books fail after it, the card is still listed, and a repeat finishes the deletion.
    await call.runtime.vault.delete(card_id, owner_id)
    await call.runtime.books.write(cards.delete_card, card_id, owner_id, now_micros())
    return Reply(204)


def wrong_fields(card: NewCard, moment: datetime) -> list[FieldError]:
    """The errors of a card's fields at `moment` (UTC); no message quotes the number."""
    errors = []
    if message := _wrong_number(card.number):
        errors.append(FieldError("$.number", message))
    if is_over(card.exp_year, card.exp_month, moment):
        errors.append(FieldError("$.exp_year", "The card has expired."))
    return errors


def card_view(card: cards.CardRow, prints: Prints) -> CardView:
    """A card as its owner sees it."""
    fingerprint = prints.of_card(card.owner_id, card.fingerprint)
    return CardView(card.id, card.brand, card.bin, card.last4, card.exp_month, card.exp_year, fingerprint)


def _place(card: cards.CardRow) -> cards.CardPlace:
    return cards.CardPlace(card.created_at, card.id)


async def _own_card(call: Call[None, None], card_id: str) -> cards.CardRow:
    found = await call.runtime.books.read(cards.select_card, card_id, call.caller.account_id)
    if found is None:
        raise Problem("not_found")
    return found


def _wrong_number(number: str) -> str | None:
    if not DIGITS.fullmatch(number):
        return "13 to 19 digits, without blanks or dashes."
    if not luhn_valid(number):
        return "Not a card number: its check digit is wrong."
    if brand_of(number) is None:
        return "Neither a Visa nor a Mastercard number."
    return None
