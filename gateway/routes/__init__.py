"""The HTTP face: one blueprint per noun. Whoever adds one lists it here."""

from quart import Blueprint

from gateway.routes import accounts, cards, health, login, me, merchants, oauth, recipient

BLUEPRINTS: tuple[Blueprint, ...] = (
    accounts.blueprint,
    login.blueprint,
    me.blueprint,
    cards.blueprint,
    merchants.blueprint,
    recipient.blueprint,
    oauth.blueprint,
    health.blueprint,
)
