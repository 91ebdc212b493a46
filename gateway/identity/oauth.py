"""OAuth 2.1 for services: the client credentials grant, by Authlib, inside a transaction on the books.

Authlib's server is synchronous, so each request makes one over its own connection.
"""

import hmac
from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from sqlalchemy import Connection

from gateway.books import clients
from gateway.books.clients import OAuthClient
from gateway.identity.tokens import LIFETIME_S, AccessTokens, hash_secret
from schemas.times import steady_micros

TokenResponse = tuple[int, Any, list[tuple[str, str]]]  # status, JSON body, headers


class TokenRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A token request as Authlib reads it."""

    def __init__(self, headers: Mapping[str, str], fields: dict[str, str]) -> None:
        # Authlib looks at nothing of the address but whether it is safe. That is settled by `GatewaySettings`, for
        # names below `localhost` too, which Authlib does not know.
        super().__init__("POST", "https://localhost/oauth/token", headers=headers)
        self.payload = BasicOAuth2Payload(fields)

    @property
    def form(self) -> dict[str, str]:
        """The fields of the body."""
        fields: dict[str, str] = self.payload.data
        return fields


class ServiceClient(ClientMixin):  # type: ignore[misc]
    """A row of `clients`, with the checks that Authlib calls."""

    def __init__(self, row: OAuthClient, secrets: list[bytes]) -> None:
        self.row = row
        self._secrets = secrets

    def check_client_secret(self, given: str) -> bool:
        """Whether the secret is the client's, in constant time."""
        hashed = hash_secret(given)
        return any(hmac.compare_digest(hashed, secret) for secret in self._secrets)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether `method` is allowed: the secret in the Authorization header or in the body."""
        return method in CredentialsGrant.TOKEN_ENDPOINT_AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether `grant_type` is allowed: a service acts in its own name only."""
        return bool(grant_type == ClientCredentialsGrant.GRANT_TYPE)

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The scopes to grant: by default all of the client's; None (an error) if it asks for one it lacks."""
        wanted = set((scope or self.row.scopes).split())
        return " ".join(sorted(wanted)) if wanted <= set(self.row.scopes.split()) else None


class CredentialsGrant(ClientCredentialsGrant):  # type: ignore[misc]
    """The client credentials grant (RFC 6749 §4.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server over one connection."""

    def __init__(self, conn: Connection, tokens: AccessTokens) -> None:
        super().__init__()
        self._conn = conn
        self._tokens = tokens
        self.register_grant(CredentialsGrant)
        self.register_token_generator("default", BearerTokenGenerator(self._sign, expires_generator=LIFETIME_S))

    def query_client(self, client_id: str) -> ServiceClient | None:
        """The client with that id; None where there is none."""
        row = clients.by_id(self._conn, client_id) if "\0" not in client_id else None  # PostgreSQL takes none
        now = steady_micros()
        good = row is not None and row.is_good(now)
        return ServiceClient(row, clients.secrets_of(self._conn, client_id, now)) if row and good else None

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Nothing to save: access tokens are signed, not stored."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing to send: the gateway uses no signals."""

    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        """The request as it is: the route has made it already."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> TokenResponse:
        """The parts of the response; the route makes HTTP of them."""
        return status, body if isinstance(body, dict) else dict(body), headers

    def _sign(self, client: ServiceClient, scope: str, **_grant: Any) -> str:
        return self._tokens.sign(client.row.id, "service", frozenset(scope.split()))


def token_response(conn: Connection, tokens: AccessTokens, form: TokenRequest) -> TokenResponse:
    """The response to a token request: status, body and headers (RFC 6749 §5)."""
    response: TokenResponse = TokenServer(conn, tokens).create_token_response(form)
    return response
