"""An envelope opens for its own card, owner and key, whole, and for nothing else."""

import os

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gateway.vault.envelope import Envelope, Kek, NotOpened, rewrap, seal, unseal

ONE = Kek(1, AESGCM(os.urandom(32)))
TWO = Kek(2, AESGCM(os.urandom(32)))
SECRET = b"4111111111111111"


def _packed(layer: str, *parts: str | int) -> bytes:
    return msgspec.msgpack.encode((layer, parts))


CONTEXT = b"\x01" + _packed("key", "card_a", "acc_a", 1)  # of the wrapped key of card_a under version 1


@given(st.binary(), st.text(), st.text())
def test_what_was_sealed_comes_out(secret: bytes, card_id: str, owner_id: str) -> None:
    assert unseal(ONE, card_id, owner_id, seal(ONE, card_id, owner_id, secret)) == secret


def test_the_secret_does_not_stand_in_the_envelope() -> None:
    envelope = seal(ONE, "card_a", "acc_a", SECRET)
    assert SECRET not in envelope.sealed + envelope.wrapped


def test_every_envelope_has_a_key_and_nonces_of_its_own() -> None:
    envelopes = [seal(ONE, "card_a", "acc_a", SECRET) for _ in range(100)]
    assert len({e.wrapped[1:13] for e in envelopes} | {e.sealed[1:13] for e in envelopes}) == 200
    assert len({ONE.cipher.decrypt(e.wrapped[1:13], e.wrapped[13:], CONTEXT) for e in envelopes}) == 100


@pytest.mark.parametrize(("card_id", "owner_id"), [("card_b", "acc_a"), ("card_a", "acc_b"), ("card_aa", "cc_a")])
def test_it_opens_for_its_own_card_and_owner_only(card_id: str, owner_id: str) -> None:
    with pytest.raises(NotOpened):
        unseal(ONE, card_id, owner_id, seal(ONE, "card_a", "acc_a", SECRET))


def test_each_half_is_bound_to_its_card() -> None:
    a, b = seal(ONE, "card_a", "acc_a", SECRET), seal(ONE, "card_b", "acc_a", SECRET)
    for mixed in (Envelope(1, a.wrapped, b.sealed), Envelope(1, b.wrapped, a.sealed)):
        with pytest.raises(NotOpened):
            unseal(ONE, "card_a", "acc_a", mixed)


@pytest.mark.parametrize(("card_id", "owner_id"), [("card_b", "acc_a"), ("card_a", "acc_b")])
def test_the_card_itself_is_bound_too_not_only_its_key(card_id: str, owner_id: str) -> None:
    """A data key that somebody wraps for another card or owner still opens nothing there."""
    envelope = seal(ONE, "card_a", "acc_a", SECRET)
    key = ONE.cipher.decrypt(envelope.wrapped[1:13], envelope.wrapped[13:], CONTEXT)
    nonce = os.urandom(12)
    wrapped = ONE.cipher.encrypt(nonce, key, b"\x01" + _packed("key", card_id, owner_id, 1))
    with pytest.raises(NotOpened):
        unseal(ONE, card_id, owner_id, Envelope(1, b"\x01" + nonce + wrapped, envelope.sealed))


def test_the_key_version_is_bound() -> None:
    envelope = seal(ONE, "card_a", "acc_a", SECRET)
    with pytest.raises(NotOpened):
        unseal(Kek(2, ONE.cipher), "card_a", "acc_a", envelope)  # the right key under a wrong version
    with pytest.raises(NotOpened):
        unseal(TWO, "card_a", "acc_a", envelope)


@given(st.data())
def test_no_altered_byte_is_overlooked(data: st.DataObject) -> None:
    envelope = seal(ONE, "card_a", "acc_a", SECRET)
    half = data.draw(st.sampled_from(["wrapped", "sealed"]))
    blob = bytearray(getattr(envelope, half))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NotOpened):
        unseal(ONE, "card_a", "acc_a", envelope._replace(**{half: bytes(blob)}))


@given(st.binary(max_size=40))
def test_nonsense_does_not_open(blob: bytes) -> None:
    envelope = seal(ONE, "card_a", "acc_a", SECRET)
    for broken in (envelope._replace(wrapped=blob), envelope._replace(sealed=blob)):
        with pytest.raises(NotOpened):
            unseal(ONE, "card_a", "acc_a", broken)


def test_a_rewrapped_key_opens_the_card_under_the_new_version_alone() -> None:
    old = seal(ONE, "card_a", "acc_a", SECRET)
    new = Envelope(2, rewrap(ONE, TWO, "card_a", "acc_a", old.wrapped), old.sealed)
    assert unseal(TWO, "card_a", "acc_a", new) == SECRET
    with pytest.raises(NotOpened):
        unseal(ONE, "card_a", "acc_a", new)
    with pytest.raises(NotOpened):
        rewrap(ONE, TWO, "card_a", "acc_a", new.wrapped)
