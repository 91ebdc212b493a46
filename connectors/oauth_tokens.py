"""Bearer tokens by the client credentials grant (RFC 6749 §4.4), kept until shortly before they expire."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from connectors.secret_files import Secret, text_of

REFUSES_CLIENTS = frozenset({400, 401})  # `invalid_client` of RFC 6749 §5.2

# Sends a form (headers, body) to a token endpoint; returns the HTTP status and the body of the answer.
SendForm = Callable[[dict[str, str], bytes], Awaitable[tuple[int, bytes]]]


class TokenRefused(Exception):
    """The token endpoint answered with another `status` than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class TokenUnreadable(Exception):
    """The token endpoint's answer holds no token that a header can carry."""


class GrantedToken(msgspec.Struct, frozen=True):
    """A token as RFC 6749 §5.1 answers it; `expires_in` in seconds. Its text form shows no token."""

    access_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+\Z")]  # what a header can carry
    expires_in: float

    def __repr__(self) -> str:
        return f"GrantedToken(expires_in={self.expires_in})"

    __str__ = __repr__


class ClientCredentials:
    """The id and secret of a client, and the `scope` it asks for; an empty one is left out."""

    def __init__(self, client_id: str, secret: Secret, scope: str = "") -> None:
        self._client_id, self._secret = client_id, secret
        form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._body = urlencode(form).encode()

    async def fetch(self, send: SendForm) -> GrantedToken:
        """A new token. Raises `TokenRefused`, `TokenUnreadable`, `SecretMissing`, and whatever `send` raises.

        Where the secret is refused, and another one has taken its place meanwhile, that is tried too.
        """
        used = text_of(self._secret)
        status, body = await send(self._headers(used), self._body)
        if status in REFUSES_CLIENTS and (present := text_of(self._secret)) != used:
            status, body = await send(self._headers(present), self._body)
        if status != 200:
            raise TokenRefused(status)
        try:
            return msgspec.json.decode(body, type=GrantedToken)
        except (ValueError, RecursionError) as error:
            raise TokenUnreadable(type(error).__name__) from error

    def _headers(self, secret: str) -> dict[str, str]:
        basic = base64.b64encode(f"{self._client_id}:{secret}".encode()).decode()
        return {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}


class TokenCache:
    """One token for all calls; concurrent callers wait for one fetch. Belongs to one event loop."""

    def __init__(self, renew_early_s: float) -> None:
        """`renew_early_s`: how long before its expiry a token is not used any more."""
        self._renew_early_s = renew_early_s
        self._fetching = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0  # time of the event loop, s

    def kept(self) -> str:
        """The token that the next call will use; empty where it will fetch one."""
        return self._token if asyncio.get_running_loop().time() < self._good_until else ""

    async def token(self, fetch: Callable[[], Awaitable[GrantedToken]]) -> str:
        """The token, from `fetch` where none is kept. Raises whatever `fetch` raises."""
        async with self._fetching:
            if not self.kept():
                # Counted from before the fetch: the lifetime began when the server granted the token.
                began = asyncio.get_running_loop().time()
                granted = await fetch()
                self._token, self._good_until = (
                    granted.access_token,
                    began + granted.expires_in - self._renew_early_s,
                )
            return self._token

    def forget(self, token: str) -> None:
        """Fetch a new token next time, because this one was refused; another one is kept."""
        if token == self._token:
            self._good_until = 0.0
