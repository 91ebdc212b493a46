"""One payment: how it stands, what may be done, what happened to it, and why it was decided so.

It is read from the gateway, who knows it first, and beside that from the warehouse, tile by tile.
"""

from typing import Any

import streamlit as st

from connectors.gateway import GatewayRefused
from dashboards import acting, door, formats, look_bar, payment_actions, payment_tiles, tile
from dashboards.acting import NotDone
from dashboards.asking import ask
from dashboards.cached_queries import settings
from dashboards.look import Look
from dashboards.page import card, html
from dashboards.payment_filters import kept
from dashboards.payment_reading import ShownPayment, WholePayment, read_whole
from dashboards.payment_timeline import timeline
from dashboards.session_checks import Person
from dashboards.tables import linked
from dashboards.wording import decline_words, state_words, words

CALM_S = 10.0  # between two looks at what does not change by itself soon
# Beside what the gateway tells: left and right.
TILES = (payment_tiles.LEDGER_TILE, payment_tiles.MESSAGES_TILE)
BESIDE = (payment_tiles.VERDICT, payment_tiles.FEATURES, payment_tiles.ORIGIN)
OWN_TILES = (payment_tiles.OWN_CALLS, payment_tiles.OWN_LEDGER)


def draw(person: Person, payment_id: str) -> None:
    """Show the payment of this id, which may be any text, and draw it anew as it changes."""
    try:
        whole = acting.ask(lambda: _found(person, payment_id))
    except NotDone:
        return
    if whole is None:
        html("unknown.html")
        return
    payment_actions.follow(whole)
    acting.show_said()
    seen = look_bar.named()
    _head(whole, seen)
    payment_actions.draw(person, whole)
    every_s = settings().dashboard_refresh_s if whole.is_moving() else CALM_S
    st.fragment(_live, run_every=every_s)(person, whole, [whole], seen)


def _found(person: Person, payment_id: str) -> WholePayment | None:
    try:
        return read_whole(door.api(), payment_id, person)
    except GatewayRefused as refused:
        if refused.code != "not_found":
            raise
        return None


def _head(whole: WholePayment, seen: Look) -> None:
    payment = whole.payment
    money = payment.money
    amounts = [
        ("Captured", money(payment.amount_captured)),
        ("Still reserved", money(payment.amount_capturable)),
        ("Refunded", money(payment.amount_refunded)),
        ("Kept", money(payment.refundable)),
    ]
    created = f"{seen.shown(payment.created_at)} {seen.zone}"
    state = state_words(payment.state)
    lead = {"state": state, "by": payment.by(), "created": created, "waits": _waits(whole)}
    lead["why"] = decline_words(payment.decline_code).reason if payment.decline_code else ""
    html("payment_lead.html", p=payment, amounts=amounts, listed=kept(st.query_params), **lead)


def _waits(whole: WholePayment) -> str:
    """What it waits for, in the processor's own word where it gave one; nothing where no call is open."""
    call, word = whole.open_call(), whole.payment.pending_reason
    if call is None:
        return ""
    said = f" ({word})" if word else ""
    return f"A {call.kind} waits for {whole.payment.by()}{said}. Nothing else can be asked for until it ends."


def _live(person: Person, drawn: WholePayment, first: list[WholePayment], seen: Look) -> None:
    """What is drawn anew. `first`: the payment as it was just read, for the first time it is drawn."""
    try:
        whole = first.pop() if first else acting.ask(lambda: read_whole(door.api(), drawn.payment.id, person))
    except NotDone:  # the page says so, above what it knew last
        whole = drawn
    if whole.stand() != drawn.stand():
        st.rerun()
    left, right = st.columns([1.55, 1], gap="small")
    with left:
        if person.is_staff:
            _timeline(whole, seen)
        else:
            _own_timeline(whole, seen)
        for one in TILES if person.is_staff else OWN_TILES:
            tile.show(one, seen, whole.payment.id)
    with right:
        _about(person, whole.payment, seen)
        for one in BESIDE if person.is_staff else ():
            tile.show(one, seen, whole.payment.id)


def _timeline(whole: WholePayment, seen: Look) -> None:
    reviews = ask(payment_tiles.REVIEW.statement(seen, whole.payment.id)).table
    with card("timeline", "What happened", f"events, and calls to processors · {seen.zone}", fills=False):
        html("timeline.html", lines=timeline(whole, reviews, seen))
    if reviews is None or reviews.rows:
        tile.show(payment_tiles.REVIEW, seen, whole.payment.id)


def _own_timeline(whole: WholePayment, seen: Look) -> None:
    with card("timeline", "What happened", f"events and refunds · {seen.zone}", fills=False):
        html("timeline.html", lines=timeline(whole, None, seen))


def _about(person: Person, payment: ShownPayment, seen: Look) -> None:
    """Whose it is, and the ids to copy."""
    origin = _origin(payment, seen) if person.is_staff else {}
    facts = [
        *(_parties(payment, origin) if person.is_staff else _own_parties(person, payment)),
        ("Reference", payment.reference or formats.NONE, ""),
        ("Description", payment.description or formats.NONE, ""),
        ("Capture", payment.capture, ""),
        ("Attempts", str(payment.attempts), ""),
        ("Last refusal", _last_refusal(payment), ""),
        *_would_have_passed(payment),
        *((name, value, "") for name, value in (payment.metadata or {}).items()),
    ]
    with card("about", "About", "", fills=False):
        html("linked_facts.html", facts=facts)
        with st.expander("Ids to copy"):
            for value in filter(None, [*_ids(payment), origin.get("trace_id")]):
                st.code(value, language=None)


def _would_have_passed(payment: ShownPayment) -> list[tuple[str, str, str]]:
    """What staff see of a payment that the fraud check held or blocked for its amount."""
    passing = payment.risk.passing() if payment.risk else ""
    return [("Would have passed", passing, "")] if passing else []


def _origin(payment: ShownPayment, seen: Look) -> dict[str, Any]:
    known = ask(payment_tiles.ORIGIN.statement(seen, payment.id)).table
    return known.by_name()[0] if known and known.rows else {}


def _parties(payment: ShownPayment, origin: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Each with the page about it, which staff have."""
    seller, method = origin.get("trading_name") or payment.merchant, payment.payment_method
    instrument = linked("card", method.instrument) if method.instrument else ""
    return [
        ("Customer", payment.customer, linked("customer", payment.customer)),
        ("Paid with", method.text(), instrument),
        ("Merchant", seller, linked("merchant", payment.merchant)),
    ]


def _own_parties(person: Person, payment: ShownPayment) -> list[tuple[str, str, str]]:
    own = person.merchant
    seller = own.name if own and own.id == payment.merchant else payment.merchant
    return [
        ("Customer", payment.customer, ""),
        ("Paid with", payment.payment_method.text(), ""),
        ("Merchant", seller, ""),
    ]


def _last_refusal(payment: ShownPayment) -> str:
    refusal = payment.last_refusal
    return words(f"{refusal.kind}: {refusal.decline_code}") if refusal else formats.NONE


def _ids(payment: ShownPayment) -> list[str]:
    method = payment.payment_method
    ids = [payment.id, payment.customer, payment.merchant, method.card, method.instrument, payment.reference]
    return [value for value in ids if value]
