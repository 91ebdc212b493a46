"""What each fault does to the HTTP connection of a call."""

import asyncio
import socket
import struct

from aiohttp import web

from connectors.sandbox.http_shapes import TwinReply

GARBAGE = TwinReply(200, b"<html><body>\x00\xff It works! <</html", {"Content-Type": "text/html"})
SERVER_ERROR = TwinReply(500, b"Internal Server Error", {"Content-Type": "text/plain"})
LOOK_S = 0.25  # how often a held connection is checked for a client that has gone


def response(reply: TwinReply) -> web.Response:
    """The reply without any fault."""
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def wait(cleared: asyncio.Event, seconds: float | None) -> bool:
    """Wait until faults are cleared, at most `seconds`. Returns whether they were."""
    try:
        async with asyncio.timeout(seconds):
            return await cleared.wait()
    except TimeoutError:
        return False


async def silence(request: web.BaseRequest, cleared: asyncio.Event, seconds: float | None) -> web.Response:
    """Send nothing until faults are cleared, `seconds` are over or the client has gone; then hang up."""
    end = asyncio.get_running_loop().time() + (seconds or float("inf"))
    while (left := end - asyncio.get_running_loop().time()) > 0:
        if not _connected(request) or await wait(cleared, min(left, LOOK_S)):
            break
    return hang_up(request)


def hang_up(request: web.BaseRequest) -> web.Response:
    """Drop the connection without an answer."""
    if request.transport:
        request.transport.abort()
    return web.Response()  # aiohttp wants one; it is never sent


def reset(request: web.BaseRequest) -> web.Response:
    """Drop the connection so that the client gets a TCP reset (a linger of 0 s), not an orderly end."""
    if request.transport:
        raw: socket.socket = request.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return hang_up(request)


async def half_body(request: web.BaseRequest, reply: TwinReply) -> web.StreamResponse:
    """Announce the whole body's length, send half of it, close."""
    broken = web.StreamResponse(status=reply.status, headers=reply.headers)
    broken.content_length = max(len(reply.body), 2)
    await broken.prepare(request)
    await broken.write(reply.body[: len(reply.body) // 2])
    if request.transport:
        request.transport.close()
    return broken


def _connected(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()
