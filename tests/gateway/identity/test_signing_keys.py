"""The keys of tokens change while tokens are signed and checked, and several gateways of one store agree."""

from collections.abc import Callable
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from gateway.identity import signing_keys
from gateway.identity.signing_keys import (
    FIRST,
    KEEP_S,
    LEAD_S,
    SigningKeys,
    add_next,
    new_pem,
    remove_old,
)
from gateway.identity.tokens import AccessTokens, NotAuthenticated
from gateway.settings import GatewaySettings

HOUR_S = 3600


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GatewaySettings:
    monkeypatch.setattr(signing_keys, "LOOK_EVERY_S", -1.0)
    return GatewaySettings(data=tmp_path)


def gateway(settings: GatewaySettings) -> AccessTokens:
    return AccessTokens(SigningKeys(settings), "http://localhost:8080")


def sign(tokens: AccessTokens) -> str:
    return tokens.sign("acc_1", "customer", frozenset({"account"}), "ses_1")


def kids(tokens: AccessTokens) -> list[str]:
    return [key["kid"] for key in tokens.keys.jwks()["keys"]]


def test_a_new_key_is_known_before_it_signs_and_the_old_one_for_as_long_as_its_tokens(
    settings: GatewaySettings, set_clock: Callable[[float], None]
) -> None:
    one, other = gateway(settings), gateway(settings)
    old = one.keys.current().kid
    new = add_next(settings).kid
    assert kids(one) == kids(other) == [old, new]
    before = sign(one)
    assert one.keys.current().kid == old
    set_clock((LEAD_S + 1) / HOUR_S)
    assert one.keys.current().kid == other.keys.current().kid == new
    assert other.verify(before).sub == "acc_1"
    assert other.verify(sign(one)).sub == "acc_1"
    set_clock((LEAD_S + KEEP_S - 5) / HOUR_S)
    assert kids(one) == [old, new]
    set_clock((LEAD_S + KEEP_S + 1) / HOUR_S)
    assert kids(one) == kids(other) == [new]
    with pytest.raises(NotAuthenticated):
        gateway(settings).verify(before)


def test_no_private_part_is_published(settings: GatewaySettings) -> None:
    (key,) = gateway(settings).keys.jwks()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_key_that_is_taken_away_takes_its_tokens_along_at_once(settings: GatewaySettings) -> None:
    tokens = gateway(settings)
    token = sign(tokens)
    tokens.verify(token)
    add_next(settings)
    (settings.secrets() / FIRST).unlink()
    with pytest.raises(NotAuthenticated):  # though it was checked before, and nobody has asked for a key since
        tokens.verify(token)
    assert tokens.keys.current().signs_from > 0  # the next one, though its time has not come


def test_a_key_that_cannot_be_read_changes_nothing(settings: GatewaySettings) -> None:
    tokens = gateway(settings)
    (settings.secrets() / "gateway.1.pem").write_bytes(b"no key")
    tokens.verify(sign(tokens))
    with pytest.raises(ValueError, match="deserialize"):
        gateway(settings)


def test_the_old_ones_can_be_deleted_once_nobody_needs_them(
    settings: GatewaySettings, set_clock: Callable[[float], None]
) -> None:
    gateway(settings)
    add_next(settings)
    assert remove_old(settings) == []
    set_clock((LEAD_S + KEEP_S + 1) / HOUR_S)
    assert [path.name for path in remove_old(settings)] == [FIRST]
    assert gateway(settings).keys.current().signs_from > 0


def test_a_key_of_another_kind_is_none(settings: GatewaySettings) -> None:
    settings.secrets().mkdir(parents=True)
    (settings.secrets() / FIRST).write_bytes(ECKey.generate_key("P-384").as_pem(private=True))
    with pytest.raises(ValueError, match="P-256"):
        SigningKeys(settings)
    assert new_pem() != new_pem()
