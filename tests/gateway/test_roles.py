"""The scopes: each opens something, and no more is granted than what there is."""

from dashboards.__main__ import SCOPES as PAGES_MAY
from gateway.identity.oauth_clients import ASKED_SCOPES
from gateway.roles import CLIENT_SCOPES, MERCHANT_SCOPES, ROLE_SCOPES, SCOPES
from gateway.web.openapi import declared
from tests.gateway.conftest import Gateway

BY_FIELD = {"payments:import"}  # opens a field of a route: `occurred_at` (test_create.py)
PERSONS = {"merchants:manage", "clients:manage"}
PAGES_ASK = {
    *("GET /v1/me", "GET /v1/me/sessions", "DELETE /v1/me/sessions/<session>"),
    *("GET /v1/reviews", "GET /v1/reviews/<review>", "POST /v1/reviews/<review>/decision"),
    *("PUT /v1/reviews/<review>/assignment", "DELETE /v1/reviews/<review>/assignment"),
    "POST /v1/reviews/decisions",
    *("GET /v1/payments", "GET /v1/payments/<payment>", "GET /v1/payments/<payment>/events"),
    *("GET /v1/payments/<payment>/operations", "GET /v1/refunds/<refund>", "GET /v1/audit"),
    *("GET /v1/me/saved", "PUT /v1/me/saved/<kind>/<name>", "DELETE /v1/me/saved/<kind>/<name>"),
    *("GET /v1/accounts", "POST /v1/accounts", "PATCH /v1/accounts/<account>"),
    *("POST /v1/merchants", "GET /v1/merchants/<merchant>", "PATCH /v1/merchants/<merchant>"),
    *("GET /v1/merchants/<merchant>/people", "POST /v1/merchants/<merchant>/people"),
    *("DELETE /v1/merchants/<merchant>/people/<person>", "DELETE /v1/clients/<client>"),
    *("GET /v1/rules", "POST /v1/rules", "POST /v1/rules/check", "PUT /v1/rules/<rule>"),
    *("GET /v1/rules/<rule>", "DELETE /v1/rules/<rule>", "PUT /v1/rules/<rule>/snoozes", "GET /v1/features"),
    *("GET /v1/lists", "POST /v1/lists", "DELETE /v1/lists/<entry>"),
    *("GET /v1/labels", "POST /v1/labels/decisions"),
    *("GET /v1/clients", "POST /v1/clients", "POST /v1/clients/<client>/rotate"),
}


async def test_every_scope_opens_something(gateway: Gateway) -> None:
    asked = {rules.scope for _, _, rules, _ in declared(gateway.app)}
    assert asked - {None} == SCOPES.keys() - BY_FIELD


def test_what_is_granted_is_a_scope() -> None:
    for granted in (*ROLE_SCOPES.values(), *MERCHANT_SCOPES.values(), *CLIENT_SCOPES.values()):
        assert granted <= SCOPES.keys()


def test_a_role_of_a_merchant_has_what_the_one_below_it_has() -> None:
    assert MERCHANT_SCOPES["viewer"] < MERCHANT_SCOPES["operator"] < MERCHANT_SCOPES["owner"]
    assert ROLE_SCOPES["merchant"] == MERCHANT_SCOPES["owner"]


def test_no_client_lets_others_in() -> None:
    assert not any(PERSONS & granted for granted in CLIENT_SCOPES.values())


async def test_the_dashboards_may_do_what_their_pages_offer(gateway: Gateway) -> None:
    routes = {f"{method} {rule.rule}": rules.scope for rule, method, rules, _ in declared(gateway.app)}
    assert {route for route in PAGES_ASK if routes[route] not in PAGES_MAY} == {
        "POST /v1/accounts"
    }  # `admit` looks
    assert "accounts:write" in PAGES_MAY


def test_what_an_app_asks_a_customer_for_is_said_in_their_words() -> None:
    assert CLIENT_SCOPES["app"] == ASKED_SCOPES.keys()
    assert not any("one's" in words or "staff" in words for words in ASKED_SCOPES.values())
