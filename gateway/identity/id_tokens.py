"""ID tokens: who logged in, when and how, signed for one client (OpenID Connect Core 1.0 §2)."""

from collections.abc import Callable
from typing import Any

from authlib.oidc.core.grants import OpenIDToken
from joserfc.jwk import ECKey
from sqlalchemy import Connection

from gateway.books import accounts
from gateway.identity.oauth_clients import RegisteredClient
from gateway.identity.oauth_grants import AppSession
from gateway.identity.signing_keys import ALGORITHM, SigningKey
from gateway.identity.tokens import ID_TOKEN
from schemas.times import now_micros

LifetimeOf = Callable[[RegisteredClient], int]  # seconds


class IdTokens(OpenIDToken):  # type: ignore[misc]  # Authlib has no types
    """Adds an ID token to what a code gives, with times of the wall clock: clients check them by theirs.

    A name, an address or a role is in it only where the person allowed the client to know it.
    """

    def __init__(self, conn: Connection, issuer: str, key: SigningKey, lifetime_of: LifetimeOf) -> None:
        self._conn = conn
        self._issuer = issuer
        self._key = key
        self._lifetime_of = lifetime_of

    def resolve_client_private_key(self, client: RegisteredClient) -> ECKey:
        """Ours, whoever asks."""
        return self._key.key

    def get_client_algorithm(self, client: RegisteredClient) -> str:
        """The one that all tokens are signed by."""
        return ALGORITHM

    def get_encode_header(self, client: RegisteredClient) -> dict[str, str]:
        """Names the key, and says that it is no access token."""
        return {"alg": ALGORITHM, "kid": self._key.kid, "typ": ID_TOKEN}

    def get_client_claims(self, client: RegisteredClient) -> dict[str, Any]:
        """From whom, for whom and until when."""
        now = now_micros() // 1_000_000
        return {"iss": self._issuer, "aud": client.row.id, "iat": now, "exp": now + self._lifetime_of(client)}

    def generate_user_info(self, user: AppSession, scope: str) -> dict[str, Any]:
        """Who it is, as far as the client may know."""
        known: dict[str, Any] = {"sub": user.grant.account_id, "sid": user.session_id}
        asked = scope.split()
        if "roles" in asked:
            known["roles"] = [user.grant.role]
        account = accounts.by_id(self._conn, user.grant.account_id)
        if account and "profile" in asked:
            known["name"] = account.name
        if account and account.email and "email" in asked:
            known |= {"email": account.email, "email_verified": account.email_confirmed_at is not None}
        return known
