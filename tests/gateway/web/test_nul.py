"""A NUL character, which PostgreSQL cannot store, is refused wherever a text comes in, on either database."""

from typing import Any

import msgspec
import pytest

from tests.gateway.conftest import PASSWORD, Gateway

NEW = {"email": "nul@example.com", "password": PASSWORD, "name": "Nora"}
ORDER = {"amount": 1, "currency": "EUR", "merchant": "acc_m", "payment_method": {"type": "card", "card": "card_c"}}


@pytest.mark.parametrize(
    ("path", "body", "who", "at"),
    [
        ("/v1/accounts", NEW | {"name": "N\0ra"}, None, "$.name"),
        ("/v1/login", {"email": "a\0@example.com", "password": PASSWORD}, None, "$.email"),
        ("/v1/payments", ORDER | {"metadata": {"a": "\0"}}, "customer", "$.metadata.a"),
        ("/v1/payments", ORDER | {"metadata": {"\0": "a"}}, "customer", "$.metadata"),
        ("/v1/payments", ORDER | {"description": "a\0"}, "customer", "$.description"),
        ("/v1/payments", ORDER | {"merchant": "acc\0"}, "customer", "$.merchant"),
    ],
)
async def test_a_body_with_a_nul_is_refused(gateway: Gateway, path: str, body: Any, who: str, at: str) -> None:
    answer = await gateway.ask("POST", path, body, who, idempotency_key="k")
    assert (answer.status, [error["path"] for error in answer.json["errors"]]) == (422, [at])


async def test_what_only_looks_like_a_nul_is_a_text(gateway: Gateway) -> None:
    body = msgspec.json.encode(NEW | {"name": r"\u0000"})
    assert b"\\u0000" in body
    assert (await gateway.ask("POST", "/v1/accounts", body)).status == 201


@pytest.mark.parametrize(
    "path", ["/v1/payments/pay_%00", "/v1/payments/%00/events", "/v1/reviews/rev%00/decision"]
)
async def test_no_id_has_one(gateway: Gateway, path: str) -> None:
    body = {"decision": "approve", "reason": "known"} if path.endswith("decision") else None
    answer = await gateway.ask("POST" if body else "GET", path, body, "admin")
    assert (answer.status, answer.code) == (404, "not_found")


async def test_who_is_not_logged_in_is_told_that_first(gateway: Gateway) -> None:
    assert (await gateway.ask("GET", "/v1/payments/pay_%00")).status == 401


@pytest.mark.parametrize("name", ["merchant", "reference", "cursor"])
async def test_no_query_has_one(gateway: Gateway, name: str) -> None:
    answer = await gateway.ask("GET", f"/v1/payments?{name}=a%00", None, "admin")
    assert (answer.status, answer.code) == (422, "invalid_request")


async def test_no_client_has_one(gateway: Gateway) -> None:
    form = b"grant_type=client_credentials&client_id=a%00&client_secret=b"
    answer = await gateway.ask("POST", "/oauth/token", form, content_type="application/x-www-form-urlencoded")
    assert answer.json["error"] == "invalid_client"
