"""What a client cannot do to a connection: send without end, never finish, never read, or hold ever more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web import bounded_connection
from gateway.web.bounded_connection import HEAD_MAX, BoundedConnection, surplus_of
from tests.patience import eventually

WITHIN_S = 20
REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer before the body is there."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def flood(scope: Any, receive: Any, send: Any) -> None:
    """Answer with more than is read."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(1_000):
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})


@asynccontextmanager
async def serving(app: Any = echo) -> AsyncIterator[Any]:
    """A server of `app`; what is yielded opens a connection to it."""
    config, state = Config(app, lifespan="off"), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedConnection(config, state, {}), "127.0.0.1", 0, backlog=4_096)
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Connection:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        opened.append(writer)
        return reader, writer

    connect.state = state  # type: ignore[attr-defined]
    try:
        yield connect
    finally:
        for writer in opened:
            writer.close()
        server.close()


@asynccontextmanager
async def connected(app: Any = echo) -> AsyncIterator[Connection]:
    """A client's connection to `app`."""
    async with serving(app) as connect:
        yield await connect()


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))


async def hung_up(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(WITHIN_S):
        try:
            return not await reader.read(1)
        except ConnectionResetError:
            return True


async def test_requests_follow_each_other_however_large_their_bodies_are() -> None:
    body = b"x" * (3 * HEAD_MAX)
    large = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with connected() as (reader, writer):
        for request in (REQUEST, large, REQUEST + REQUEST):
            writer.write(request)
            assert (await answer(reader)).endswith(request[-5:])
        assert (await answer(reader)).endswith(b"hello")


@pytest.mark.parametrize(
    ("begun", "more"), [(b"GET /", b"a"), (b"GET / HTTP/1.1\r\n", b"X: a\r\n"), (b"GET / HTTP/1.1\r\nX: ", b"a")]
)
@pytest.mark.parametrize("before", [b"", REQUEST])
async def test_a_head_without_end_is_refused(before: bytes, begun: bytes, more: bytes) -> None:
    async with connected() as (reader, writer):
        if before:
            writer.write(before)
            await answer(reader)
        writer.write((begun + more * HEAD_MAX)[: HEAD_MAX + 1])
        assert (await answer(reader)).startswith(b"HTTP/1.1 400")
        assert await hung_up(reader)


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_a_first_head_that_is_never_finished_is_given_up(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(bounded_connection, "HEAD_TIMEOUT_S", 0.1)
    async with connected() as (reader, writer):
        writer.write(begun)
        assert await hung_up(reader)


@pytest.mark.parametrize("begun", [b"G", b"\r"])
async def test_a_later_head_that_is_never_finished_is_given_up(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST)
        await answer(reader)
        monkeypatch.setattr(bounded_connection, "HEAD_TIMEOUT_S", 0.1)
        writer.write(begun)
        assert await hung_up(reader)


@pytest.mark.parametrize("app", [echo, refuse])
async def test_a_body_that_trickles_is_given_up_answered_or_not(monkeypatch: pytest.MonkeyPatch, app: Any) -> None:
    monkeypatch.setattr(bounded_connection, "BODY_TIMEOUT_S", 0.2)
    async with connected(app) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait([ended], timeout=0.02)
        with suppress(ConnectionResetError):
            await ended


async def test_a_file_may_take_as_long_as_it_goes_on_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_connection, "BODY_TIMEOUT_S", 1.0)
    piece = b"x" * bounded_connection.BODY_PIECE
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (4 * len(piece)))
        for _ in range(4):
            await asyncio.sleep(0.4)
            writer.write(piece)
        assert len(await answer(reader)) > 4 * len(piece)


async def test_who_does_not_read_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_connection, "UNREAD_TIMEOUT_S", 0.1)
    async with serving(flood) as connect:
        _, writer = await connect()
        writer.transport.pause_reading()
        await eventually(lambda: connect.state.connections)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: not connect.state.connections)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"])
async def test_idle_and_trickling_connections_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(bounded_connection, "IDLE_MAX", 40)
    async with serving() as connect:
        for _ in range(100):
            _, writer = await connect()
            writer.write(sent)
        for _ in range(10):
            reader, writer = await connect()
            writer.write(REQUEST)
            assert (await answer(reader)).endswith(b"hello")
        await eventually(lambda: len(connect.state.connections) <= 40)


class Idle(msgspec.Struct):
    """A connection as `surplus_of` looks at it."""

    network: str
    asked_at: float
    idle: bool = True

    def is_idle(self) -> bool:
        return self.idle


def test_whoever_holds_the_most_connections_loses_theirs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_connection, "IDLE_MAX", 80)
    greedy = [Idle("2001:db8::/64", float(n)) for n in range(100)]
    modest = [Idle(f"192.0.2.{n}", 0.0) for n in range(20)]
    at_work = [Idle("2001:db8::/64", 0.0, idle=False) for _ in range(50)]
    surplus = surplus_of([*at_work, *modest, *greedy])
    assert surplus == sorted(greedy[: len(surplus)], key=lambda one: -one.asked_at)
    assert len(surplus) == 120 - 70
    assert surplus_of([*at_work, *modest, *greedy[:60]]) == []
