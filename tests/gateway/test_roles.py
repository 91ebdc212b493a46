"""Every route × every role: who gets past the door is what the table of roles says, and nothing else."""

from typing import Any

import pytest
from sqlalchemy import update

from gateway.books.accounts import accounts
from gateway.roles import ROLE_SCOPES, ROLES, SCOPES
from gateway.web.openapi import declared
from tests.gateway.conftest import Gateway

# Written down once more: what each role may not ask for at all.
STAFFS = {"reviews:read", "reviews:write", "labels:write", "operations:read"}
CLOSED = {
    "customer": {
        "refunds:write",
        "reviews:read",
        "reviews:write",
        "labels:write",
        "operations:read",
        "tasks:read",
        "tasks:write",
    },
    "merchant": {
        "reviews:read",
        "reviews:write",
        "labels:write",
        "operations:read",
        "tasks:read",
        "tasks:write",
    },
    "analyst": {"cards:read", "cards:write", "payments:write", "refunds:write"},
    "admin": set[str](),
}
ADMINS = {"merchants:write", "accounts:read", "accounts:write", "audit:read"}
LAST = {("POST", "/v1/logout"), ("DELETE", "/v1/me")}  # after these a token is good for nothing
BY_FIELD = {"payments:import"}  # opens a field of a route: `occurred_at` (test_create.py)
NOBODYS = {"contacts:read", "payments:import"}


async def test_roles_are_what_the_public_page_says() -> None:
    for role in ROLES:
        closed = CLOSED[role] | NOBODYS | (ADMINS if role != "admin" else set())
        assert ROLE_SCOPES[role] == SCOPES.keys() - closed


async def test_every_scope_opens_something(gateway: Gateway) -> None:
    asked = {rules.scope for _, _, rules, _ in declared(gateway.app)}
    assert asked - {None} == SCOPES.keys() - BY_FIELD


@pytest.mark.parametrize("who", ["nobody", "customer", "merchant", "analyst", "admin", "service"])
async def test_every_route_lets_in_exactly_the_roles_with_its_scope(gateway: Gateway, who: str) -> None:
    token = {"nobody": None, "service": await gateway.service_token()}.get(who, who)
    for rule, method, rules, _ in declared(gateway.app):
        if rules.scope is None:
            continue
        status = await _status(gateway, rule.rule, method, token)
        if who == "nobody":
            assert status == 401, rule
        elif rules.scope in _scopes(who):
            assert status not in (401, 403), f"{who} is kept out of {method} {rule}"
        else:
            assert status == 403, f"{who} gets into {method} {rule}"


async def _status(gateway: Gateway, path: str, method: str, token: str | None) -> int:
    if token in ROLES and (method, path) in LAST:
        token = await _spare(gateway, token)
    for name in ("card", "payment", "review", "account", "task", "session"):
        path = path.replace(f"<{name}>", f"{name}_none")
    body: Any = b"{" if method in ("POST", "PUT", "PATCH") else None  # refused after the door, before the handler
    return (await gateway.ask(method, path, body, token, idempotency_key="k")).status


async def _spare(gateway: Gateway, role: str) -> str:
    """A token of an account of this role that nobody else needs."""
    token = await gateway.sign_up()
    account = (await gateway.ask("GET", "/v1/me", who=token)).json["id"]
    change = update(accounts).where(accounts.c.id == account).values(role=role)
    await gateway.runtime.books.write(lambda conn: conn.execute(change) and None)
    return token


def _scopes(who: str) -> frozenset[str]:
    return frozenset({"contacts:read"}) if who == "service" else ROLE_SCOPES[who]  # type: ignore[index]
