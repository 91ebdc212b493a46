"""PayPal's bearer tokens. Each carries its own expiry and a MAC, so it stays valid when the twin restarts."""

import hmac
import secrets
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode

from connectors.sandbox.http_shapes import ReceivedRequest, TwinRefusal, TwinReply, json_reply
from connectors.sandbox.paypal.wire_replies import refusal
from schemas.times import steady_micros

LIFETIME_S = 32_400
PREFIX = "A21AA"


class PayPalTokenIssuer:
    """Issues and checks the tokens of one client."""

    def __init__(self, client: str, secret: str) -> None:
        self._client = client
        self._key = secret.encode()
        self._authorization = b"Basic " + b64encode(f"{client}:{secret}".encode())

    def grant(self, received: ReceivedRequest) -> TwinReply:
        """`POST /v1/oauth2/token`. Raises `TwinRefusal`."""
        if not hmac.compare_digest(received.header("Authorization").encode(), self._authorization):
            raise token_refusal(401, "invalid_client", "Client Authentication failed")
        if received.form().get("grant_type") != "client_credentials":
            raise token_refusal(400, "unsupported_grant_type", "Grant Type is NULL or unsupported")
        until = str(steady_micros() // 1_000_000 + LIFETIME_S).encode()
        token = PREFIX + urlsafe_b64encode(until + b"." + self._mac(until)).decode()
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
        return hmac.compare_digest(mac, self._mac(until)) and int(until) > steady_micros() // 1_000_000

    def _mac(self, until: bytes) -> bytes:
        return hmac.digest(self._key, until, "sha256")


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
