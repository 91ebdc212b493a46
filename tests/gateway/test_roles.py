"""The scopes: each opens something, and no more is granted than what there is."""

from gateway.roles import CLIENT_SCOPES, MERCHANT_SCOPES, ROLE_SCOPES, SCOPES
from gateway.web.openapi import declared
from tests.gateway.conftest import Gateway

BY_FIELD = {"payments:import"}  # opens a field of a route: `occurred_at` (test_create.py)
PERSONS = {"merchants:manage", "clients:manage"}


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
