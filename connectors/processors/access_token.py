"""PayPal's bearer token: fetched by client credentials, kept until shortly before it expires.

https://developer.paypal.com/api/rest/authentication/
"""

import asyncio
import base64
from typing import Annotated

import msgspec

from connectors.processors.response_checks import UNREADABLE
from connectors.processors.transport import HttpReply, HttpRequest, NotSent, Silence, Transport

EARLY_S = 60  # a token that expires on its way to PayPal is refused


class Granted(msgspec.Struct):
    """The answer of `POST /v1/oauth2/token`; `expires_in` in seconds."""

    access_token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+\Z")]  # what a header can carry
    expires_in: int


class AccessToken:
    """One token for all calls; concurrent callers wait for one fetch."""

    def __init__(self, transport: Transport, client: str, secret: str) -> None:
        credentials = base64.b64encode(f"{client}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
        self._request = HttpRequest("POST", "/v1/oauth2/token", headers, b"grant_type=client_credentials")
        self._transport = transport
        self._fetching = asyncio.Lock()
        self._text = ""
        self._good_until = 0.0  # time of the event loop, s

    async def text(self, until: float) -> str:
        """The token. Raises `NotSent` where none was to be had: then the call it is for was not sent either."""
        async with self._fetching:
            now = asyncio.get_running_loop().time()
            if now >= self._good_until:
                granted = await self._fetch(until)
                self._text, self._good_until = granted.access_token, now + granted.expires_in - EARLY_S
            return self._text

    def forget(self, text: str) -> None:
        """Fetch a new one next time: PayPal refused this one."""
        if text == self._text:
            self._good_until = 0.0

    async def _fetch(self, until: float) -> Granted:
        try:
            return _granted(await self._transport.send(self._request, until))
        except (Silence, *UNREADABLE) as error:
            raise NotSent("no access token") from error


def _granted(reply: HttpReply) -> Granted:
    if reply.status != 200:
        raise ValueError(f"HTTP {reply.status}")
    return msgspec.json.decode(reply.body, type=Granted)
