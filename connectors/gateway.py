"""The client of the gateway's HTTP API: renews its token, and sends again what may be sent again."""

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from types import TracebackType
from typing import Any, assert_never

import aiohttp
import msgspec

from connectors.oauth_tokens import ClientCredentials, GrantedToken, TokenCache, TokenRefused, TokenUnreadable
from connectors.traces import outgoing

RETRIED_STATUSES = frozenset({409, 429, 503})
NOT_KNOWN = frozenset({502, 504})  # of a proxy whose gateway gave no answer: it may have done what was asked
# A 409 that stays, however often it is asked.
FINAL_CONFLICTS = frozenset({"wrong_state", "assigned", "email_taken", "id_taken", "stale_version"})
RETRY_FOR_S = 120.0
RETRY_PAUSE_S = 0.2
RENEW_EARLY_S = 30
TIMEOUT = aiohttp.ClientTimeout(total=30)
LINE_TIMEOUT = aiohttp.ClientTimeout(sock_connect=10, sock_read=30)  # of one line: all of them may take long
JSON = {"Content-Type": "application/json"}
CSV = "text/csv"
LINES = "application/x-ndjson"


class WrongField(msgspec.Struct, frozen=True):
    """What a problem says of one field of a body; `path` as in `$.email`."""

    path: str
    message: str


class ProblemRead(msgspec.Struct, frozen=True):
    """What is read of a problem (RFC 9457). `detail` is for people, in plain words of the gateway's own."""

    code: str = ""
    detail: str = ""
    decline_code: str = ""
    errors: list[WrongField] | None = None


class ProblemLine(msgspec.Struct, frozen=True):
    """What tells that a line of an answer is a problem."""

    status: int = 0
    code: str = ""


