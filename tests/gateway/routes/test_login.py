"""Sessions: how they begin, go on and end, and what a guesser learns (nothing)."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from argon2 import extract_parameters
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import Connection

from gateway.books.accounts import FAILURES_MAX, LOCK_US
from gateway.books.persons import lookup
from gateway.identity.hasher import HashAnswer, HashJob
from gateway.identity.passwords import WAITING_MAX
from gateway.identity.refreshing import GRACE_US
from gateway.identity.tokens import LIFETIME_S
from gateway.rate_limits import LIMITS, RateLimit
from schemas.times import now_micros
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refresh(gateway: Gateway, token: str) -> Answer:
    return await gateway.ask("POST", "/v1/login/refresh", {"refresh_token": token})


def last_expiry(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT max(expires_at) FROM refresh_tokens").scalar_one())


def last_end(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT max(revoked_at) FROM sessions").scalar_one())


async def me(gateway: Gateway, token: str) -> int:
    return (await gateway.ask("GET", "/v1/me", who=token)).status


async def test_a_login_gives_both_tokens(gateway: Gateway) -> None:
    grant = (await gateway.log_in("customer@example.com")).json
    assert grant.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (grant["token_type"], grant["expires_in"]) == ("Bearer", 900)
    assert await me(gateway, grant["access_token"]) == 200


async def test_the_access_token_can_be_verified_with_the_published_key(gateway: Gateway) -> None:
    grant = (await gateway.log_in("analyst@example.com")).json
    keys = KeySet.import_key_set((await gateway.ask("GET", "/oauth/jwks")).json)
    assert "d" not in keys.as_dict()["keys"][0]
    token = jwt.decode(grant["access_token"], keys, algorithms=["ES256"])
    assert token.header["kid"] == keys.keys[0].kid
    assert token.claims.keys() == {
        *("iss", "aud", "iat", "exp", "jti", "sub", "role", "scope", "sid", "client_id")
    }
    assert token.claims["role"] == "analyst"
    assert "reviews:write" in token.claims["scope"].split()


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("customer@example.com", "wrong password"),
        ("nobody@example.com", "wrong password"),
        ("not an address", "x"),
        ("", ""),
    ],
)
async def test_wrong_and_unknown_are_the_same_answer(gateway: Gateway, email: str, password: str) -> None:
    answer = await gateway.log_in(email, password)
    reference = await gateway.log_in("customer@example.com", "another wrong one")
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert without_id(answer) == without_id(reference)


async def test_an_unknown_address_costs_as_much_hashing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    lane = gateway.runtime.passwords.strangers
    run = lane.run

    async def watch(job: HashJob, reserved: int) -> HashAnswer:
        checked.append(extract_parameters(job.stored))
        return await run(job, reserved)

    monkeypatch.setattr(lane, "run", watch)
    await gateway.log_in("nobody@example.com", PASSWORD, ip="192.0.2.1")
    await gateway.log_in("customer@example.com", PASSWORD, ip="192.0.2.1")
    unknown, known = checked
    assert unknown == known


async def test_no_password_means_no_login(gateway: Gateway) -> None:
    await gateway.ask("POST", "/v1/merchants", {"name": "No login"}, "admin")
    assert (await gateway.log_in("", "nobody's password")).code == "invalid_credentials"


async def test_ten_failures_lock_the_account_even_for_the_right_password(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    email = f"{uuid4().hex}@example.com"
    await gateway.sign_up(email)
    for _ in range(FAILURES_MAX):
        assert (await gateway.log_in(email, "wrong password")).code == "invalid_credentials"
    await counted(gateway)
    assert (await gateway.log_in(email, PASSWORD)).code == "invalid_credentials"
    pass_time(LOCK_US / 1_000_000)
    assert (await gateway.log_in(email, PASSWORD)).status == 200


@pytest.mark.parametrize("hours", [-1, 3])
async def test_a_clock_that_is_set_neither_unlocks_an_account_nor_keeps_it_locked(
    gateway: Gateway, set_clock: Callable[[float], None], pass_time: Callable[[float], None], hours: float
) -> None:
    email = f"{uuid4().hex}@example.com"
    await gateway.sign_up(email)
    for _ in range(FAILURES_MAX):
        await gateway.log_in(email, "wrong password")
    await counted(gateway)
    set_clock(hours)
    assert (await gateway.log_in(email, PASSWORD)).code == "invalid_credentials"
    pass_time(LOCK_US / 1_000_000)
    assert (await gateway.log_in(email, PASSWORD)).status == 200


async def counted(gateway: Gateway) -> None:
    """Wait until every failure so far is in the books: no answer waits for that."""
    await eventually(lambda: not gateway.runtime.running)


async def test_failures_at_the_same_moment_all_count(gateway: Gateway) -> None:
    email = f"{uuid4().hex}@example.com"
    await gateway.sign_up(email)
    await asyncio.gather(*(gateway.log_in(email, "wrong password") for _ in range(FAILURES_MAX)))
    await counted(gateway)
    assert (await gateway.log_in(email, PASSWORD)).code == "invalid_credentials"


async def test_the_right_password_forgets_the_failures_before_it(gateway: Gateway) -> None:
    email = f"{uuid4().hex}@example.com"
    await gateway.sign_up(email)
    for _ in range(2):
        for _ in range(FAILURES_MAX - 1):
            await gateway.log_in(email, "wrong password")
        assert (await gateway.log_in(email, PASSWORD)).status == 200


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_session(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    first = (await gateway.log_in("customer@example.com")).json
    second = (await refresh(gateway, first["refresh_token"])).json
    assert second["refresh_token"] != first["refresh_token"]
    assert await me(gateway, second["access_token"]) == 200
    pass_time(GRACE_US / 1_000_000 + 1)
    stolen = await refresh(gateway, first["refresh_token"])
    assert (stolen.status, stolen.code) == (401, "unauthenticated")
    assert (await refresh(gateway, second["refresh_token"])).status == 401
    assert await me(gateway, second["access_token"]) == 401
    assert await me(gateway, first["access_token"]) == 401


async def test_a_lost_answer_to_a_refresh_is_given_again_for_a_moment(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    first = (await gateway.log_in("customer@example.com")).json["refresh_token"]
    lost = (await refresh(gateway, first)).json["refresh_token"]
    pass_time(GRACE_US / 1_000_000 - 1)
    again = (await refresh(gateway, first)).json
    assert again["refresh_token"] == lost
    assert await me(gateway, again["access_token"]) == 200
    assert (await refresh(gateway, lost)).status == 200


async def test_a_refresh_token_whose_successor_was_used_ends_the_session_at_once(gateway: Gateway) -> None:
    first = (await gateway.log_in("customer@example.com")).json["refresh_token"]
    second = (await refresh(gateway, first)).json["refresh_token"]
    third = (await refresh(gateway, second)).json
    assert (await refresh(gateway, first)).code == "unauthenticated"
    assert await me(gateway, third["access_token"]) == 401
    assert (await refresh(gateway, third["refresh_token"])).code == "unauthenticated"


async def test_however_a_session_is_ended_it_ends_at_the_wall_clocks_time(
    gateway: Gateway, set_clock: Callable[[float], None], pass_time: Callable[[float], None]
) -> None:
    stolen, left = [(await gateway.log_in("customer@example.com")).json for _ in range(2)]
    await refresh(gateway, stolen["refresh_token"])
    pass_time(GRACE_US / 1_000_000 + 1)
    set_clock(3)
    began = now_micros()
    await refresh(gateway, stolen["refresh_token"])
    assert began <= await gateway.runtime.books.read(last_end)
    began = now_micros()
    await gateway.ask("POST", "/v1/logout", who=left["access_token"])
    assert began <= await gateway.runtime.books.read(last_end)


async def test_no_refresh_prolongs_a_session(gateway: Gateway) -> None:
    grant = (await gateway.log_in("customer@example.com")).json
    await gateway.runtime.books.write(
        lambda conn: (
            conn.exec_driver_sql("UPDATE refresh_tokens SET expires_at = expires_at - 1000000000") and None
        )
    )
    before = await gateway.runtime.books.read(last_expiry)
    assert (await refresh(gateway, grant["refresh_token"])).status == 200
    assert await gateway.runtime.books.read(last_expiry) == before


async def test_refreshes_at_once_are_given_one_and_the_same_successor(gateway: Gateway) -> None:
    token = (await gateway.log_in("customer@example.com")).json["refresh_token"]
    answers = await asyncio.gather(*(refresh(gateway, token) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.json["refresh_token"] for answer in answers}) == 1


async def test_an_old_refresh_token_is_refused(gateway: Gateway) -> None:
    grant = (await gateway.log_in("customer@example.com")).json
    await gateway.runtime.books.write(
        lambda conn: conn.exec_driver_sql("UPDATE refresh_tokens SET expires_at = 1") and None
    )
    assert (await refresh(gateway, grant["refresh_token"])).code == "unauthenticated"


async def test_logout_ends_the_session_at_once_and_only_this_one(gateway: Gateway) -> None:
    here, there = [(await gateway.log_in("customer@example.com")).json for _ in range(2)]
    assert (await gateway.ask("POST", "/v1/logout", who=here["access_token"])).status == 204
    assert await me(gateway, here["access_token"]) == 401
    assert (await refresh(gateway, here["refresh_token"])).status == 401
    assert await me(gateway, there["access_token"]) == 200


async def test_an_expired_token_is_refused_though_it_was_good_a_moment_ago(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    token = (await gateway.log_in("customer@example.com")).json["access_token"]
    assert await me(gateway, token) == 200
    pass_time(LIFETIME_S)
    answer = await gateway.ask("GET", "/v1/me", who=token)
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_changed_role_counts_from_the_next_request(gateway: Gateway) -> None:
    token = await gateway.sign_up("promoted@example.com")
    assert (await gateway.ask("POST", "/v1/merchants", {"name": "M"}, token)).status == 403

    def promote(conn: Connection) -> None:
        of = f"WHERE email_key = '{lookup(conn, 'promoted@example.com')}'"
        conn.exec_driver_sql(f"UPDATE accounts SET role = 'admin', email_confirmed_at = 1 {of}")

    await gateway.runtime.books.write(promote)
    asked = await gateway.ask("POST", "/v1/merchants", {"name": "M"}, token)
    assert (asked.status, asked.code) == (403, "not_confirmed")
    await gateway.runtime.books.write(prove, "promoted@example.com")
    assert (await gateway.ask("POST", "/v1/merchants", {"name": "M"}, token)).status == 201


def prove(conn: Connection, email: str) -> None:
    """The sessions of an account have proved a second factor."""
    of = f"(SELECT id FROM accounts WHERE email_key = '{lookup(conn, email)}')"
    conn.exec_driver_sql(f"UPDATE sessions SET second_factor_at = 1 WHERE account_id = {of}")


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Basic Y3VzdG9tZXI6eA==", "Bearer x", "Bearer é"])
async def test_what_is_no_bearer_token_is_unauthenticated(gateway: Gateway, given: str) -> None:
    answer = await gateway.ask("GET", "/v1/me", authorization=given)
    assert (answer.status, answer.code) == (401, "unauthenticated")


async def test_a_code_of_an_account_without_a_second_factor_proves_nothing(gateway: Gateway) -> None:
    body: dict[str, Any] = {"email": "customer@example.com", "password": "sluice-demo-only"}
    for none in (None, "", "123456"):
        assert (await gateway.ask("POST", "/v1/login", body | {"otp": none})).status == 200


async def test_guessing_at_one_address_is_slowed_down(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "login_email", RateLimit(per_second=0.01, burst=3))
    email = f"{uuid4().hex}@example.com"
    assert [(await gateway.log_in(email, "x")).status for _ in range(3)] == [401] * 3
    refused = await gateway.log_in(email.upper(), "x")
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 60
    assert refused.headers["RateLimit-Limit"] == "3"
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert (await gateway.log_in(f"{uuid4().hex}@example.com", "x")).status == 401


async def test_more_logins_than_the_pool_takes_are_told_to_come_back(gateway: Gateway) -> None:
    gateway.runtime.passwords.strangers.waiting += WAITING_MAX
    try:
        answer = await gateway.log_in("anybody@example.com")
    finally:
        gateway.runtime.passwords.strangers.waiting -= WAITING_MAX
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def without_id(answer: Answer) -> dict[str, Any]:
    """A problem without what names this one answer."""
    return {name: value for name, value in answer.json.items() if name != "request_id"}
