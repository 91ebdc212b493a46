"""The transport before servers that refuse, hang, break off or talk nonsense. Raw sockets count arrivals."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest

from connectors.http_bodies import BODY_MAX
from connectors.processors import transport
from connectors.processors.contract import Answer
from connectors.processors.response_checks import Mismatch, answer_to, finding_of, same, same_money
from connectors.processors.transport import HttpReply, HttpRequest, NotSent, Silence, Transport
from schemas.money import Money
from tests.patience import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HANGS_S = 60
PUT = HttpRequest("PUT", "/order/1", {}, b'{"number":"4111111111111111"}')
GET = HttpRequest("GET", "/order/1", {})
POST = HttpRequest("POST", "/order/1", {}, b"{}")

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


class Server:
    """Counts requests that arrived whole; `behave(reader, writer, n)` does the rest for the n-th."""

    def __init__(self, behave: Behave) -> None:
        self.arrivals: list[bytes] = []
        self._behave = behave

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                self.arrivals.append(head)
                await self._behave(reader, writer, len(self.arrivals))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def talking(behave: Behave, call_timeout_s: float = 60) -> AsyncIterator[tuple[Transport, Server]]:
    server = Server(behave)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    transport = Transport(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", call_timeout_s)
    try:
        yield transport, server
    finally:
        await transport.close()
        listener.close()


def answering(text: bytes) -> Behave:
    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _n: int) -> None:
        writer.write(text)
        await writer.drain()

    return behave


async def close_after_the_first(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, n: int) -> None:
    if n == 1:
        writer.write(OK)
    else:
        writer.close()


async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _n: int) -> None:
    await asyncio.sleep(HANGS_S)


@pytest.mark.parametrize("request_", [PUT, GET, POST], ids=lambda request: request.method)
async def test_a_kept_alive_connection_that_dies_makes_no_second_request(request_: HttpRequest) -> None:
    async with talking(close_after_the_first) as (transport, server):
        assert (await transport.send(request_)).status == 200
        with pytest.raises(Silence):
            await transport.send(request_)
        await asyncio.sleep(0.05)
        assert len(server.arrivals) == 2


async def test_aiohttp_alone_would_send_a_put_again() -> None:
    """If this fails, aiohttp has changed, and `send_once` may be unnecessary."""
    async with talking(close_after_the_first) as (transport, server):
        transport._session._middlewares = ()
        await transport.send(PUT)
        with pytest.raises(Silence):
            await transport.send(PUT)
        assert len(server.arrivals) == 3


async def test_a_refused_connection_is_not_sent(free_ports: Callable[[int], list[int]]) -> None:
    transport = Transport(f"http://127.0.0.1:{free_ports(1)[0]}", 60)
    with pytest.raises(NotSent):
        await transport.send(PUT)
    assert await answer_to(transport.send(PUT), parse_nothing) == Answer(
        "failed", sent=False, detail="not sent: ClientConnectorError"
    )
    assert (await finding_of(transport.send(PUT), parse_nothing)).result == "unknown"
    await transport.close()


async def test_a_name_nobody_knows_is_not_sent() -> None:
    transport = Transport("http://nobody.invalid", 5)
    with pytest.raises(NotSent):
        await transport.send(PUT)
    await transport.close()


async def test_a_listener_that_never_accepts_is_not_sent() -> None:
    """With a full backlog the kernel drops the handshake, and the connection never comes about."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        transport = Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.4)
        with pytest.raises(NotSent, match="ConnectionTimeoutError"):
            await transport.send(PUT)
        await transport.close()


async def test_silence_ends_at_the_call_timeout() -> None:
    async with talking(hang, call_timeout_s=0.3) as (transport, server):
        began = time.monotonic()
        with pytest.raises(Silence, match="TimeoutError"):
            await transport.send(PUT)
        assert 0.25 < time.monotonic() - began < HANGS_S
        assert len(server.arrivals) == 1


