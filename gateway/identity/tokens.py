"""Access tokens: JWTs signed with ES256 (RFC 9068), verified once and then remembered until they expire.

They are for this gateway alone, and their times are those of its steady clock: a wall clock that is set ends none
and prolongs none. An ID token is signed by the same keys, is for others, and is none.
"""

import hashlib
from secrets import token_urlsafe
from typing import Any

import msgspec
from cachetools import LRUCache
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey

from gateway.identity.signing_keys import ALGORITHM, SigningKeys
from gateway.refusals import Refusal
from schemas.times import steady_micros

AUDIENCE = "sluice"
# The header's `typ`, by which neither passes for the other (RFC 8725 §3.11).
ACCESS_TOKEN, ID_TOKEN = "at+jwt", "JWT"
LIFETIME_S = 15 * 60
REMEMBERED_MAX = 10_000
LENGTH_MAX = 4_096


class NotAuthenticated(Refusal):
    """A valid access token is needed."""


def hash_secret(secret: str) -> bytes:
    """The hash of a random secret (a client's, a refresh token) that the books store: 256 bits need no salt."""
    return hashlib.sha256(secret.encode()).digest()


class Claims(msgspec.Struct, frozen=True):
    """The claims of a token. `sub`: the id of an account, or of a client where `sid`, a session, is "".

    `client_id`: the client that it was given to, empty after `POST /v1/login`.
    """

    sub: str
    role: str
    scope: str
    exp: int
    sid: str = ""
    client_id: str = ""


class AccessTokens:
    """Signs and verifies tokens. Expiry is checked on every use, the signature on the first (0.2 ms)."""

    def __init__(self, keys: SigningKeys, issuer: str) -> None:
        """`issuer`: our public URL. What a key signed that was taken away is forgotten with it."""
        self.keys = keys
        self.issuer = issuer
        self._verified: LRUCache[bytes, Claims] = LRUCache(REMEMBERED_MAX)
        keys.changed = self._verified.clear
        self._registry = jwt.JWTClaimsRegistry(
            now=_steady_s,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
        )

    def sign(
        self,
        sub: str,
        role: str,
        scopes: frozenset[str],
        sid: str = "",
        *,
        client_id: str = "",
        lifetime_s: int = LIFETIME_S,
    ) -> str:
        """A token for `sub`, valid for `lifetime_s` by the steady clock."""
        issued = _steady_s()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + lifetime_s,
            "jti": token_urlsafe(12),
            "sub": sub,
            "role": role,
            "scope": " ".join(sorted(scopes)),
            "sid": sid,
            "client_id": client_id,
        }
        return self.encode(ACCESS_TOKEN, claims)

    def encode(self, typ: str, claims: dict[str, Any]) -> str:
        """A JWT of that type, by the key of now."""
        key = self.keys.current()
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": typ}, claims, key.key)

    def decode(self, typ: str, token: str) -> dict[str, Any]:
        """The claims of a JWT of that type that we signed, whatever its times. Raises `NotAuthenticated`."""
        if len(token) > LENGTH_MAX:
            raise NotAuthenticated
        try:
            found = jwt.decode(token, self._named_key, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError):
            raise NotAuthenticated from None
        if found.header.get("typ") != typ:
            raise NotAuthenticated
        return found.claims

    def remembers(self, token: str) -> bool:
        """Whether its signature was checked already."""
        return hash_secret(token) in self._verified

    def verify(self, token: str) -> Claims:
        """The claims of a token that we signed and that has not expired. Raises `NotAuthenticated`."""
        self.keys.keep_up()  # a key that is gone takes with it what was checked by it
        digest = hash_secret(token)  # the cache holds no token that could be used
        claims = self._verified.get(digest) or self._verify_signature(token, digest)
        if claims.exp <= _steady_s():
            self._verified.pop(digest, None)
            raise NotAuthenticated("The access token has expired.")
        return claims

    def _verify_signature(self, token: str, digest: bytes) -> Claims:
        found = self.decode(ACCESS_TOKEN, token)
        try:
            self._registry.validate(found)
            claims = msgspec.convert(found, Claims)
        except (JoseError, ValueError, TypeError):
            raise NotAuthenticated from None
        self._verified[digest] = claims
        return claims

    def _named_key(self, token: Any) -> ECKey:
        """The key that the header names; no other is tried, and none that the token brings (RFC 8725 §3.1)."""
        if key := self.keys.find(token.headers().get("kid")):
            return key
        raise InvalidKeyIdError


def _steady_s() -> int:
    return steady_micros() // 1_000_000
