"""The API's routes: one blueprint per noun. The app serves those in `BLUEPRINTS`."""

from quart import Blueprint

from gateway.routes import (
    accounts,
    captures,
    cards,
    confirmations,
    docs,
    health,
    login,
    me,
    merchants,
    oauth,
    passwords,
    payment_history,
    payments,
    refunds,
    reviews,
    second_factor,
    sessions,
    tasks,
)

BLUEPRINTS: tuple[Blueprint, ...] = (
    accounts.blueprint,
    login.blueprint,
    me.blueprint,
    second_factor.blueprint,
    sessions.blueprint,
    confirmations.blueprint,
    passwords.blueprint,
    cards.blueprint,
    payments.blueprint,
    payment_history.blueprint,
    captures.blueprint,
    refunds.blueprint,
    payments.returns_blueprint,
    reviews.blueprint,
    reviews.labels_blueprint,
    tasks.blueprint,
    merchants.blueprint,
    accounts.recipient_blueprint,
    oauth.blueprint,
    docs.blueprint,
    health.blueprint,
)
