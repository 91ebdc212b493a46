"""Whom to tell: the gateway is asked when a message is sent, so a change of mind counts at once."""

import asyncio
import secrets
import time
from collections import OrderedDict
from urllib.parse import quote

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, encode_basic_auth

from schemas.notifications import Recipient

CLIENT = "notifications"
SECRET_FILE = "notifications.secret"  # noqa: S105 (the name of a file)
REMEMBERED_S = 1.0  # one burst of a customer's payments is one question; nothing personal is kept for longer
RENEW_S = 30  # before a token expires
TIMEOUT = ClientTimeout(total=5, connect=2)

Answer = Recipient | None


class GatewayAway(Exception):
    """The gateway did not say whom to tell; the reason is a code, with nothing personal in it."""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: int


class Recipients:
    """Asks for recipients. Belongs to the event loop that made it."""

    def __init__(self, gateway_url: str, secret: str) -> None:
        """`secret` is that of the service client `notifications`."""
        self._session = ClientSession(gateway_url, timeout=TIMEOUT, raise_for_status=False)
        self._auth = {"Authorization": encode_basic_auth(CLIENT, secret)}
        self._token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()
        self._asked: OrderedDict[str, tuple[float, asyncio.Task[Answer]]] = OrderedDict()

    async def ask(self, account: str) -> Answer:
        """The recipient of an account; None where there is no such account. Raises `GatewayAway`."""
        self._forget()
        if account not in self._asked:
            self._asked[account] = time.monotonic(), asyncio.create_task(self._ask(account))
        try:
            return await self._asked[account][1]
        except GatewayAway:
            self._asked.pop(account, None)
            raise

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    def _forget(self) -> None:
        limit = time.monotonic() - REMEMBERED_S
        while self._asked and next(iter(self._asked.values()))[0] < limit:
            self._asked.popitem(last=False)

    async def _ask(self, account: str) -> Answer:
        path = f"/v1/accounts/{quote(account, safe='')}/recipient"
        status, body = await self._get(path, await self._valid_token())
        if status == 401:  # the gateway has new keys, or has forgotten us: ask it for a new token, once
            self._renew_at = 0
            status, body = await self._get(path, await self._valid_token())
        if status == 404:
            return None
        if status != 200:
            raise GatewayAway(f"gateway_{status}")
        try:
            return msgspec.json.decode(body, type=Recipient)
        except ValueError:
            raise GatewayAway("gateway_unreadable") from None

    async def _get(self, path: str, token: str) -> tuple[int, bytes]:
        try:
            async with self._session.get(path, headers={"Authorization": f"Bearer {token}"}) as response:
                return response.status, await response.read()
        except (ClientError, OSError, TimeoutError):
            raise GatewayAway("gateway_unreachable") from None

    async def _valid_token(self) -> str:
        async with self._renewing:
            if time.monotonic() >= self._renew_at:
                token = await self._new_token()
                self._token, self._renew_at = (
                    token.access_token,
                    time.monotonic() + max(1, token.expires_in - RENEW_S),
                )
            return self._token

    async def _new_token(self) -> _Token:
        form = {"grant_type": "client_credentials", "scope": "contacts:read"}
        try:
            async with self._session.post("/oauth/token", data=form, headers=self._auth) as response:
                return await _token(response)
        except (ClientError, OSError, TimeoutError):
            raise GatewayAway("gateway_unreachable") from None


async def _token(response: ClientResponse) -> _Token:
    """The token of RFC 6749 §5.1. Raises `GatewayAway`."""
    if response.status != 200:
        raise GatewayAway(f"token_{response.status}")
    try:
        return msgspec.json.decode(await response.read(), type=_Token)
    except ValueError:
        raise GatewayAway("token_unreadable") from None


def new_secret() -> bytes:
    """A secret for the service client, where the local profile has none yet."""
    return secrets.token_urlsafe(32).encode()
