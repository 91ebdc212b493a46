"""The client of our own API, against a server that refuses in every way it may."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from connectors.gateway import (
    AnswerUnreadable,
    GatewayClient,
    GatewayRefused,
    GatewayUnavailable,
    GivenToken,
    LoginRefused,
    PasswordLogin,
    WrongField,
)
from connectors.oauth_tokens import ClientCredentials

LOGIN = PasswordLogin("a@example.com", "x")


class Server:
    """Answers `/v1/payments` with `script`, one entry per request, and logs everybody in."""

    def __init__(self) -> None:
        self.script: list[int | str] = []
        self.keys: list[str] = []
        self.logins = 0
        self.login_status = [200]
        self.expires_in = 900
        self.gives_tokens = True
        self.forms: list[tuple[str, str]] = []
        self.authorization: list[str] = []

    async def log_in(self, _request: web.Request) -> web.Response:
        self.logins += 1
        status = self.login_status.pop(0) if len(self.login_status) > 1 else self.login_status[0]
        token = {"access_token": f"t{self.logins}", "expires_in": self.expires_in, "code": "unavailable"}
        return web.json_response(token if self.gives_tokens else {}, status=status)

    async def grant(self, request: web.Request) -> web.Response:
        self.forms.append((request.headers["Authorization"], await request.text()))
        return await self.log_in(request)

    async def pay(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        self.authorization.append(request.headers.get("Authorization", ""))
        step = self.script.pop(0)
        if step == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if step == "html":
            return web.Response(text="<h1>Forbidden</h1>", status=403)
        if step in ("wrong_state", "email_taken", "id_taken", "stale_version"):
            return web.json_response({"code": step}, status=409)
        if step == "wait":
            return web.json_response({"code": "rate_limited"}, status=429, headers={"Retry-After": "1"})
        if step == "fields":
            problem = {"code": "invalid_request", "detail": "A field is wrong."}
            wrong = [{"path": "$.email", "message": "It is no address."}]
            return web.json_response(problem | {"errors": wrong}, status=422)
        if step == "empty":
            return web.Response(status=204)
        status = int(step)
        return web.json_response({"code": "why"} if status >= 400 else {"id": "pay_1"}, status=status)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    made, app = Server(), web.Application()
    app.add_routes([web.post("/v1/login", made.log_in), web.post("/oauth/token", made.grant)])
    app.add_routes([web.route("*", "/v1/payments", made.pay)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def pay(server: tuple[Server, str], *script: int | str, retry_for_s: float = 60) -> Any:
    server[0].script = list(script)
    async with GatewayClient(server[1], LOGIN, retry_for_s=retry_for_s) as client:
        return await client.post("/v1/payments", {"amount": 1}, "k1")


async def test_what_may_be_tried_again_is_tried_again_under_the_same_key(server: tuple[Server, str]) -> None:
    assert await pay(server, 409, 429, 503, "drop", 502, 504, 201) == {"id": "pay_1"}
    assert server[0].keys == ["k1"] * 7
    assert server[0].logins == 1


async def test_a_token_that_expired_is_renewed(server: tuple[Server, str]) -> None:
    server[0].script = [201, 401, 201]
    async with GatewayClient(server[1], LOGIN, retry_for_s=60) as client:
        await client.post("/v1/payments", {}, "k1")
        await client.post("/v1/payments", {}, "k2")
    assert (server[0].keys, server[0].logins) == (["k1", "k2", "k2"], 2)


async def test_many_calls_log_in_once(server: tuple[Server, str]) -> None:
    server[0].script = [201] * 8
    async with GatewayClient(server[1], LOGIN, retry_for_s=60) as client:
        await asyncio.gather(*[client.post("/v1/payments", {}, f"k{n}") for n in range(8)])
    assert server[0].logins == 1


async def test_a_login_that_is_put_off_is_tried_again(server: tuple[Server, str]) -> None:
    server[0].login_status = [503, 200]
    assert await pay(server, 201) == {"id": "pay_1"}


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        (402, 402, "why"),
        (422, 422, "why"),
        ("html", 403, "not JSON"),
        ("wrong_state", 409, "wrong_state"),
        ("email_taken", 409, "email_taken"),
        ("id_taken", 409, "id_taken"),
        ("stale_version", 409, "stale_version"),
    ],
)
async def test_any_other_no_is_final(server: tuple[Server, str], step: int | str, status: int, code: str) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await pay(server, step)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert len(server[0].keys) == 1


async def test_a_new_token_that_is_refused_is_not_renewed_for_ever(server: tuple[Server, str]) -> None:
    with pytest.raises(GatewayRefused, match="401"):
        await pay(server, 401, 401)
    assert server[0].logins == 1


async def test_trying_again_ends(server: tuple[Server, str]) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await pay(server, *[503] * 4, retry_for_s=0.3)
    assert refused.value.status == 503
    with pytest.raises(GatewayUnavailable, match="ServerDisconnectedError"):
        await pay(server, *["drop"] * 4, retry_for_s=0.3)


@pytest.mark.parametrize(
    ("step", "error"), [(503, GatewayRefused), (409, GatewayRefused), ("drop", GatewayUnavailable)]
)
async def test_nothing_is_tried_again_where_that_is_off(
    server: tuple[Server, str], step: int | str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await pay(server, step, 201, retry_for_s=0)
    assert len(server[0].keys) == 1


async def test_the_pause_is_the_one_that_is_asked_for(server: tuple[Server, str]) -> None:
    began = time.monotonic()
    assert await pay(server, "wait", 201) == {"id": "pay_1"}
    assert time.monotonic() - began >= 1


async def test_whoever_cannot_wait_so_long_is_told_at_once(server: tuple[Server, str]) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await pay(server, "wait", 201, retry_for_s=0.5)
    assert (refused.value.status, refused.value.retry_after_s, len(server[0].keys)) == (429, 1, 1)


async def test_a_refusal_says_what_is_wrong_and_its_text_form_does_not(server: tuple[Server, str]) -> None:
    with pytest.raises(GatewayRefused) as refused:
        await pay(server, "fields")
    assert refused.value.detail == "A field is wrong."
    assert refused.value.errors == (WrongField("$.email", "It is no address."),)
    assert str(refused.value) == "422 invalid_request"


async def test_a_given_token_is_used_as_it_is(server: tuple[Server, str]) -> None:
    server[0].script = [200, 200, 200, "empty", 401]
    async with GatewayClient(server[1]) as client:
        acting = client.acting_by("mine")
        await acting.get("/v1/payments")
        await acting.put("/v1/payments", {})
        await acting.patch("/v1/payments", {})
        await acting.delete("/v1/payments")
        with pytest.raises(GatewayRefused, match="401"):
            await acting.get("/v1/payments")
    assert (server[0].authorization, server[0].logins) == (["Bearer mine"] * 5, 0)


async def test_a_success_that_cannot_be_read_is_not_sent_again(server: tuple[Server, str]) -> None:
    server[0].script = [200]
    async with GatewayClient(server[1], LOGIN, retry_for_s=60) as client:
        with pytest.raises(AnswerUnreadable):
            await client.get("/v1/payments", list[int])
    assert len(server[0].keys) == 1


async def test_a_service_client_gets_its_token_by_client_credentials(server: tuple[Server, str]) -> None:
    server[0].script = [200, 401, 200]
    async with GatewayClient(server[1], ClientCredentials("client", "secret", "contacts:read")) as client:
        for _ in range(2):
            assert await client.get("/v1/payments") == {"id": "pay_1"}
    form = "Basic Y2xpZW50OnNlY3JldA==", "grant_type=client_credentials&scope=contacts%3Aread"
    assert server[0].forms == [form] * 2
    assert server[0].authorization == ["Bearer t1", "Bearer t1", "Bearer t2"]


@pytest.mark.parametrize("login", [LOGIN, ClientCredentials("client", "secret")])
async def test_a_token_about_to_expire_is_renewed(
    server: tuple[Server, str], login: PasswordLogin | ClientCredentials
) -> None:
    server[0].script, server[0].expires_in = [200, 200], 20
    async with GatewayClient(server[1], login) as client:
        await client.get("/v1/payments")
        await client.get("/v1/payments")
    assert server[0].authorization == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize("login", [LOGIN, ClientCredentials("client", "secret")])
@pytest.mark.parametrize(("status", "gives_tokens"), [(401, True), (200, False)])
async def test_without_a_token_nothing_is_sent(
    server: tuple[Server, str], login: PasswordLogin | ClientCredentials, status: int, gives_tokens: bool
) -> None:
    server[0].login_status, server[0].gives_tokens = [status], gives_tokens
    async with GatewayClient(server[1], login) as client:
        with pytest.raises(LoginRefused) as refused:
            await client.post("/v1/payments", {}, "k1")
    assert (refused.value.status, server[0].keys) == (status, [])


async def test_an_anonymous_client_sends_no_token(server: tuple[Server, str]) -> None:
    server[0].script = [201]
    async with GatewayClient(server[1]) as client:
        await client.post("/v1/payments", {})
    assert (server[0].authorization, server[0].keys, server[0].logins) == ([""], [""], 0)


def test_no_text_form_shows_a_password() -> None:
    logins = PasswordLogin("a@example.com", "secret"), ClientCredentials("client", "secret"), GivenToken("secret")
    assert "secret" not in f"{logins!r} {[str(login) for login in logins]}"
