"""OAuth 2.1 and OpenID Connect by Authlib, inside a transaction on the books.

Authlib's server is synchronous, so each request makes one over its own connection.
"""

from collections.abc import Callable, Mapping
from secrets import token_urlsafe
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidGrantError, OAuth2Request, UnsupportedTokenTypeError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7009 import RevocationEndpoint
from sqlalchemy import Connection

from gateway.books import audit, sessions
from gateway.books.audit import Act
from gateway.books.sessions import SessionRow
from gateway.identity.id_tokens import IdTokens
from gateway.identity.logins import lasts_us
from gateway.identity.oauth_clients import RegisteredClient, find_client
from gateway.identity.oauth_grants import METHODS, AppSession, CodeGrant, CredentialsGrant, RefreshGrant, S256Only
from gateway.identity.tokens import LIFETIME_S, AccessTokens, NotAuthenticated, hash_secret
from schemas.times import now_micros, steady_micros

# A server of ours that people log in to asks us at each of their steps whether their session goes on, and has no
# refresh token in their browser: its tokens last a working day (docs/decisions/0041).
WORKING_DAY_S = 8 * 60 * 60

TokenResponse = tuple[int, Any, list[tuple[str, str]]]  # status, JSON body, headers
Answering = Callable[[Connection, AccessTokens, bytes, "ProviderRequest"], TokenResponse]


class ProviderRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A request as Authlib reads it. `fields`: of its body or its query, each once."""

    def __init__(self, method: str, fields: dict[str, str], headers: Mapping[str, str] | None = None) -> None:
        # Authlib looks at nothing of the address but whether it is safe. That is settled by `GatewaySettings`, for
        # names below `localhost` too, which Authlib does not know.
        super().__init__(method, "https://localhost/oauth", headers=headers)
        self.payload = BasicOAuth2Payload(fields)

    @property
    def form(self) -> dict[str, str]:
        """The fields of the body."""
        fields: dict[str, str] = self.payload.data
        return fields


class Provider(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server over one connection. `key` makes refresh tokens."""

    def __init__(self, conn: Connection, tokens: AccessTokens, key: bytes) -> None:
        super().__init__()
        self.conn = conn
        self.key = key
        self.tokens = tokens
        id_tokens = IdTokens(conn, tokens.issuer, tokens.keys.current(), lifetime_of)
        self.register_grant(CodeGrant, [S256Only(), id_tokens])
        self.register_grant(RefreshGrant)
        self.register_grant(CredentialsGrant)
        self.register_endpoint(Revocation)
        self.register_token_generator("default", self._issue)

    def query_client(self, client_id: str) -> RegisteredClient | None:
        """The client with that id, if it may do anything now."""
        return find_client(self.conn, client_id)

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Begin the session that a code gives. Access tokens are signed, not stored."""
        app, client = request.user, request.client
        if request.authorization_code is None:
            return
        now, row = now_micros(), request.authorization_code.row
        session = SessionRow(
            id=app.session_id,
            account_id=app.grant.account_id,
            created_at=now,
            kind="app",
            client_id=client.row.id,
            scopes=app.scopes,
            device=client.row.name,
            parent_id=row.parent_id,
            second_factor_at=app.grant.second_factor_at,
            last_used_at=now,
        )
        # One that was given no refresh token has a row all the same, which keeps the session from being pruned.
        newest = hash_secret(token.get("refresh_token") or token_urlsafe(32))
        sessions.start(self.conn, session, newest, steady_micros() + lasts_us(app.grant.role))
        audit.record(self.conn, Act("login", session.account_id, session.id, {"client_id": client.row.id}))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing to send: the gateway uses no signals."""

    def create_oauth2_request(self, request: ProviderRequest) -> ProviderRequest:
        """The request as it is: the route has made it already."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> TokenResponse:
        """The parts of the response; the route makes HTTP of them."""
        return status, body if isinstance(body, dict | str) else dict(body), headers

    def _issue(
        self, *, client: RegisteredClient, user: AppSession | None, scope: str, **_grant: Any
    ) -> dict[str, Any]:
        """What a token request is answered (RFC 6749 §5.1)."""
        if user is None:
            return self._issue_to_client(client, scope)
        grant, lifetime_s = user.grant, lifetime_of(client)
        scopes = frozenset(scope.split())
        made = {
            "access_token": self.tokens.sign(
                grant.account_id,
                grant.role,
                scopes,
                user.session_id,
                client_id=client.row.id,
                lifetime_s=lifetime_s,
            ),
            "token_type": "Bearer",
            "expires_in": lifetime_s,
            "scope": scope,
        }
        if user.refresh_token or "offline_access" in scopes:
            made["refresh_token"] = user.refresh_token or token_urlsafe(32)
        return made

    def _issue_to_client(self, client: RegisteredClient, scope: str) -> dict[str, Any]:
        allowed = client.get_allowed_scope(scope)
        token = self.tokens.sign(client.row.id, "service", frozenset(allowed.split()), client_id=client.row.id)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_S, "scope": allowed}


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """RFC 7009: with one token of a session all of it ends."""

    CLIENT_AUTH_METHODS = METHODS

    def authenticate_token(self, request: ProviderRequest, client: RegisteredClient) -> SessionRow | None:
        """The session of the token; None for what is no token (any more), which is no error (§2.2)."""
        self.check_params(request, client)
        session = self._session(request.form["token"])
        if session and session.client_id != client.row.id:
            raise InvalidGrantError
        return session

    def revoke_token(self, token: SessionRow, request: ProviderRequest) -> None:
        """End the session."""
        sessions.revoke(self.server.conn, token.id)
        act = Act("session_revoked", request.client.row.id, token.id, {"reason": "token_revoked"})
        audit.record(self.server.conn, act)

    def _session(self, token: str) -> SessionRow | None:
        if found := sessions.by_refresh_token(self.server.conn, hash_secret(token)):
            return found
        try:
            claims = self.server.tokens.verify(token)
        except NotAuthenticated:
            return None
        if not claims.sid:  # a client's own: it runs out by itself
            raise UnsupportedTokenTypeError
        return sessions.by_id(self.server.conn, claims.sid)


def lifetime_of(client: RegisteredClient) -> int:
    """For how many seconds what a person's login gives the client is good."""
    return WORKING_DAY_S if client.is_ours and not client.is_public else LIFETIME_S


def token_response(conn: Connection, tokens: AccessTokens, key: bytes, form: ProviderRequest) -> TokenResponse:
    """The response to a token request: status, body and headers (RFC 6749 §5)."""
    response: TokenResponse = Provider(conn, tokens, key).create_token_response(form)
    return response


def revocation_response(
    conn: Connection, tokens: AccessTokens, key: bytes, form: ProviderRequest
) -> TokenResponse:
    """The response to a request to revoke a token (RFC 7009 §2.2)."""
    response: TokenResponse = Provider(conn, tokens, key).create_endpoint_response("revocation", form)
    return response
