"""The HTTP face: one blueprint per noun. Whoever adds one lists it here."""

from quart import Blueprint

from gateway.routes import (
    accounts,
    cards,
    docs,
    events,
    follow_ups,
    health,
    labels,
    login,
    me,
    merchants,
    oauth,
    payments,
    recipient,
    returns,
    reviews,
)

BLUEPRINTS: tuple[Blueprint, ...] = (
    accounts.blueprint,
    login.blueprint,
    me.blueprint,
    cards.blueprint,
    payments.blueprint,
    events.blueprint,
    follow_ups.blueprint,
    returns.blueprint,
    reviews.blueprint,
    labels.blueprint,
    merchants.blueprint,
    recipient.blueprint,
    oauth.blueprint,
    docs.blueprint,
    health.blueprint,
)
