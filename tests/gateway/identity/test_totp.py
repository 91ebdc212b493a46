"""Codes of an authenticator app: those of the RFC, near the time they are for, once, and from a sealed secret."""

import os
from base64 import b32decode
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gateway.identity.totp import STEP_US, code_at, new_secret, readable, seal, step_of, unseal, uri

RFC_SECRET = b"12345678901234567890"
# RFC 6238, appendix B, SHA-1: seconds, and the last six of its eight digits.
RFC_CODES = [
    (59, "287082"),
    (1_111_111_109, "081804"),
    (1_111_111_111, "050471"),
    (1_234_567_890, "005924"),
    (2_000_000_000, "279037"),
    (20_000_000_000, "353130"),
]
NOW = 1_764_230_000_000_000
STEP = NOW // STEP_US


@pytest.mark.parametrize(("seconds", "code"), RFC_CODES)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert code_at(RFC_SECRET, seconds // 30) == code
    assert step_of(RFC_SECRET, code, seconds * 1_000_000, 0) == seconds // 30


@pytest.mark.parametrize(("off", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(off: int, taken: bool) -> None:
    assert (step_of(RFC_SECRET, code_at(RFC_SECRET, STEP + off), NOW, 0) is not None) == taken


@pytest.mark.parametrize("used", [0, 1])
def test_no_step_up_to_a_used_one_counts(used: int) -> None:
    code = code_at(RFC_SECRET, STEP)
    assert step_of(RFC_SECRET, code, NOW, STEP + used) is None
    assert step_of(RFC_SECRET, code, NOW, STEP - 1) == STEP


@pytest.mark.parametrize("given", ["", "12345", "0000000", "é23456", "\ud800"])
def test_what_is_no_code_is_of_no_step(given: str) -> None:
    assert step_of(RFC_SECRET, given, NOW, 0) is None


def test_an_app_reads_the_secret_from_the_uri() -> None:
    secret = new_secret()
    read = urlsplit(uri(secret, "ada+x@example.com"))
    asked = {name: value for name, (value,) in parse_qs(read.query).items()}
    assert (read.scheme, read.netloc, unquote(read.path)) == ("otpauth", "totp", "/Sluice:ada+x@example.com")
    assert asked == {
        "secret": readable(secret),
        "issuer": "Sluice",
        "algorithm": "SHA1",
        "digits": "6",
        "period": "30",
    }
    assert b32decode(asked["secret"]) == secret


def test_a_sealed_secret_opens_with_its_key_for_its_account_alone() -> None:
    key, secret = os.urandom(32), new_secret()
    sealed = seal(key, "acc_1", secret)
    assert secret not in sealed
    assert unseal(key, "acc_1", sealed) == secret
    assert seal(key, "acc_1", secret) != sealed
    assert [unseal(os.urandom(32), "acc_1", sealed), unseal(key, "acc_2", sealed)] == [None, None]
    assert [unseal(key, "acc_1", sealed[:-1]), unseal(key, "acc_1", b"")] == [None, None]
