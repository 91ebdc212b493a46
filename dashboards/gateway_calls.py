"""What pages ask the gateway and do there, in the name of who looks at them.

Streamlit runs each session in a thread of its own; connections belong to one event loop. So all calls run on one
loop, in a thread of its own, and at most `AT_ONCE` of them at a time.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable
from connectors.loop_thread import LoopThread
from dashboards.cached_queries import settings
from schemas.ids import new_id

AT_ONCE = 16
PATIENCE_S = 5.0  # for an answer, tries included, and for a place among the calls
FILE_PATIENCE_S = 30.0  # for a file of many lines, either way
LINES_PATIENCE_S = 180.0  # for the last line of an answer that tells how far it is
ACT_PATIENCE_S = 20.0  # where a processor is called: that alone takes up to 10 s
RETRY_FOR_S = 3.0
DISCOVERY = "/.well-known/openid-configuration"

Work = Callable[[GatewayClient], Coroutine[Any, Any, Any]]


class Calls:
    """The loop, the connections, and how many calls run at once; shared by all sessions."""

    def __init__(self, url: str, at_once: int = AT_ONCE) -> None:
        self._loop = LoopThread()
        self._free = BoundedSemaphore(at_once)
        self._client = self._loop.run(_open(url, at_once))

    def run(self, work: Work, token: str = "", patience_s: float = PATIENCE_S) -> Any:
        """The result of `work`, for whoever has the `token`. Raises `GatewayRefused` and `GatewayUnavailable`."""
        if not self._free.acquire(timeout=PATIENCE_S):
            raise GatewayUnavailable("too many calls at once")
        try:
            client = self._client.acting_by(token) if token else self._client
            return self._loop.run(_within(patience_s, work(client)))
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections and end the loop."""
        self._loop.run(self._client.close())
        self._loop.close()


async def _open(url: str, connections: int) -> GatewayClient:
    return GatewayClient(url, retry_for_s=RETRY_FOR_S, connections=connections)


async def _read_lines(client: GatewayClient, path: str, body: Any, take: Callable[[Any], bool]) -> Any:
    async with aclosing(client.post_lines(path, body)) as lines:
        line = None
        async for line in lines:
            if not take(line):
                break
        return line


async def _within(patience_s: float, work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await asyncio.wait_for(work, patience_s)
    except TimeoutError:
        raise GatewayUnavailable("no answer in time") from None


class Api:
    """The gateway's API as one person. Every call raises `GatewayRefused` and `GatewayUnavailable`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get(self, path: str, type: Any = Any, /, **query: str | int | None) -> Any:
        """The answer, decoded as `type`; what is empty in `query` is left out."""
        asked = _with_query(path, query)
        return _calls().run(lambda client: client.get(asked, type), self._token)

    def post(self, path: str, body: Any, type: Any = Any, key: str = "") -> Any:
        """The answer to a POST under a key of its own: what is dropped on the way is sent again.

        `key`: that of a thing which must not happen twice, however often it is asked for.
        """
        return self._act(lambda client: client.post(path, body, key or new_id("key"), type=type))

    def post_once(self, path: str, body: Any, type: Any = Any) -> Any:
        """The answer to a POST that takes no key, because it answers a secret."""
        return self._act(lambda client: client.post(path, body, type=type))

    def post_csv(self, path: str, file: bytes, type: Any = Any) -> Any:
        """The answer to a file of lines."""
        return _calls().run(lambda client: client.post_csv(path, file, type), self._token, FILE_PATIENCE_S)

    def get_csv(self, path: str, /, **query: str) -> bytes:
        """A list as a file, all of it; what is empty in `query` is left out."""
        asked = _with_query(path, query)
        file: bytes = _calls().run(lambda client: client.get_csv(asked), self._token, FILE_PATIENCE_S)
        return file

    def post_lines(self, path: str, body: Any, take: Callable[[Any], bool]) -> Any:
        """Each line of an answer goes to `take` as it comes, until that wants no more; the last one."""
        return _calls().run(lambda client: _read_lines(client, path, body, take), self._token, LINES_PATIENCE_S)

    def put(self, path: str, body: Any, type: Any = Any) -> Any:
        """The answer to a PUT."""
        return self._act(lambda client: client.put(path, body, type))

    def patch(self, path: str, body: Any) -> Any:
        """The answer to a PATCH."""
        return self._act(lambda client: client.patch(path, body))

    def delete(self, path: str) -> None:
        """Delete something."""
        self._act(lambda client: client.delete(path))

    def _act(self, work: Work) -> Any:
        return _calls().run(work, self._token, ACT_PATIENCE_S)


def _with_query(path: str, query: Mapping[str, str | int | None]) -> str:
    asked = urlencode({name: value for name, value in query.items() if value not in ("", None)})
    return f"{path}?{asked}" if asked else path


def answers() -> bool:
    """Whether the gateway lets people log in now."""
    try:
        _calls().run(lambda client: client.get(DISCOVERY))
    except (GatewayRefused, GatewayUnavailable):
        return False
    return True


@st.cache_resource(show_spinner=False, on_release=Calls.close)
def _calls() -> Calls:
    return Calls(settings().gateway_url())
