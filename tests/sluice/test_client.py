"""The client that replays and shoppers use, against a server that says no in every way it may."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from sluice.client import Client, Refused


class Server:
    """Answers `/v1/payments` with `script`, one entry per request, and logs everybody in."""

    def __init__(self) -> None:
        self.script: list[int | str] = []
        self.keys: list[str] = []
        self.logins = 0
        self.login_status = [200]

    async def log_in(self, _request: web.Request) -> web.Response:
        self.logins += 1
        status = self.login_status.pop(0) if len(self.login_status) > 1 else self.login_status[0]
        return web.json_response({"access_token": f"t{self.logins}", "code": "unavailable"}, status=status)

    async def pay(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        step = self.script.pop(0)
        if step == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if step == "html":
            return web.Response(text="<h1>Bad Gateway</h1>", status=502)
        status = int(step)
        return web.json_response({"code": "why"} if status >= 400 else {"id": "pay_1"}, status=status)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    made, app = Server(), web.Application()
    app.add_routes([web.post("/v1/login", made.log_in), web.post("/v1/payments", made.pay)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def pay(server: tuple[Server, str], *script: int | str, retry_for_s: float = 60) -> Any:
    server[0].script = list(script)
    async with Client(server[1], "a@example.com", "x", retry_for_s=retry_for_s) as client:
        return await client.post("/v1/payments", {"amount": 1}, "k1")


async def test_what_may_be_tried_again_is_tried_again_under_the_same_key(server: tuple[Server, str]) -> None:
    assert await pay(server, 409, 429, 503, "drop", 201) == {"id": "pay_1"}
    assert server[0].keys == ["k1"] * 5
    assert server[0].logins == 1


async def test_a_token_that_expired_is_renewed(server: tuple[Server, str]) -> None:
    server[0].script = [201, 401, 201]
    async with Client(server[1], "a@example.com", "x") as client:
        await client.post("/v1/payments", {}, "k1")
        await client.post("/v1/payments", {}, "k2")
    assert (server[0].keys, server[0].logins) == (["k1", "k2", "k2"], 2)


async def test_many_calls_log_in_once(server: tuple[Server, str]) -> None:
    server[0].script = [201] * 8
    async with Client(server[1], "a@example.com", "x") as client:
        await asyncio.gather(*[client.post("/v1/payments", {}, f"k{n}") for n in range(8)])
    assert server[0].logins == 1


async def test_a_login_that_is_put_off_is_tried_again(server: tuple[Server, str]) -> None:
    server[0].login_status = [503, 200]
    assert await pay(server, 201) == {"id": "pay_1"}


@pytest.mark.parametrize(("step", "status", "code"), [(422, 422, "why"), ("html", 502, "not JSON")])
async def test_any_other_no_is_final(server: tuple[Server, str], step: int | str, status: int, code: str) -> None:
    with pytest.raises(Refused) as refused:
        await pay(server, step)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert len(server[0].keys) == 1


async def test_a_new_token_that_is_refused_is_not_renewed_for_ever(server: tuple[Server, str]) -> None:
    with pytest.raises(Refused, match="401"):
        await pay(server, 401, 401)
    assert server[0].logins == 1


@pytest.mark.parametrize(("step", "status"), [(503, 503), ("drop", 0)])
async def test_trying_again_ends(server: tuple[Server, str], step: int | str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        await pay(server, step, step, step, step, retry_for_s=0.3)
    assert refused.value.status == status
