"""Access tokens: JWTs signed with ES256, verified once and then remembered until they expire.

They are for this gateway alone, and their times are those of its steady clock: a wall clock that is set ends none
and prolongs none.
"""

import hashlib
from typing import Any

import msgspec
from cachetools import LRUCache
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from connectors.keyfiles import read_or_make
from gateway.refusals import Refusal
from schemas.settings import Settings
from schemas.times import steady_micros

ALGORITHM = "ES256"
AUDIENCE = "sluice"
LIFETIME_S = 15 * 60
REMEMBERED_MAX = 10_000
LENGTH_MAX = 2_048


class NotAuthenticated(Refusal):
    """A valid access token is needed."""


def hash_secret(secret: str) -> bytes:
    """The hash of a random secret (a client's, a refresh token) that the books store: 256 bits need no salt."""
    return hashlib.sha256(secret.encode()).digest()


class Claims(msgspec.Struct, frozen=True):
    """The claims of a token. `sub`: the id of an account, or of a service client where `sid`, a session, is ""."""

    sub: str
    role: str
    scope: str
    exp: int
    sid: str = ""


class AccessTokens:
    """Signs and verifies tokens. Expiry is checked on every use, the signature on the first (0.2 ms)."""

    def __init__(self, settings: Settings, issuer: str) -> None:
        """Read the key in `secrets/gateway.pem`; the local profile generates a missing one."""
        pem = read_or_make(settings, "gateway.pem", lambda: ECKey.generate_key("P-256").as_pem(private=True))
        self._key = ECKey.import_key(pem)
        self._kid = self._key.thumbprint()
        self._issuer = issuer
        self._verified: LRUCache[bytes, Claims] = LRUCache(REMEMBERED_MAX)
        self._registry = jwt.JWTClaimsRegistry(
            now=_steady_s,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
        )

    def sign(self, sub: str, role: str, scopes: frozenset[str], sid: str = "", now: float | None = None) -> str:
        """A token for `sub`, valid for 15 minutes from `now` (seconds of the steady clock; None: its own)."""
        issued = int(_steady_s() if now is None else now)
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + LIFETIME_S,
            "sub": sub,
            "role": role,
            "scope": " ".join(sorted(scopes)),
            "sid": sid,
        }
        return jwt.encode({"alg": ALGORITHM, "kid": self._kid, "typ": "at+jwt"}, claims, self._key)

    def remembers(self, token: str) -> bool:
        """Whether its signature was checked already."""
        return hash_secret(token) in self._verified

    def verify(self, token: str) -> Claims:
        """The claims of a token that we signed and that has not expired. Raises `NotAuthenticated`."""
        digest = hash_secret(token)  # the cache holds no token that could be used
        claims = self._verified.get(digest) or self._verify_signature(token, digest)
        if claims.exp <= _steady_s():
            self._verified.pop(digest, None)
            raise NotAuthenticated("The access token has expired.")
        return claims

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        public = self._key.as_dict(private=False) | {"kid": self._kid, "use": "sig", "alg": ALGORITHM}
        return {"keys": [public]}

    def _verify_signature(self, token: str, digest: bytes) -> Claims:
        if len(token) > LENGTH_MAX:
            raise NotAuthenticated
        try:
            found = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
            self._registry.validate(found)
            claims = msgspec.convert(found, Claims)
        except (JoseError, ValueError, TypeError):
            raise NotAuthenticated from None
        self._verified[digest] = claims
        return claims


def _steady_s() -> int:
    return steady_micros() // 1_000_000
