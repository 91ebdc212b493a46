"""PayPal's bearer tokens. Each carries its own expiry and a MAC, so it stays valid when the twin restarts."""

import hmac
import secrets
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from connectors.sandbox.http_shapes import ReceivedRequest, TwinRefusal, TwinReply, json_reply
from connectors.sandbox.paypal.wire_replies import refusal
from schemas.times import steady_micros

LIFETIME_S = 32_400
PREFIX = "A21AA"


class PayPalTokenIssuer:
    """Issues and checks the tokens of one client. What a secret brought ends with that secret."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._keys: dict[bytes, bytes] = {}  # Authorization header -> secret

    def accept(self, secrets: Sequence[str]) -> None:
        """Take these secrets from now on, and no others."""
        users = {secret: f"{self._client}:{secret}".encode() for secret in secrets}
        self._keys = {b"Basic " + b64encode(user): secret.encode() for secret, user in users.items()}

    def grant(self, received: ReceivedRequest) -> TwinReply:
        """`POST /v1/oauth2/token`. Raises `TwinRefusal`."""
        given = received.header("Authorization").encode()
        key = next((key for known, key in self._keys.items() if hmac.compare_digest(given, known)), None)
        if key is None:
            raise token_refusal(401, "invalid_client", "Client Authentication failed")
        if received.form().get("grant_type") != "client_credentials":
            raise token_refusal(400, "unsupported_grant_type", "Grant Type is NULL or unsupported")
        until = str(steady_micros() // 1_000_000 + LIFETIME_S).encode()
        token = PREFIX + urlsafe_b64encode(until + b"." + _mac(key, until)).decode()
        return token_reply(token, self._client, LIFETIME_S)

    def check(self, received: ReceivedRequest) -> None:
        """Check that the request has a token issued here that has not expired. Raises `TwinRefusal`."""
        scheme, _, token = received.header("Authorization").partition(" ")
        if scheme != "Bearer" or not self._good(token):
            raise refusal(401, "INVALID_ACCESS_TOKEN", "The token is unknown or has expired.")

    def _good(self, token: str) -> bool:
        try:
            until, _, mac = urlsafe_b64decode(token.removeprefix(PREFIX)).partition(b".")
        except ValueError:
            return False
        made_here = any(hmac.compare_digest(mac, _mac(key, until)) for key in self._keys.values())
        return made_here and int(until) > steady_micros() // 1_000_000


def _mac(key: bytes, until: bytes) -> bytes:
    return hmac.digest(key, until, "sha256")


def token_reply(token: str, client: str, lifetime_s: int) -> TwinReply:
    """`POST /v1/oauth2/token`."""
    body = {
        "scope": "https://uri.paypal.com/services/payments/payment/authcapture",
        "access_token": token,
        "token_type": "Bearer",
        "app_id": f"APP-{client}",
        "expires_in": lifetime_s,
        "nonce": secrets.token_hex(16),
    }
    return json_reply(200, body)


def token_refusal(status: int, error: str, description: str) -> TwinRefusal:
    """An error in OAuth's own format (RFC 6749 section 5.2)."""
    return TwinRefusal(json_reply(status, {"error": error, "error_description": description}))
