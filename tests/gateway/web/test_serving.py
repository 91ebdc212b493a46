"""What a client cannot do to a connection: send a head without end, or never finish one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.web import serving
from gateway.web.serving import HEAD_MAX, BoundedHead

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


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    """A client's connection to `echo`."""
    config, state = Config(echo, lifespan="off"), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedHead(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


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
    monkeypatch.setattr(serving, "HEAD_TIMEOUT_S", 0.1)
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
        monkeypatch.setattr(serving, "HEAD_TIMEOUT_S", 0.1)
        writer.write(begun)
        assert await hung_up(reader)
