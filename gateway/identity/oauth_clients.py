"""A registered client as Authlib asks about it: its secret, its addresses, its grants and its scopes."""

import hmac
from typing import Any
from urllib.parse import urlsplit

import msgspec
from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import Connection

from gateway.books import clients
from gateway.books.clients import OAuthClient
from gateway.identity.tokens import hash_secret
from gateway.roles import ROLE_SCOPES
from schemas.times import steady_micros

# What a person may let an app know of them (OpenID Connect Core 1.0 §5.4 and §11), beside the scopes of the API.
IDENTITY_SCOPES: dict[str, str] = {
    "openid": "Know that it is you.",
    "profile": "See your name.",
    "email": "See your e-mail address.",
    "roles": "See your role.",
    "offline_access": "Stay logged in while you are away.",
}
# The scopes that an app may ask a customer for, in the words of who is asked; the others are for those who read
# the reference (`gateway.roles.SCOPES`).
ASKED_SCOPES: dict[str, str] = {
    "account": "See and change your name, phone and language, and what you are told.",
    "cards:read": "See your cards, without their numbers.",
    "cards:write": "Add and remove your cards.",
    "payments:read": "See your payments.",
    "payments:write": "Pay in your name, and cancel payments that wait for you.",
}
LOOPBACK = ("127.0.0.1", "::1")
SECRET_METHODS = ("client_secret_basic", "client_secret_post")


class RegisteredClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A row of `clients` that is good now, with the checks that Authlib calls. `secrets`: hashes of good ones."""

    def __init__(self, row: OAuthClient, secrets: list[bytes]) -> None:
        self.row = row
        self._secrets = secrets
        self.redirect_uris: list[str] = msgspec.json.decode(row.redirect_uris)
        self.is_public = row.type == "public"
        self.is_ours = row.account_id is None

    @property
    def client_metadata(self) -> dict[str, Any]:
        """What Authlib's logout reads."""
        return {"post_logout_redirect_uris": msgspec.json.decode(self.row.post_logout_redirect_uris)}

    def get_client_id(self) -> str:
        """Its id."""
        return self.row.id

    def get_default_redirect_uri(self) -> None:
        """None: each request names one, which is compared (RFC 9700 §2.1)."""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it is registered, letter by letter, but for the port of a native app's loopback address."""
        if redirect_uri in self.redirect_uris:
            return True
        portless = _without_port(redirect_uri) if self.is_public else None
        return portless is not None and portless in self.redirect_uris

    def check_client_secret(self, given: str) -> bool:
        """Whether the secret is the client's, in constant time; a public client has none."""
        hashed = hash_secret(given)
        return any(hmac.compare_digest(hashed, secret) for secret in self._secrets)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """A public client cannot prove who it is; any other proves it by its secret."""
        return method == "none" if self.is_public else method in SECRET_METHODS

    def check_response_type(self, response_type: str) -> bool:
        """A code and nothing else (RFC 9700 §2.1.2)."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Logins are for clients with an address to come back to, its own name for those with a secret.

        One of ours in which people log in never acts in its own name: its scopes are those of all of them.
        """
        match grant_type:
            case "authorization_code" | "refresh_token":
                return bool(self.redirect_uris)
            case "client_credentials":
                return not self.is_public and not (self.is_ours and self.redirect_uris)
            case _:
                return False

    def get_allowed_scope(self, scope: str | None) -> str:
        """Of the scopes asked for those that it may have; all of its own where it asks for none.

        What nobody knows is ignored (OpenID Connect Core 1.0 §3.1.2.1).
        """
        own = frozenset(self.row.scopes.split())
        if self.is_public:
            own &= ROLE_SCOPES["customer"]
        asked = frozenset((scope or "").split()) or own
        return " ".join(sorted(asked & (own | IDENTITY_SCOPES.keys())))


def find_client(conn: Connection, client_id: str) -> RegisteredClient | None:
    """The client of that id; None where it may do nothing any more, as `clients.granted` says."""
    if "\0" in client_id:  # PostgreSQL takes none
        return None
    row, now = clients.by_id(conn, client_id), steady_micros()
    if row is None or clients.granted(conn, client_id, now) is None:
        return None
    return RegisteredClient(row, clients.secrets_of(conn, client_id, now))


def _without_port(url: str) -> str | None:
    """A loopback address without its port, which a native app learns when it starts (RFC 8252 §7.3).

    None for any other: `localhost` may be somebody else's (§8.3).
    """
    try:
        at = urlsplit(url)
        port = at.port
    except ValueError:
        return None
    if at.scheme != "http" or at.hostname not in LOOPBACK or port is None:
        return None
    return url.replace(f":{port}/", "/", 1) if at.netloc.endswith(f":{port}") else None
