"""PayPal's token: fetched once for many calls, replaced when refused, and none means nothing was sent."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from connectors.processors.access_token import AccessToken
from connectors.processors.contract import Charge
from connectors.processors.paypal import PayPal
from connectors.processors.transport import Transport
from schemas.money import Money

CHARGE = Charge("op_1", "att_1", Money(100, "USD"), order_reference="ORDER1")


class Counting:
    """A PayPal that grants numbered tokens, takes only the newest, and counts what it is asked."""

    def __init__(self) -> None:
        self.granted = 0
        self.asked: list[str] = []
        self.expires_in = 3600
        self.revoked = False
        self.grant_status = 200
        self.nonsense = b""

    async def grant(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Basic Y2xpZW50OnNlY3JldA=="
        assert await request.text() == "grant_type=client_credentials"
        self.granted += 1
        self.revoked = False
        await asyncio.sleep(0.02)
        token = {"access_token": f"token-{self.granted}", "expires_in": self.expires_in}
        return web.Response(body=self.nonsense or msgspec.json.encode(token), status=self.grant_status)

    async def order(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"]
        self.asked.append(token)
        if self.revoked or token != f"Bearer token-{self.granted}":
            return web.json_response({"name": "AUTHENTICATION_FAILURE"}, status=401)
        return web.json_response({"id": request.match_info["id"], "status": "VOIDED"})


@pytest.fixture
def server() -> Counting:
    return Counting()


@pytest.fixture
async def paypal(server: Counting) -> AsyncIterator[PayPal]:
    app = web.Application()
    app.add_routes(
        [
            web.post("/v1/oauth2/token", server.grant),
            web.get("/v2/checkout/orders/{id}", server.order),
            web.post("/v2/checkout/orders/{id}/authorize", server.order),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    transport = Transport(f"http://127.0.0.1:{runner.addresses[0][1]}", 5)
    client = PayPal(transport, AccessToken(transport, "client", "secret"))
    yield client
    await client.close()
    await runner.cleanup()


async def test_many_calls_share_one_token(paypal: PayPal, server: Counting) -> None:
    answers = await asyncio.gather(*(paypal.order_status(f"O{n}") for n in range(20)))
    assert {answer.result for answer in answers} == {"failed"}
    assert (server.granted, len(server.asked)) == (1, 20)


async def test_a_refused_token_is_replaced_once(paypal: PayPal, server: Counting) -> None:
    await paypal.order_status("O1")
    server.revoked = True
    assert (await paypal.order_status("O2")).result == "failed"
    assert server.asked == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


async def test_a_token_about_to_expire_is_not_used_again(paypal: PayPal, server: Counting) -> None:
    server.expires_in = 30
    await paypal.order_status("O1")
    await paypal.order_status("O2")
    assert server.granted == 2


@pytest.mark.parametrize("status", [401, 500, 503])
async def test_without_a_token_nothing_was_sent(paypal: PayPal, server: Counting, status: int) -> None:
    server.grant_status = status
    answer = await paypal.authorize(CHARGE, capture=False)
    assert (answer.result, answer.sent) == ("failed", False)
    assert (await paypal.order_status("O1")).result == "unknown"
    assert not server.asked


@pytest.mark.parametrize(
    "nonsense",
    [
        b"<html>",
        b'{"access_token": "two\\nlines", "expires_in": 3600}',
        b'{"access_token": "line\\n", "expires_in": 3600}',
        b'{"access_token": "", "expires_in": 3600}',
        b'{"deep": ' + b"[" * 100_000,
    ],
)
async def test_a_token_nobody_can_use_is_none(paypal: PayPal, server: Counting, nonsense: bytes) -> None:
    server.nonsense = nonsense
    answer = await paypal.authorize(CHARGE, capture=False)
    assert (answer.result, answer.sent) == ("failed", False)
