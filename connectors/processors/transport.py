"""The HTTP connections to one processor. A request is sent at most once.

Only a connection that was never established counts as not sent. Whatever goes wrong afterwards (reset, timeout,
half a body) leaves the outcome unknown: the money may have moved.
"""

import asyncio
from typing import Literal

import aiohttp
import msgspec
from yarl import URL

from connectors.http_bodies import AnswerTooLong, read_body
from connectors.traces import outgoing

CONNECT_TIMEOUT_S = 3.0
CONNECTIONS_MAX = 200  # a processor that hangs holds up its own callers only


class HttpRequest(msgspec.Struct, frozen=True):
    """`path` begins with a slash and holds only what needs no quoting. Its text form shows no body, no header."""

    method: Literal["GET", "POST", "PUT"]
    path: str
    headers: dict[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.path})"

    __str__ = __repr__


class HttpReply(msgspec.Struct, frozen=True):
    """A whole HTTP response. Its text form shows no body."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"HttpReply({self.status}, {len(self.body)} bytes)"

    __str__ = __repr__


class NotSent(Exception):
    """The connection was never established: nothing can have been applied."""


class Silence(Exception):
    """The request was sent, wholly or in part, and no whole response came back."""


class Transport:
    """The connections to one processor. Create it inside a running event loop."""

    def __init__(self, base_url: str, call_timeout_s: float) -> None:
        self._base = URL(base_url)
        self._call_timeout_s = call_timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "sluice"},
            middlewares=[send_once],
        )

    @property
    def host(self) -> str:
        """The Host header, with the port where it is not the scheme's own."""
        return self._base.host_port_subcomponent or ""

    def deadline(self) -> float:
        """When a call that begins now must end (event loop time, s), however many requests it takes."""
        return asyncio.get_running_loop().time() + self._call_timeout_s

    async def send(self, request: HttpRequest, until: float | None = None) -> HttpReply:
        """Send once. Raises `NotSent` or `Silence`; any status is a reply, and no redirect is followed."""
        left_s = (until or self.deadline()) - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise NotSent("no time left")
        try:
            return await self._send(request, left_s)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(type(error).__name__) from error
        except AnswerTooLong:
            raise Silence("answer too long") from None
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise Silence(type(error).__name__) from error

    async def _send(self, request: HttpRequest, left_s: float) -> HttpReply:
        timeout = aiohttp.ClientTimeout(total=left_s, connect=min(CONNECT_TIMEOUT_S, left_s / 2))
        async with self._session.request(
            request.method,
            self._base.joinpath(request.path.lstrip("/"), encoded=True),
            headers=request.headers | outgoing(),
            data=request.body or None,
            allow_redirects=False,
            timeout=timeout,
        ) as response:
            return HttpReply(response.status, await read_body(response))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET or PUT again when its connection dies.

    RFC 9112 section 9.3.1 allows that, but Mastercard authorizes by PUT. aiohttp retries on errors of its own
    only, so they are turned into one that it does not know.
    """
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise Silence(type(error).__name__) from error
