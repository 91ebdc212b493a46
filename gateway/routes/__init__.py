"""The HTTP face: one blueprint per noun. Whoever adds one lists it here."""

from quart import Blueprint

from gateway.routes import (
    accounts,
    captures,
    cards,
    docs,
    health,
    labels,
    login,
    me,
    merchants,
    oauth,
    payment_history,
    payments,
    returns,
    reviews,
)

BLUEPRINTS: tuple[Blueprint, ...] = (
    accounts.blueprint,
    login.blueprint,
    me.blueprint,
    cards.blueprint,
    payments.blueprint,
    payment_history.blueprint,
    captures.blueprint,
    returns.blueprint,
    reviews.blueprint,
    labels.blueprint,
    merchants.blueprint,
    accounts.recipient_blueprint,
    oauth.blueprint,
    docs.blueprint,
    health.blueprint,
)