class GatewayRefused(Exception):
    """The gateway answered no: `status` is the HTTP status, `code`, `detail` and `errors` are the problem's.

    `retry_after_s`: in how many seconds it may be asked again, where the answer says so. `decline_code`: why a
    processor refused. The text form holds neither `detail` nor `errors`, which may repeat what was sent.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        errors: tuple[WrongField, ...] = (),
        retry_after_s: float = 0,
        decline_code: str = "",
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.decline_code = decline_code


class LoginRefused(GatewayRefused):
    """The gateway gave no token; `status` is 200 where its answer holds none."""


class GatewayUnavailable(Exception):
    """No whole answer came; the request may have been applied."""


class AnswerUnreadable(GatewayUnavailable):
    """The answer is a success, but its body is not of the type that was asked for."""


class PasswordLogin(msgspec.Struct, frozen=True):
    """An account that logs in by password. Its text form shows no password."""

    email: str
    password: str

    def __repr__(self) -> str:
        return f"PasswordLogin({self.email})"

    __str__ = __repr__


class GivenToken(msgspec.Struct, frozen=True):
    """An access token that somebody else got and renews. Its text form shows no token."""

    token: str

    def __repr__(self) -> str:
        return "GivenToken()"

    __str__ = __repr__


Login = PasswordLogin | ClientCredentials | GivenToken


class GatewayClient:
    """An account, a service client, or without a `login` nobody in particular, at one gateway.

    Make it inside a running event loop, and use it as `async with` or `close` it.
    """

    def __init__(
        self,
        url: str,
        login: Login | None = None,
        *,
        retry_for_s: float = 0,
        connections: int = 32,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        """`url` has no slash at its end.

        `retry_for_s`: for how long a request is sent again, with the same key, after a 429, a 503, a dropped
        connection, or a 409 other than `FINAL_CONFLICTS`; 0 switches that off. Between two tries lies what
        `Retry-After` asks for; where that is longer than the rest of the time, nothing is sent again.
        """
        self._url = url
        self._login = login
        self._retry_for_s = retry_for_s
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), timeout=timeout)
        self._tokens = TokenCache(RENEW_EARLY_S)

    async def __aenter__(self) -> "GatewayClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def acting_by(self, token: str) -> "GatewayClient":
        """This client for whoever has this access token, over the same connections, which it does not close."""
        acting = copy.copy(self)
        acting._login = GivenToken(token)
        return acting

    async def get(self, path: str, type: Any = Any) -> Any:
        """The answer, decoded as `type`. Raises `GatewayRefused` and `GatewayUnavailable`."""
        return _decoded(await self._until_answered("GET", path, {}, b""), type)

    async def post(
        self, path: str, body: Any, key: str = "", headers: Mapping[str, str] = {}, type: Any = Any
    ) -> Any:
        """The answer, decoded as `type`. `key`: the `Idempotency-Key`; without one nothing is sent a second time.

        Raises `GatewayRefused` and `GatewayUnavailable`; what is sent again raises when the time for that is over.
        """
        encoded, sent = msgspec.json.encode(body), JSON | dict(headers)
        if not key:
            return _decoded(await self._authorized("POST", path, sent, encoded), type)
        return _decoded(await self._until_answered("POST", path, sent | {"Idempotency-Key": key}, encoded), type)

    async def post_csv(self, path: str, file: bytes, type: Any = Any) -> Any:
        """The answer to a file (`text/csv`), decoded as `type`; sent once. Raises as `patch`."""
        return _decoded(await self._authorized("POST", path, {"Content-Type": CSV}, file), type)

    async def get_csv(self, path: str) -> bytes:
        """What `path` answers as a file (`text/csv`), all of it in memory. Raises as `get`."""
        return await self._until_answered("GET", path, {"Accept": CSV}, b"")

    async def post_lines(self, path: str, body: Any, type: Any = Any) -> AsyncGenerator[Any, None]:
        """The lines of an answer as they come (`application/x-ndjson`), each decoded as `type`; sent once.

        Who closes it hangs up. Raises as `patch`, also for a line that is a problem.
        """
        headers = JSON | {"Accept": LINES} | await self._bearing()
        sent = msgspec.json.encode(body)
        request = self._session.post(self._url + path, data=sent, headers=headers, timeout=LINE_TIMEOUT)
        async with _answering(request) as response:
            if response.status >= 400:
                raise _refused(response.status, await response.read(), response.headers.get("Retry-After", ""))
            async for line in response.content:
                yield _line(line, type)

    async def put(self, path: str, body: Any, type: Any = Any) -> Any:
        """The answer, decoded as `type`. Raises as `get`: a PUT that comes twice does what one does."""
        return _decoded(await self._until_answered("PUT", path, JSON, msgspec.json.encode(body)), type)

    async def patch(self, path: str, body: Any, type: Any = Any) -> Any:
        """The answer, decoded as `type`; sent once. Raises `GatewayRefused` and `GatewayUnavailable`."""
        return _decoded(await self._authorized("PATCH", path, JSON, msgspec.json.encode(body)), type)

    async def delete(self, path: str) -> None:
        """Sent once: where the answer got lost, a second one is a 404. Raises as `patch`."""
        await self._authorized("DELETE", path, {}, b"")

    async def _until_answered(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        give_up = monotonic() + self._retry_for_s
        while True:
            pause_s = RETRY_PAUSE_S
            try:
                return await self._authorized(method, path, headers, body)
            except GatewayRefused as refused:
                pause_s = max(pause_s, refused.retry_after_s)
                is_final = refused.status not in RETRIED_STATUSES or refused.code in FINAL_CONFLICTS
                if is_final or monotonic() + refused.retry_after_s >= give_up:
                    raise
            except GatewayUnavailable:
                if monotonic() >= give_up:
                    raise
            await asyncio.sleep(pause_s)

    async def _bearing(self) -> dict[str, str]:
        """The header with a token, where there is a login."""
        if self._login is None:
            return {}
        if isinstance(self._login, GivenToken):
            return _bearer(self._login.token)
        return _bearer(await self._tokens.token(self._fetch_token))

    async def _authorized(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """The answer to a request with a token. A 401 renews a kept token once, and is believed of a new one."""
        if self._login is None:
            return await self._send(method, path, headers, body)
        if isinstance(self._login, GivenToken):
            return await self._send(method, path, headers | _bearer(self._login.token), body)
        kept = self._tokens.kept()
        token = await self._tokens.token(self._fetch_token)
        try:
            return await self._send(method, path, headers | _bearer(token), body)
        except GatewayRefused as refused:
            if refused.status != 401 or token != kept:
                raise
        self._tokens.forget(token)
        token = await self._tokens.token(self._fetch_token)
        return await self._send(method, path, headers | _bearer(token), body)

    async def _fetch_token(self) -> GrantedToken:
        """A new token. Raises `LoginRefused` and `GatewayUnavailable`."""
        match self._login:
            case PasswordLogin():
                return await self._log_in(self._login)
            case ClientCredentials():
                return await self._grant(self._login)
            case GivenToken() | None:
                raise AssertionError("only who logs in itself fetches a token")
            case _:
                assert_never(self._login)

    async def _log_in(self, login: PasswordLogin) -> GrantedToken:
        try:
            answer = await self._send("POST", "/v1/login", JSON, msgspec.json.encode(login))
            return msgspec.json.decode(answer, type=GrantedToken)
        except GatewayRefused as refused:
            raise LoginRefused(refused.status, refused.code) from None
        except msgspec.DecodeError:
            raise LoginRefused(200, "unreadable") from None

    async def _grant(self, credentials: ClientCredentials) -> GrantedToken:
        async def send(headers: dict[str, str], form: bytes) -> tuple[int, bytes]:
            status, answer, _ = await self._exchange("POST", "/oauth/token", headers, form)
            return status, answer

        try:
            return await credentials.fetch(send)
        except TokenRefused as refused:
            raise LoginRefused(refused.status, "token_refused") from None
        except TokenUnreadable:
            raise LoginRefused(200, "unreadable") from None

    async def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        """The body of a success. Raises `GatewayRefused` and `GatewayUnavailable`."""
        status, answer, retry_after = await self._exchange(method, path, headers, body)
        if status >= 400:
            raise _refused(status, answer, retry_after)
        return answer

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, str]:
        """The status, the whole body, and `Retry-After` or nothing. Raises `GatewayUnavailable`."""
        request = self._session.request(method, self._url + path, data=body or None, headers=headers | outgoing())
        async with _answering(request) as response:
            return response.status, await response.read(), response.headers.get("Retry-After", "")


@asynccontextmanager
async def _answering(
    request: AbstractAsyncContextManager[aiohttp.ClientResponse],
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The gateway's answer, to be read inside. Raises `GatewayUnavailable` where no whole one comes."""
    try:
        async with request as response:
            if response.status in NOT_KNOWN:
                raise GatewayUnavailable(f"HTTP {response.status}")
            yield response
    except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
        raise GatewayUnavailable(type(error).__name__) from error


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _refused(status: int, body: bytes, retry_after: str) -> GatewayRefused:
    """The problem in a body. `Retry-After` counts in seconds; the gateway never sends the form with a date."""
    wait_s = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 7 else 0.0
    try:
        read = msgspec.json.decode(body, type=ProblemRead)
    except msgspec.DecodeError:
        return GatewayRefused(status, "not JSON", retry_after_s=wait_s)  # a proxy's page, for example
    errors = tuple(read.errors or ())
    return GatewayRefused(status, read.code, read.detail, errors, wait_s, read.decline_code)


def _line(line: bytes, type: Any) -> Any:
    """A line of an answer, decoded. Raises `GatewayRefused` for a problem."""
    problem: ProblemLine = _decoded(line, ProblemLine)
    if problem.code:
        raise _refused(problem.status, line, "")
    return _decoded(line, type)


def _decoded(body: bytes, type: Any) -> Any:
    if not body and type is Any:  # 204
        return None
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.DecodeError as error:
        raise AnswerUnreadable("not the JSON that was expected") from error
