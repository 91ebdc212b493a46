"""What tokens are given for: a code that somebody allowed, a refresh token, a secret (RFC 6749 §4 and §6)."""

import re
from secrets import token_urlsafe
from typing import Any

import msgspec
from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from sqlalchemy import Connection

from gateway.books import audit, authorization_codes, sessions
from gateway.books.audit import Act
from gateway.books.authorization_codes import AuthorizationCode
from gateway.books.sessions import SessionGrant
from gateway.identity.oauth_clients import SECRET_METHODS, RegisteredClient
from gateway.identity.refreshing import rotate
from gateway.identity.tokens import hash_secret
from gateway.policy import MINUTE_US
from schemas.ids import new_id
from schemas.times import steady_micros

CODE_US = MINUTE_US  # RFC 6749 §4.1.2: ten minutes at most; a client comes at once
METHODS = ("none", *SECRET_METHODS)
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # the base64url of a SHA-256


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A person in a browser who allows a client something: who, since when, and how they proved it.

    `auth_time`: seconds by the wall clock. `amr`: by RFC 8176. `scopes`: what the account may, of what was asked.
    """

    account_id: str
    parent_id: str
    auth_time: int
    amr: str
    scopes: frozenset[str]


class AppSession(msgspec.Struct, frozen=True, kw_only=True):
    """The session of a person in an app, and what a token may do there. `refresh_token`: the next, if known."""

    session_id: str
    grant: SessionGrant
    scopes: str
    refresh_token: str = ""

    def check_client(self, client: RegisteredClient) -> bool:
        """Whether it is that client's."""
        return bool(self.grant.client_id == client.row.id)

    def get_scope(self) -> str:
        """What the person allowed."""
        return self.scopes


class StoredCode(msgspec.Struct, frozen=True):
    """A code as Authlib asks about it."""

    row: AuthorizationCode

    def get_redirect_uri(self) -> str:
        """Where it was sent."""
        return self.row.redirect_uri

    def get_scope(self) -> str:
        """What the person allowed."""
        return self.row.scopes

    def get_nonce(self) -> str:
        """What the client put into its request, to find in the ID token."""
        return self.row.nonce

    def get_auth_time(self) -> int:
        """When the person logged in, in seconds."""
        return self.row.auth_time

    def get_acr(self) -> None:
        """No class is claimed."""

    def get_amr(self) -> list[str]:
        """How they did."""
        return self.row.amr.split()


class S256Only(CodeChallenge):  # type: ignore[misc]
    """PKCE for every client, by S256 alone (RFC 9700 §2.1.1). Authlib would take `plain`, and none at all."""

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Refuse a request without a challenge, or by another method: where none is named, that is `plain`."""
        given = grant.request.payload.data
        challenge, method = given.get("code_challenge", ""), given.get("code_challenge_method")
        if method != "S256" or not CHALLENGE.fullmatch(challenge):
            raise InvalidRequestError("A code_challenge by the method S256 is needed.")

    def get_authorization_code_challenge(self, authorization_code: StoredCode) -> str:
        """That of the request for the code."""
        return authorization_code.row.code_challenge

    def get_authorization_code_challenge_method(self, authorization_code: StoredCode) -> str:
        """There is no other."""
        return "S256"


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """A code, which is good once."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def generate_authorization_code(self) -> str:
        """256 random bits."""
        return token_urlsafe(32)

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Write down what the person of the request allows."""
        given, login = request.payload.data, request.user
        row = AuthorizationCode(
            hash=hash_secret(code),
            client_id=request.client.row.id,
            account_id=login.account_id,
            parent_id=login.parent_id,
            redirect_uri=given["redirect_uri"],
            scopes=" ".join(sorted(login.scopes)),
            nonce=given.get("nonce", ""),
            code_challenge=given["code_challenge"],
            auth_time=login.auth_time,
            amr=login.amr,
            expires_at=steady_micros() + CODE_US,
        )
        authorization_codes.add(self.server.conn, row)

    def query_authorization_code(self, code: str, client: RegisteredClient) -> StoredCode | None:
        """The code, if it is the client's and good. It is used up by whoever brings it: then it has leaked."""
        conn, code_hash = self.server.conn, hash_secret(code)
        row = authorization_codes.redeem(conn, code_hash, new_id("ses"), steady_micros())
        if row is None:
            _revoke_replayed(conn, code_hash)
            return None
        return StoredCode(row) if row.client_id == client.row.id else None

    def delete_authorization_code(self, authorization_code: StoredCode) -> None:
        """It was used up already, by the one statement that found it."""

    def authenticate_user(self, authorization_code: StoredCode) -> AppSession | None:
        """The session that begins; None where the login that it was allowed in has ended."""
        row = authorization_code.row
        parent = sessions.granted(self.server.conn, row.parent_id)
        if parent is None or parent.account_id != row.account_id or row.session_id is None:
            return None
        return AppSession(session_id=row.session_id, grant=parent, scopes=row.scopes)


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
    """A refresh token, which is good once."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> AppSession | None:
        """The session, whose refresh token is the next one now."""
        server, client_id = self.server, self.request.client.row.id
        rotated = rotate(server.conn, server.key, refresh_token, client_id)
        if rotated is None:
            return None
        return AppSession(
            session_id=rotated.session_id,
            grant=rotated.grant,
            scopes=rotated.grant.scopes,
            refresh_token=rotated.refresh_token,
        )

    def authenticate_user(self, refresh_token: AppSession) -> AppSession:
        """Who it is of."""
        return refresh_token

    def revoke_old_credential(self, refresh_token: AppSession) -> None:
        """It was used up already, by the one statement that found it."""


class CredentialsGrant(ClientCredentialsGrant):  # type: ignore[misc]
    """A client's own secret."""

    TOKEN_ENDPOINT_AUTH_METHODS = SECRET_METHODS

    def validate_requested_scope(self) -> None:
        """Refuse what the client may not have: it knows what it was registered for."""
        asked = (self.request.payload.scope or "").split()
        if not set(asked) <= set(self.request.client.row.scopes.split()):
            raise InvalidScopeError


def _revoke_replayed(conn: Connection, code_hash: bytes) -> None:
    """A code that comes again was stolen, by one of the two: what it gave ends (RFC 6749 §4.1.2)."""
    session_id = authorization_codes.gave(conn, code_hash)
    session = sessions.by_id(conn, session_id) if session_id else None
    if session and session.revoked_at is None:
        sessions.revoke(conn, session.id)
        audit.record(conn, Act("session_revoked", "", session.id, {"reason": "code_reused"}))
