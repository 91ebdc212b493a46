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
    """The gateway said no: `status` and the problem's `code`."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Client:
    """One account at one gateway; use it as `async with`. Tokens are renewed as they expire."""

    def __init__(self, url: str, email: str, password: str, connections: int = 32) -> None:
        self._url = url
        self._credentials = {"email": email, "password": password}
        self._token = ""
        self._login = asyncio.Lock()
        self._connections = connections

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
        give_up = monotonic() + RETRY_FOR_S
        while True:
            try:
                status, answer = await self._once(method, path, body, headers)
                if status < 400:
                    return msgspec.json.decode(answer)
                refused = Refused(status, msgspec.json.decode(answer).get("code", ""))
            except DROPPED as error:
                refused = Refused(0, type(error).__name__)
            if refused.status == 401:
                await self._log_in(self._token)
            elif refused.status and refused.status not in RETRIED:
                raise refused
            if monotonic() > give_up:
                raise refused
            await asyncio.sleep(0 if refused.status == 401 else PAUSE_S)

    async def _once(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        if not self._token:
            await self._log_in("")
        sent = {**headers, "Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        async with self._session.request(method, self._url + path, data=body or None, headers=sent) as response:
            return response.status, await response.read()

    async def _log_in(self, expired: str) -> None:
        async with self._login:
            if self._token != expired:  # another call has renewed it meanwhile
                return
            async with self._session.post(f"{self._url}/v1/login", json=self._credentials) as response:
                answer = await response.json(content_type=None)
                if response.status != 200:
                    raise Refused(response.status, answer.get("code", ""))
                self._token = answer["access_token"]
