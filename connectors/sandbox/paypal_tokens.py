"""PayPal's bearer tokens: they say themselves until when they are good, so a restart of the twin ends none."""

import hmac
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode

from connectors.sandbox.paypal_replies import refusal, token_refusal, token_reply
from connectors.sandbox.wire import Arrival, Reply

LIFETIME_S = 32_400
PREFIX = "A21AA"


class Tokens:
    """Gives tokens to one client, and knows them again."""

    def __init__(self, client: str, secret: str) -> None:
        self._client = client
        self._key = secret.encode()
        self._authorization = b"Basic " + b64encode(f"{client}:{secret}".encode())

    def grant(self, arrival: Arrival) -> Reply:
        """`POST /v1/oauth2/token`. Raises `Refusal`."""
        if not hmac.compare_digest(arrival.header("Authorization").encode(), self._authorization):
            raise token_refusal(401, "invalid_client", "Client Authentication failed")
        if arrival.form().get("grant_type") != "client_credentials":
            raise token_refusal(400, "unsupported_grant_type", "Grant Type is NULL or unsupported")
        until = str(int(time.time()) + LIFETIME_S).encode()
        token = PREFIX + urlsafe_b64encode(until + b"." + self._mac(until)).decode()
        return token_reply(token, self._client, LIFETIME_S)

    def check(self, arrival: Arrival) -> None:
        """Raises `Refusal` unless the request carries a token of ours that has not expired."""
        scheme, _, token = arrival.header("Authorization").partition(" ")
        if scheme != "Bearer" or not self._good(token):
            raise refusal(401, "INVALID_ACCESS_TOKEN", "The token is unknown or has expired.")

    def _good(self, token: str) -> bool:
        try:
            until, _, mac = urlsafe_b64decode(token.removeprefix(PREFIX)).partition(b".")
        except ValueError:
            return False
        return hmac.compare_digest(mac, self._mac(until)) and int(until) > time.time()

    def _mac(self, until: bytes) -> bytes:
        return hmac.digest(self._key, until, "sha256")
