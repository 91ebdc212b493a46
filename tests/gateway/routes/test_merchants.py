"""Merchants: made by admins, once per key."""

import asyncio
from typing import Any

import pytest

from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_admin_makes_a_merchant(gateway: Gateway) -> None:
    body = {"name": "Shop", "origins": ["https://shop.example", "http://localhost:3000"]}
    made = await gateway.ask("POST", "/v1/merchants", body, "admin")
    assert made.status == 201
    assert (made.json["role"], made.json["origins"]) == ("merchant", body["origins"])


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example/path",
        "https://user@shop.example",
        "http://shop.example",
        "javascript:alert(1)",
        "https://",
        "shop.example",
        "https://shop.example\\@evil.example",
        "",
    ],
)
async def test_what_is_no_safe_origin_is_named(gateway: Gateway, origin: str) -> None:
    body = {"name": "Shop", "origins": ["https://good.example", origin]}
    answer = await gateway.ask("POST", "/v1/merchants", body, "admin")
    assert [error["path"] for error in answer.json["errors"]] == ["$.origins[1]"]


async def test_a_repeat_with_the_same_key_gets_the_same_bytes(gateway: Gateway) -> None:
    first = await gateway.ask("POST", "/v1/merchants", {"name": "Once"}, "admin", idempotency_key="once")
    # Other blanks, the same document: the same request.
    again = await gateway.ask("POST", "/v1/merchants", b'{ "name":"Once" }', "admin", idempotency_key="once")
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers


async def test_what_is_kept_for_a_repeat_does_not_name_who_sells_alone(gateway: Gateway) -> None:
    body = {"name": "Wilhelmina Alone"}
    made = await gateway.ask("POST", "/v1/merchants", body, "admin", idempotency_key="alone")
    find = "SELECT body FROM idempotency_keys WHERE key = 'alone'"
    kept = await gateway.runtime.books.read(lambda conn: bytes(conn.exec_driver_sql(find).scalar_one()))
    assert (made.json["name"], made.json["id"].encode() in kept) == ("Wilhelmina Alone", True)
    assert b"Wilhelmina" not in kept


async def test_without_a_key_each_request_counts(gateway: Gateway) -> None:
    made = [(await gateway.ask("POST", "/v1/merchants", {"name": "Many"}, "admin")).json["id"] for _ in range(2)]
    assert made[0] != made[1]


async def test_a_key_belongs_to_its_request(gateway: Gateway) -> None:
    await gateway.ask("POST", "/v1/merchants", {"name": "A"}, "admin", idempotency_key="mine")
    other = await gateway.ask("POST", "/v1/merchants", {"name": "B"}, "admin", idempotency_key="mine")
    assert (other.status, other.code) == (422, "idempotency_key_reused")


async def test_of_many_at_once_one_runs_and_the_others_wait_or_replay(gateway: Gateway) -> None:
    async def make() -> Any:
        return await gateway.ask("POST", "/v1/merchants", {"name": "Race"}, "admin", idempotency_key="race")

    answers = await asyncio.gather(*(make() for _ in range(16)))
    made = {answer.body for answer in answers if answer.status == 201}
    waiting = [answer for answer in answers if answer.status != 201]
    assert len(made) == 1
    assert all(answer.code == "request_in_progress" and answer.headers["Retry-After"] for answer in waiting)


async def test_what_was_refused_may_be_sent_again_with_the_same_key(gateway: Gateway) -> None:
    refused = await gateway.ask("POST", "/v1/merchants", {"name": " "}, "admin", idempotency_key="again")
    assert refused.code == "invalid_request"
    good = await gateway.ask("POST", "/v1/merchants", {"name": "Good"}, "admin", idempotency_key="again")
    assert good.status == 201


@pytest.mark.parametrize("key", ["x" * 256, "two words", "emoji-🙂", "tab\there"])
async def test_a_key_is_1_to_255_visible_ascii_characters(gateway: Gateway, key: str) -> None:
    answer = await gateway.ask("POST", "/v1/merchants", {"name": "K"}, "admin", idempotency_key=key)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert answer.json["errors"][0]["path"] == "Idempotency-Key"
