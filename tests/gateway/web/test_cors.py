"""Pages of which origins may call the API, and read what it answers."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from gateway.books import clients
from gateway.books.clients import OAuthClient
from gateway.rate_limits import LIMITS, RateLimit
from gateway.web.cors import EXPOSED, is_open
from gateway.web.openapi import declared
from schemas.times import now_micros
from tests.gateway.conftest import Gateway

SHOP, OTHER, STRANGE = "https://shop.example", "https://other.example", "https://strange.example"
NOBODYS = (
    STRANGE,
    "null",
    "",
    "*",
    f"{SHOP}.evil.example",
    f"{SHOP}:8443",
    f"{SHOP}/",
    "http://shop.example",
    "HTTPS://SHOP.EXAMPLE",
    "http://localhost.evil.example",
    "http://localhost/x",
)
LOOPBACK = ("http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000", "http://shop.localhost")


@pytest.fixture
async def gateway(gateway: Gateway) -> Gateway:
    """Two merchants with an origin each; every one of its pages counts at once."""
    for name, origin in (("Shop", SHOP), ("Other", OTHER)):
        body = {"name": name, "return_origins": [origin]}
        assert (await gateway.ask("POST", "/v1/merchants", body, who="admin")).status == 201
    return gateway


def allowed(answer: Any) -> str | None:
    """Whose pages may read an answer; never with cookies, and never out of a cache of another origin."""
    assert "Access-Control-Allow-Credentials" not in answer.headers
    return answer.headers.get("Access-Control-Allow-Origin")


async def preflight(gateway: Gateway, path: str, origin: str, method: str = "POST") -> Any:
    asked = {"access_control_request_method": method, "access_control_request_headers": "authorization"}
    return await gateway.ask("OPTIONS", path, origin=origin, **asked)


async def test_a_preflight_of_any_merchants_page_passes_and_says_what_may_be_sent(gateway: Gateway) -> None:
    answer = await preflight(gateway, "/v1/payments", SHOP)
    assert (answer.status, answer.body, allowed(answer)) == (204, b"", SHOP)
    told = {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("access-")}
    assert told == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-methods": "DELETE, GET, PATCH, POST, PUT",
        "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, traceparent",
        "access-control-max-age": "600",
    }
    assert answer.headers["Vary"] == "Origin"
    assert answer.headers["Request-Id"].startswith("req_")


async def test_pages_of_nobody_pass_nowhere(gateway: Gateway) -> None:
    for origin in NOBODYS:
        answer = await preflight(gateway, "/v1/payments", origin)
        assert (answer.code, allowed(answer)) == ("method_not_allowed", None), origin
        assert allowed(await gateway.ask("GET", "/v1/me", who="customer", origin=origin)) is None, origin
        assert allowed(await gateway.ask("GET", "/oauth/jwks", origin=origin)) is None, origin


async def test_loopback_passes_while_a_shop_is_developed_and_in_production_it_does_not(gateway: Gateway) -> None:
    passed = [(await preflight(gateway, "/v1/payments", origin)).status for origin in LOOPBACK]
    gateway.runtime.origins._profile = "production"
    refused = [(await preflight(gateway, "/v1/payments", origin)).status for origin in LOOPBACK]
    assert (passed, refused) == ([204] * 4, [405] * 4)


async def test_every_route_of_the_api_is_open_to_pages_and_no_other_one(gateway: Gateway) -> None:
    opened, public = set(), set()
    for rule, method, _, _ in declared(gateway.app):
        path = rule.rule.replace("<", "").replace(">", "")
        answer = await gateway.ask(method, path, b"", origin=SHOP)
        if allowed(answer) == "*":
            public.add(rule.rule)  # what is the same for everybody: the contract of the topics
        elif allowed(answer):
            assert answer.headers["Vary"] == "Origin", path
            assert all(answer.headers.get(name) == value for name, value in EXPOSED.items()), path
            opened.add(rule.rule)
        assert ((await preflight(gateway, path, SHOP)).status == 204) == (allowed(answer) == SHOP), path
    every = {rule.rule for rule, *_ in declared(gateway.app)}
    assert opened == {path for path in every if path.startswith(("/v1/", "/.well-known/"))} | (
        every & {"/oauth/token", "/oauth/revoke", "/oauth/jwks"}
    )
    assert public == {"/asyncapi.json"}, "and the schemas that it names"
    assert not [path for path in ("/oauth/authorize", "/oauth/logout", "/login", "/metrics") if is_open(path)]


async def test_errors_are_readable_too(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "public", RateLimit(per_second=0.01, burst=1))
    too_large = await gateway.ask("POST", "/v1/login", b"x" * 70_000, origin=SHOP)
    for _ in range(2):
        limited = await gateway.ask("GET", "/oauth/jwks", origin=SHOP, ip="192.0.2.1")
    unknown = await gateway.ask("GET", "/v1/nothing", origin=SHOP)
    refused = await gateway.ask("GET", "/v1/me", origin=SHOP)
    told = [(answer.code, allowed(answer)) for answer in (too_large, limited, unknown, refused)]
    codes = ("body_too_large", "rate_limited", "not_found", "unauthenticated")
    assert told == [(code, SHOP) for code in codes]
    assert "Retry-After" in limited.headers["Access-Control-Expose-Headers"]


async def test_an_answer_to_a_clients_token_is_for_its_merchants_pages_alone(gateway: Gateway) -> None:
    token = await client_token(gateway, await merchant_id(gateway, SHOP))
    for path in ("/v1/payments", "/v1/reviews", "/v1/nothing_of_it"):
        assert allowed(await gateway.ask("GET", path, who=token, origin=SHOP)) == SHOP
    for path in ("/v1/payments", "/v1/reviews"):  # refused for want of a scope, and to be read by nobody else
        assert allowed(await gateway.ask("GET", path, who=token, origin=OTHER)) is None
    assert allowed(await gateway.ask("GET", "/v1/me", who="customer", origin=OTHER)) == OTHER  # no client's
    assert (await gateway.ask("GET", "/v1/payments", who=token)).headers["Vary"] == "Origin"


async def client_token(gateway: Gateway, merchant_id: str) -> str:
    """A token of a client that belongs to a merchant."""
    client = OAuthClient(id="cli_shop", account_id=merchant_id, scopes="payments:read", created_at=now_micros())
    await gateway.runtime.books.write(clients.add, client, None)
    return gateway.runtime.tokens.sign("cli_shop", "service", frozenset({"payments:read"}))


async def merchant_id(gateway: Gateway, origin: str) -> str:
    sql = text("SELECT id FROM accounts WHERE return_origins = :origins").bindparams(origins=json.dumps([origin]))
    return str(await gateway.runtime.books.read(lambda conn: conn.execute(sql).scalar()))


async def test_a_flood_of_preflights_reads_the_books_once(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    browse = gateway.runtime.books.browse

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal asked
        asked += 1
        return await browse(*args, **kwargs)

    monkeypatch.setattr(gateway.runtime.books, "browse", counted)
    for number in range(100):
        await preflight(gateway, "/v1/payments", f"https://shop-{number}.example")
    assert asked <= 1


async def test_a_suspended_merchants_pages_are_nobodys_once_that_is_read(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.origins.KEPT_S", 0.0)
    assert (await preflight(gateway, "/v1/payments", SHOP)).status == 204
    sql = text("UPDATE accounts SET suspended_at = 1 WHERE return_origins LIKE '%shop%'")
    await gateway.runtime.books.write(lambda conn: conn.execute(sql) and None)
    assert (await preflight(gateway, "/v1/payments", SHOP)).code == "method_not_allowed"
    assert (await preflight(gateway, "/v1/payments", OTHER)).status == 204
