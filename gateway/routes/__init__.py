"""The API's routes: one blueprint per noun. The app serves those in `BLUEPRINTS`."""

from quart import Blueprint

from gateway.pages import assets, registration, reset
from gateway.pages import login as login_pages
from gateway.pages import second_factor as second_factor_pages
from gateway.routes import (
    accounts,
    audit,
    captures,
    cards,
    clients,
    confirmations,
    docs,
    export,
    health,
    login,
    me,
    merchant_people,
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
    export.blueprint,
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
    audit.blueprint,
    merchants.blueprint,
    merchant_people.blueprint,
    clients.blueprint,
    accounts.recipient_blueprint,
    oauth.blueprint,
    assets.blueprint,
    login_pages.blueprint,
    second_factor_pages.blueprint,
    reset.blueprint,
    registration.blueprint,
    docs.blueprint,
    health.blueprint,
)
