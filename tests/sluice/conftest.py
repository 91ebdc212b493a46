"""A stand-in for the gateway's routes that take, release and give back money: each answer can be scripted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from connectors.gateway import GatewayClient, PasswordLogin

REFUSALS = {
    "processor_declined": 402,
    "operation_in_progress": 409,
    "wrong_state": 409,
    "amount_too_large": 422,
    "idempotency_key_reused": 422,
    "invalid_request": 422,
}
LOGIN = PasswordLogin("admin@example.com", "x")


class Till:
    """Keeps each request as (verb, body, key).

    `script` has the next answers of a verb, as state or code of a refusal; `states` what a payment becomes at each
    look at it, and `operations` how its last one stands.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, Any, str]] = []
        self.script: dict[str, list[str]] = {}
        self.states: list[str] = []
        self.operations: list[str] = []

    def verbs(self) -> list[str]:
        return [verb for verb, *_ in self.asked]

    def bodies(self, verb: str) -> list[Any]:
        return [body for asked, body, _ in self.asked if asked == verb]

    async def open(self) -> web.AppRunner:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/login", self._log_in),
                web.get("/v1/payments/{payment}", self._look),
                web.get("/v1/payments/{payment}/operations", self._list),
                web.post("/v1/payments/{payment}/{verb}", self._act),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _log_in(self, _request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 900})

    async def _look(self, request: web.Request) -> web.Response:
        return _payment(request, self.states.pop(0))

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": [{"status": "succeeded"}, {"status": self.operations.pop(0)}]})

    async def _act(self, request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        self.asked.append((verb, await request.json(), request.headers["Idempotency-Key"]))
        answer = (self.script.get(verb) or ["done"]).pop(0)
        if answer in REFUSALS:
            return web.json_response({"code": answer}, status=REFUSALS[answer])
        return _payment(request, answer)


def _payment(request: web.Request, state: str) -> web.Response:
    held = 5 if state in ("authorized", "partially_captured") else 0
    return web.json_response({"id": request.match_info["payment"], "state": state, "amount_capturable": held})


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    till = Till()
    runner = await till.open()
    yield till
    await runner.cleanup()


@pytest.fixture
async def client(till: Till) -> AsyncIterator[GatewayClient]:
    async with GatewayClient(till.url, LOGIN, retry_for_s=60) as client:
        yield client
