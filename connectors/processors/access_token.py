"""PayPal's bearer token, fetched within the deadline of the call that needs it.

https://developer.paypal.com/api/rest/authentication/
"""

from connectors.oauth_tokens import ClientCredentials, GrantedToken, TokenCache, TokenRefused, TokenUnreadable
from connectors.processors.transport import HttpRequest, NotSent, Silence, Transport
from connectors.secret_files import Secret

EARLY_S = 60  # a token that expires on its way to PayPal is refused


class AccessToken:
    """One token for all calls; concurrent callers wait for one fetch."""

    def __init__(self, transport: Transport, client_id: str, secret: Secret) -> None:
        self._transport = transport
        self._credentials = ClientCredentials(client_id, secret)
        self._cache = TokenCache(EARLY_S)

    async def text(self, until: float) -> str:
        """The token. Raises `NotSent` where none was to be had: then the call it is for was not sent either."""
        return await self._cache.token(lambda: self._fetch(until))

    def forget(self, text: str) -> None:
        """Fetch a new one next time: PayPal refused this one."""
        self._cache.forget(text)

    async def _fetch(self, until: float) -> GrantedToken:
        async def send(headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            reply = await self._transport.send(HttpRequest("POST", "/v1/oauth2/token", headers, body), until)
            return reply.status, reply.body

        # The money call was not sent, so even a token request without an answer leaves nothing unknown.
        try:
            return await self._credentials.fetch(send)
        except (Silence, TokenRefused, TokenUnreadable) as error:
            raise NotSent("no access token") from error