async def test_one_that_hangs_takes_its_own_connections_and_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECTIONS_MAX", 3)
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_S", 0.3)
    async with talking(hang, 2) as (hanging, server), talking(answering(OK)) as (other, _):
        calls = [asyncio.create_task(hanging.send(PUT)) for _ in range(10)]
        await eventually(lambda: len(server.arrivals) == 3)
        assert (await other.send(GET)).status == 200
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [Silence] * 3 + [NotSent] * 7  # those go on at another processor
        assert len(server.arrivals) == 3


async def test_a_deadline_that_passed_sends_nothing() -> None:
    async with talking(answering(OK)) as (transport, server):
        with pytest.raises(NotSent):
            await transport.send(PUT, transport.deadline() - 100)
        assert not server.arrivals


async def test_a_reset_after_sending_is_silence() -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _n: int) -> None:
        writer.transport.abort()

    async with talking(reset) as (transport, server):
        with pytest.raises(Silence):
            await transport.send(PUT)
        assert len(server.arrivals) == 1


@pytest.mark.parametrize(
    "text",
    [
        b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"status":"AUTH',
        b'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"sta',
        b"HTTP/1.1 201 Cre",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
)
async def test_half_an_answer_is_silence(text: bytes) -> None:
    async def break_off(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _n: int) -> None:
        writer.write(text)
        await writer.drain()
        writer.close()

    async with talking(break_off) as (transport, _server):
        assert (await answer_to(transport.send(PUT), parse_nothing)).result == "unknown"


async def test_a_redirect_is_not_followed() -> None:
    away = b"HTTP/1.1 307 Away\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with talking(answering(away)) as (transport, server):
        assert (await transport.send(PUT)).status == 307
        assert len(server.arrivals) == 1


async def test_an_answer_without_end_is_silence() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b" " * (BODY_MAX + 100_000)
    async with talking(answering(endless)) as (transport, _server):
        with pytest.raises(Silence, match="too long"):
            await transport.send(GET)


def parse_nothing(_reply: HttpReply) -> Answer:
    raise ValueError("nothing to read")


def test_money_is_the_same_in_any_spelling_but_not_in_another_currency() -> None:
    same_money("10.0", "EUR", Money(1000, "EUR"))
    same_money("1000", "JPY", Money(1000, "JPY"))
    for told, currency in [("10.01", "EUR"), ("10.00", "USD"), (None, "EUR"), ("10.00", None), ("-10.00", "EUR")]:
        with pytest.raises(Mismatch):
            same_money(told, currency, Money(1000, "EUR"))


@pytest.mark.parametrize("told", ["NaN", "Infinity", "1E+999999", "ten"])
async def test_numbers_that_are_none_are_unreadable(told: str) -> None:
    def parse(_reply: HttpReply) -> Answer:
        same_money(told, "EUR", Money(1000, "EUR"))
        return Answer("succeeded")

    assert (await answer_to(_soon(HttpReply(200, b"")), parse)).result == "unknown"


async def test_a_mismatch_is_unknown_and_says_which_field() -> None:
    def parse(_reply: HttpReply) -> Answer:
        same("order.id", "att_2", "att_1")
        return Answer("succeeded")

    answer = await answer_to(_soon(HttpReply(200, b"")), parse)
    assert answer.result == "unknown"
    assert "order.id is 'att_2'" in answer.detail


async def test_what_is_deeper_than_anyone_reads_is_unknown() -> None:
    def parse(_reply: HttpReply) -> Answer:
        raise RecursionError

    assert (await answer_to(_soon(HttpReply(200, b"")), parse)).result == "unknown"


def test_requests_and_replies_show_no_body() -> None:
    assert "4111" not in f"{PUT!r} {PUT} {HttpReply(200, PUT.body)!r} {HttpReply(200, PUT.body)}"


async def _soon(reply: HttpReply) -> HttpReply:
    return reply
