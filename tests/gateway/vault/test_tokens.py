"""Names for cards say nothing of the number and can never be taken for one."""

import base64
import hashlib
import re

from gateway.vault.tokens import digest, fingerprint, new_token
from schemas.cards import find_numbers

NUMBER = "4111111111111111"
KEY = bytes(range(32))


def test_tokens_are_128_random_bits_without_a_digit() -> None:
    tokens = {new_token() for _ in range(10_000)}
    assert len(tokens) == 10_000
    assert all(re.fullmatch(r"card_[a-z]{32}", token) for token in tokens)  # 4 bits a letter
    assert len({token[5:] for token in tokens for token in [token[:21]]}) == 10_000  # nor is half of one constant


def test_letters_are_used_evenly() -> None:
    text = "".join(new_token()[5:] for _ in range(2_000))
    counts = [text.count(letter) for letter in set(text)]
    assert len(counts) == 16
    assert min(counts) > 0.85 * len(text) / 16


def test_a_fingerprint_is_the_same_for_a_number_and_another_for_another() -> None:
    assert fingerprint(KEY, NUMBER) == fingerprint(KEY, NUMBER)
    assert fingerprint(KEY, NUMBER) != fingerprint(KEY, "4111111111111129")
    assert not find_numbers(fingerprint(KEY, NUMBER))
    assert re.fullmatch(r"fp_[a-z]{32}", fingerprint(KEY, NUMBER))


def test_without_the_key_no_number_can_be_tried_against_a_fingerprint() -> None:
    """PCI DSS 3.5.1.1: no hash anybody can compute, of the number or a part of it, shows in the fingerprint."""
    found = _bits(fingerprint(KEY, NUMBER))
    for text in (NUMBER, NUMBER[:6] + NUMBER[-4:], NUMBER[:-1], NUMBER[6:]):
        for name in ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256"):
            plain = hashlib.new(name, text.encode()).digest()
            for form in (plain, plain[::-1], base64.b64encode(plain), plain.hex().encode()):
                assert found not in form
                assert form[:8] not in found
    assert fingerprint(bytes(32), NUMBER) != fingerprint(KEY, NUMBER)


def test_a_digest_depends_on_key_and_data() -> None:
    assert len(digest(KEY, b"a")) == 32
    assert len({digest(KEY, b"a"), digest(KEY, b"b"), digest(bytes(32), b"a"), hashlib.sha256(b"a").digest()}) == 4


def _bits(name: str) -> bytes:
    return bytes.fromhex(name[3:].translate(str.maketrans("abcdefghjkmnprst", "0123456789abcdef")))
