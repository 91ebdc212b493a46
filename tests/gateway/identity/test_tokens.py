"""Access tokens: ours, not expired, and nothing else."""

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.identity import tokens
from gateway.identity.signing_keys import SigningKeys
from gateway.identity.tokens import LIFETIME_S, AccessTokens, NotAuthenticated
from gateway.settings import GatewaySettings
from schemas.times import steady_micros

ISSUER = "http://localhost:8080"
SCOPES = frozenset({"account", "cards:read"})


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(data=tmp_path)


@pytest.fixture
def mint(settings: GatewaySettings) -> AccessTokens:
    return AccessTokens(SigningKeys(settings), ISSUER)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time())
    given = {"iss": ISSUER, "aud": "sluice", "iat": now, "exp": now + 60, "sub": "acc_1", "role": "admin"}
    return given | {"scope": "account", "sid": "ses_1"} | changes


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def signed_by_us(mint: AccessTokens, **changes: Any) -> str:
    return mint.encode("at+jwt", {k: v for k, v in claims(**changes).items() if v is not None})


def header_of(mint: AccessTokens, **changes: Any) -> dict[str, Any]:
    return {"alg": "ES256", "typ": "at+jwt", "kid": mint.keys.current().kid} | changes


def test_what_was_signed_is_read_back(mint: AccessTokens) -> None:
    token = mint.sign("acc_1", "customer", SCOPES, "ses_1")
    for _ in range(2):  # the second time from memory
        found = mint.verify(token)
        assert (found.sub, found.role, found.scope, found.sid) == (
            "acc_1",
            "customer",
            "account cards:read",
            "ses_1",
        )


def test_another_process_with_the_same_data_accepts_it(mint: AccessTokens, settings: GatewaySettings) -> None:
    assert (
        AccessTokens(SigningKeys(settings), ISSUER).verify(mint.sign("acc_1", "customer", SCOPES, "ses_1")).sub
        == "acc_1"
    )


def test_the_key_is_private_to_its_owner(mint: AccessTokens, settings: GatewaySettings) -> None:
    path = settings.secrets() / "gateway.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" in path.read_bytes()


def without_signature(mint: AccessTokens) -> str:
    header, body, _ = mint.sign("acc_1", "admin", SCOPES).split(".")
    return f"{header}.{body}."


def unsigned(mint: AccessTokens) -> str:
    return f"{encoded(header_of(mint, alg='none'))}.{encoded(claims())}."


def with_the_public_key_as_secret(mint: AccessTokens) -> str:
    signed = f"{encoded(header_of(mint, alg='HS256'))}.{encoded(claims())}"
    mac = hmac.digest(mint.keys.current().key.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def by_another_key_under_our_name(mint: AccessTokens) -> str:
    return jwt.encode(header_of(mint), claims(), ECKey.generate_key("P-256"))


def by_a_key_that_it_brings(mint: AccessTokens) -> str:
    key = ECKey.generate_key("P-256")
    header = header_of(mint, kid=key.thumbprint(), jwk=key.as_dict(private=False))
    return jwt.encode(header, claims(), key)


def by_a_key_set_that_it_names(mint: AccessTokens) -> str:
    key = ECKey.generate_key("P-256")
    header = header_of(mint, kid=key.thumbprint(), jku="http://localhost:8080/oauth/jwks")
    return jwt.encode(header, claims(), key)


def without_key_id(mint: AccessTokens) -> str:
    return jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims(), mint.keys.current().key)


def as_an_id_token(mint: AccessTokens) -> str:
    return mint.encode("JWT", claims())


def with_changed_claims(mint: AccessTokens) -> str:
    header, _, signature = mint.sign("acc_1", "customer", SCOPES).split(".")
    return f"{header}.{encoded(claims())}.{signature}"


FORGERIES: list[Callable[[AccessTokens], str]] = [
    without_signature,
    unsigned,
    with_the_public_key_as_secret,
    by_another_key_under_our_name,
    by_a_key_that_it_brings,
    by_a_key_set_that_it_names,
    without_key_id,
    as_an_id_token,
    with_changed_claims,
    lambda mint: signed_by_us(mint, iss="http://evil.example"),
    lambda mint: signed_by_us(mint, aud="somebody else"),
    lambda mint: signed_by_us(mint, exp=int(time()) - 1),
    lambda mint: signed_by_us(mint, exp=None),
    lambda mint: signed_by_us(mint, exp="never"),
    lambda mint: signed_by_us(mint, sub=None),
    lambda mint: signed_by_us(mint, role=7),
    lambda mint: "x" * 5_000,
    lambda mint: "",
    lambda mint: "..",
    lambda mint: "a.b.c",
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forgery_is_refused_each_time(mint: AccessTokens, forge: Callable[[AccessTokens], str]) -> None:
    token = forge(mint)
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            mint.verify(token)


def test_a_remembered_token_still_expires(mint: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = mint.sign("acc_1", "customer", SCOPES)
    mint.verify(token)
    began = steady_micros()
    monkeypatch.setattr(tokens, "steady_micros", lambda: began + (LIFETIME_S - 1) * 1_000_000)
    mint.verify(token)
    monkeypatch.setattr(tokens, "steady_micros", lambda: began + LIFETIME_S * 1_000_000)
    with pytest.raises(NotAuthenticated):
        mint.verify(token)


@pytest.mark.parametrize("hours", [-1, 3])
def test_a_clock_that_is_set_neither_ends_nor_prolongs_a_token(
    mint: AccessTokens, monkeypatch: pytest.MonkeyPatch, set_clock: Callable[[float], None], hours: float
) -> None:
    token = mint.sign("acc_1", "customer", SCOPES)
    set_clock(hours)
    mint.verify(token)
    mint.verify(mint.sign("acc_2", "customer", SCOPES))
    began = steady_micros()
    monkeypatch.setattr(tokens, "steady_micros", lambda: began + LIFETIME_S * 1_000_000)
    with pytest.raises(NotAuthenticated):
        mint.verify(token)


def test_only_so_many_are_remembered(settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED_MAX", 3)
    mint = AccessTokens(SigningKeys(settings), ISSUER)
    for number in range(10):
        mint.verify(mint.sign(f"acc_{number}", "customer", SCOPES))
    assert len(mint._verified) == 3
