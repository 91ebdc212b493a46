"""A client of the gateway's HTTP API that logs in, and tries again what may be tried again."""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

RETRY_FOR_S = 120.0
RETRIED = frozenset({409, 429, 503})
PAUSE_S = 0.2
DROPPED = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)


class Refused(Exception):
    """The gateway said no: `status` and the problem's `code`; status 0: no connection held."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}" if status else code)
        self.status = status
        self.code = code


class Client:
    """One account at one gateway; use it as `async with`. Tokens are renewed as they expire."""

    def __init__(
        self, url: str, email: str, password: str, connections: int = 32, retry_for_s: float = RETRY_FOR_S
    ) -> None:
        self._url = url
        self._credentials = {"email": email, "password": password}
        self._token = ""
        self._login = asyncio.Lock()
        self._connections = connections
        self._retry_for_s = retry_for_s

    async def __aenter__(self) -> "Client":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, path: str) -> Any:
        """The decoded answer. Raises `Refused`."""
        return await self._until_answered("GET", path, b"", {})

    async def post(self, path: str, body: Any, key: str) -> Any:
        """The decoded answer. Dropped connections, 409, 429 and 503 are tried again with the same `key`.

        Raises `Refused` for any other no, and for these after 120 s.
        """
        return await self._until_answered("POST", path, msgspec.json.encode(body), {"Idempotency-Key": key})

    async def _until_answered(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        give_up = monotonic() + self._retry_for_s
        while True:
            try:
                return await self._authorized(method, path, body, headers)
            except Refused as refused:
                if refused.status not in RETRIED or monotonic() > give_up:
                    raise
            except DROPPED as error:
                if monotonic() > give_up:
                    raise Refused(0, type(error).__name__) from None
            await asyncio.sleep(PAUSE_S)

    async def _authorized(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        """The answer, with a token that is good: a 401 is believed only of a new one."""
        used = self._token
        if used:
            try:
                return await self._send(method, path, body, headers)
            except Refused as refused:
                if refused.status != 401:
                    raise
        await self._log_in(used)
        return await self._send(method, path, body, headers)

    async def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        sent = {**headers, "Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        async with self._session.request(method, self._url + path, data=body or None, headers=sent) as response:
            return _decoded(response.status, await response.read())

    async def _log_in(self, expired: str) -> None:
        async with self._login:
            if self._token != expired:  # another call has renewed it meanwhile
                return
            async with self._session.post(f"{self._url}/v1/login", json=self._credentials) as response:
                self._token = _decoded(response.status, await response.read())["access_token"]


def _decoded(status: int, answer: bytes) -> Any:
    try:
        document = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        raise Refused(status, "not JSON") from None
    if status >= 400:
        raise Refused(status, document.get("code", ""))
    return document
