"""Keys: where they come from, who may read them, that a wrong one is noticed; and what is made with them.

Card tokens and fingerprints say nothing of the number and cannot be taken for one.
"""

import base64
import hashlib
import os
import re
from pathlib import Path

import pytest

from gateway.vault.keys import HashKeys, KeyFiles, NoNewerKey, UnusableKey, digest, fingerprint, new_token
from gateway.vault.safe import Safe, Secret
from gateway.vault.settings import VaultSettings
from schemas.cards import find_numbers

NUMBER = "4111111111111111"
SECRET = Secret(NUMBER, 1, 2039, None)
KEY = bytes(range(32))


@pytest.fixture
def given(tmp_path: Path) -> VaultSettings:
    """A production profile with keys in a directory of their own."""
    keys = tmp_path / "keys"
    keys.mkdir()
    put(keys / "vault.hmac")
    put(keys / "vault.kek.1")
    return VaultSettings(data=tmp_path / "data", vault_keys=keys, profile="production")


@pytest.fixture
def local(tmp_path: Path) -> VaultSettings:
    """The local profile, with nothing there yet."""
    return VaultSettings(data=tmp_path / "data")


def put(path: Path, key: bytes = b"", mode: int = 0o600) -> None:
    path.write_bytes(key or os.urandom(32))
    path.chmod(mode)


def opened(settings: VaultSettings) -> Safe:
    settings.data.mkdir(exist_ok=True)
    return Safe(settings.data / "vault.sqlite3", KeyFiles(settings))


async def stored(settings: VaultSettings) -> str:
    """The token of a card that a safe stored before it was closed."""
    safe = opened(settings)
    card_id = (await safe.store("acc_a", SECRET)).card_id
    safe.close()
    return card_id


def test_the_local_profile_makes_its_keys_for_itself_alone(local: VaultSettings) -> None:
    opened(local).close()
    names = sorted(path.name for path in local.secrets().iterdir())
    assert names == ["vault.hmac", "vault.kek.1"]
    keys = [(local.secrets() / name).read_bytes() for name in names]
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]
    assert {path.stat().st_mode & 0o777 for path in local.secrets().iterdir()} == {0o600}
    assert local.secrets().stat().st_mode & 0o777 == 0o700


async def test_keys_stay_what_they_were(local: VaultSettings) -> None:
    card_id = await stored(local)
    safe = opened(local)
    assert safe.open(card_id, "acc_a").number == SECRET.number
    safe.close()


@pytest.mark.parametrize("where", [None, "secrets", "."])
def test_production_does_not_start_from_the_data_directory_alone(tmp_path: Path, where: str | None) -> None:
    data = tmp_path / "data"
    (data / "secrets").mkdir(parents=True)
    for directory in (data, data / "secrets"):
        put(directory / "vault.hmac")
        put(directory / "vault.kek.1")
    keys = data / where if where else None
    with pytest.raises(UnusableKey, match="SLUICE_VAULT_KEYS"):
        KeyFiles(VaultSettings(data=data, vault_keys=keys, profile="production"))


@pytest.mark.parametrize("missing", ["vault.hmac", "vault.kek.1"])
def test_given_keys_are_never_made_up(given: VaultSettings, missing: str) -> None:
    assert given.vault_keys
    (given.vault_keys / missing).unlink()
    with pytest.raises(UnusableKey):
        opened(given)
    assert not (given.vault_keys / missing).exists()
    assert not given.secrets().exists()


def test_the_local_profile_makes_no_keys_up_where_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(UnusableKey):
        opened(VaultSettings(data=tmp_path / "data", vault_keys=tmp_path / "keys"))
    assert list((tmp_path / "keys").iterdir()) == []
    assert not (tmp_path / "data" / "secrets").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_touch_is_refused(given: VaultSettings, mode: int) -> None:
    assert given.vault_keys
    put(given.vault_keys / "vault.kek.1", mode=mode)
    with pytest.raises(UnusableKey, match="0600"):
        opened(given)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_32_bytes(given: VaultSettings, size: int) -> None:
    assert given.vault_keys
    (given.vault_keys / "vault.kek.1").write_bytes(bytes(size))
    with pytest.raises(UnusableKey, match="32 bytes"):
        opened(given)


@pytest.mark.parametrize("name", ["vault.hmac", "vault.kek.1"])
async def test_another_key_under_the_same_name_is_noticed_at_the_start(given: VaultSettings, name: str) -> None:
    await stored(given)
    assert given.vault_keys
    put(given.vault_keys / name)
    with pytest.raises(UnusableKey, match=f"{name} is not the key"):
        opened(given)


@pytest.mark.parametrize("name", ["vault.hmac", "vault.kek.1"])
async def test_a_lost_key_is_not_replaced_behind_the_operators_back(local: VaultSettings, name: str) -> None:
    await stored(local)
    (local.secrets() / name).unlink()
    with pytest.raises(UnusableKey, match="No such file"):
        opened(local)
    assert not (local.secrets() / name).exists()


def test_no_file_name_but_a_version_counts(given: VaultSettings) -> None:
    assert given.vault_keys
    for name in ("vault.kek.2.bak", "vault.kek.02", "vault.kek.x", "old.vault.kek.9", "vault.kek.0"):
        put(given.vault_keys / name)
    with pytest.raises(NoNewerKey, match=r"vault\.kek\.2"):
        KeyFiles(given).newer_than(1)
    put(given.vault_keys / "vault.kek.10")
    put(given.vault_keys / "vault.kek.9")
    assert KeyFiles(given).newer_than(1) == 10


async def test_a_new_key_file_counts_only_once_it_is_rotated_to(given: VaultSettings) -> None:
    await stored(given)
    assert given.vault_keys
    put(given.vault_keys / "vault.kek.2")
    safe = opened(given)
    assert (await safe.count()).key_version == 1
    assert (await safe.begin_rotation()).key_version == 2
    safe.close()


def test_hashing_keys_differ_from_each_other_and_their_root() -> None:
    root = os.urandom(32)
    keys = HashKeys(root)
    assert len({root, keys.fingerprint_key, keys.digest_key, keys.proof}) == 4
    assert HashKeys(root).fingerprint_key == keys.fingerprint_key


async def test_no_key_stands_in_the_file_of_cards(local: VaultSettings) -> None:
    await stored(local)
    content = b"".join(path.read_bytes() for path in local.data.glob("vault.sqlite3*"))
    for path in local.secrets().iterdir():
        assert path.read_bytes() not in content
        assert HashKeys(path.read_bytes()).fingerprint_key not in content


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
