"""Whatever bytes arrive on a connection, what comes back is HTTP: a route's answer, or a problem with a code."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from quart import Quart
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.app import create_app
from gateway.settings import GatewaySettings
from gateway.web.bounded_connection import BoundedConnection
from gateway.web.raw_http import HEADERS, answered
from tests.gateway.conftest import Gateway
from tests.patience import eventually

WITHIN_S = 20
HOST = b"Host: localhost\r\n"
NUMBER = b"4111111111111111"


class RawAnswer(msgspec.Struct):
    """What came back: lines of a header are joined by name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        problem = self.headers.get("content-type") == "application/problem+json"
        return json.loads(self.body)["code"] if problem else None


class Line:
    """Connections to a gateway over real sockets."""

    def __init__(self, app: Quart, state: ServerState, address: tuple[str, int]) -> None:
        self.gateway = Gateway(app)
        self.state = state
        self._address = address

    async def send(self, raw: bytes) -> list[RawAnswer]:
        """Everything that is answered to `raw`, whose connection is closed then."""
        reader, writer = await asyncio.open_connection(*self._address)
        writer.write(raw)
        received = b""
        async with asyncio.timeout(WITHIN_S):
            with suppress(ConnectionResetError):  # the server did not read all of a body that it refused
                while piece := await reader.read(65_536):
                    received += piece
        writer.close()
        return list(_answers(received))


def _answers(received: bytes) -> Any:
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        yield RawAnswer(int(first.split()[1]), headers, received[:length])
        received = received[length:]


@pytest.fixture
async def line(gateway_settings: GatewaySettings) -> AsyncIterator[Line]:
    app = create_app(gateway_settings)
    async with app.test_app():
        config, state = Config(answered(app), lifespan="off", ws="none"), ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: BoundedConnection(config, state, {}), "127.0.0.1", 0
        )
        yield Line(app, state, server.sockets[0].getsockname())
        server.close()


def request(target: bytes = b"/healthz", method: bytes = b"GET", head: bytes = HOST, body: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method, target, head + b"Connection: close\r\n", body)


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"X y: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"X: \x00\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET http:// HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET http://localhost HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET ?a HTTP/1.1\r\n" + HOST + b"\r\n",
    request(head=b""),
    request(head=HOST + HOST),
    request(head=b"Host: " + b"a" * 64 + b".example\r\n"),
    request(head=b"Host: " + b"a." * 130 + b"example\r\n"),
    request(head=b"Host: a..b\r\n"),
    request(head=b"Host: b\xc3\xbccher.example\r\n"),
    request(head=b"Host: a/b\r\n"),
    request(head=b"Host: a@b\r\n"),
    request(head=b"Host: [::1\r\n"),
    request(head=b"Host: a:b\r\n"),
]


async def test_what_is_no_request_is_a_problem_with_a_code(line: Line) -> None:
    for raw in MALFORMED:
        answers = await line.send(raw)
        assert [(answer.status, answer.code) for answer in answers] == [(400, "malformed_request")], raw[:80]
        (answer,) = answers
        problem = json.loads(answer.body)
        assert problem["request_id"] == answer.headers["request-id"]
        assert answer.headers.items() >= {(name.lower(), value) for name, value in HEADERS.items()}


ODD: list[tuple[bytes, int, str | None]] = [
    (request(head=b"Host: localhost:8080\r\n"), 200, None),
    (request(head=b"Host: [::1]:8080\r\n"), 200, None),
    (request(head=b"Host: " + b"a" * 63 + b".example.\r\n"), 200, None),
    (request(head=b"Host: under_score\r\n"), 200, None),
    (request(head=b"Host:\r\n"), 200, None),
    (request(b"http://elsewhere.example/healthz"), 200, None),
    (request(b"/healthz?%ff&a=%&=&&\xff".replace(b"\xff", b"%FE")), 200, None),
    (request(b"/healthz%00"), 404, "not_found"),
    (request(b"/v1/payments/%ff/events"), 401, "unauthenticated"),
    (request(b"*", b"OPTIONS"), 404, "not_found"),
    (request(b"/healthz", b"PROPFIND"), 405, "method_not_allowed"),
    (request(b"/healthz", b"DELETE"), 405, "method_not_allowed"),
    (request(head=HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200, None),
    (request(head=HOST + b"Expect: 100-continue\r\n"), 200, None),
    (request(head=HOST + b"Authorization: Bearer \xff\r\n"), 200, None),
    (request(b"/v1/me", head=HOST + b"Authorization: Bearer \xff\r\n"), 401, "unauthenticated"),
    (request(b"/v1/login", b"POST", HOST + b"Content-Length: 70000\r\n", b"x" * 70_000), 413, "body_too_large"),
    (
        request(b"/v1/login", b"POST", HOST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"{}"),
        422,
        "invalid_request",
    ),
    (
        request(b"/v1/login", b"POST", HOST + b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        422,
        "invalid_request",
    ),
]


async def test_odd_requests_get_a_routes_answer(line: Line) -> None:
    for raw, status, code in ODD:
        *_, answer = await line.send(raw)
        assert (answer.status, answer.code) == (status, code), raw[:80]


async def test_what_follows_a_request_and_is_none_is_refused_after_its_answer(line: Line) -> None:
    first, second = await line.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\nnonsense\r\n\r\n")
    assert (first.status, first.code) == (200, None)
    assert (second.status, second.code) == (400, "malformed_request")
    one, two, three = await line.send((b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n") * 2 + b"nonsense\r\n\r\n")
    assert [one.status, two.status, three.status] == [200, 200, 400]


async def test_a_connection_is_closed_after_who_wanted_another_protocol(line: Line) -> None:
    (answer,) = await line.send(
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    )
    assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_no_answer_repeats_what_was_sent(line: Line) -> None:
    for raw in (b"GET /%s HTTP/1.1\r\nHost: %s..\r\n\r\n", b"%s /%s HTTP/1.1\r\n\r\n"):
        (answer,) = await line.send(raw % (NUMBER, NUMBER))
        assert NUMBER not in answer.body
        assert NUMBER.decode() not in str(answer.headers)


async def test_an_answer_without_a_body_says_nothing_of_its_length(line: Line) -> None:
    token = await line.gateway.token("customer")
    (out,) = await line.send(request(b"/v1/logout", b"POST", HOST + f"Authorization: Bearer {token}\r\n".encode()))
    assert (out.status, out.body) == (204, b"")
    assert not {"content-length", "content-type", "transfer-encoding"} & out.headers.keys()  # RFC 9110 §8.6


async def test_an_app_that_breaks_before_it_answers_is_a_problem_too(line: Line) -> None:
    line.gateway.app.handle_request = None  # type: ignore[assignment,method-assign]
    (answer,) = await line.send(request())
    assert (answer.status, answer.code) == (500, "internal")


async def test_what_is_in_hand_when_the_gateway_has_to_end_may_be_tried_again(line: Line) -> None:
    line.gateway.app.handle_request = lambda _: asyncio.Event().wait()  # type: ignore[assignment,method-assign]
    asked = asyncio.create_task(line.send(request()))
    await eventually(lambda: line.state.tasks)
    for task in line.state.tasks:
        task.cancel()  # as uvicorn does once the time of a graceful end is over
    (answer,) = await asked
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
