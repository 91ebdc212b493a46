"""Keys: where they come from, who may read them, and that a wrong one is noticed before it does harm."""

import os
from pathlib import Path

import pytest

from gateway.vault.keys import HashKeys, KeyFiles, KeyTrouble, NoNewerKey
from gateway.vault.safe import Safe, Secret
from gateway.vault.settings import VaultSettings

SECRET = Secret("4111111111111111", 1, 2039, None)


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
    card = (await safe.store("acc_a", SECRET)).card
    safe.close()
    return card


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
    card = await stored(local)
    safe = opened(local)
    assert safe.open(card, "acc_a").number == SECRET.number
    safe.close()


@pytest.mark.parametrize("where", [None, "secrets", "."])
def test_production_does_not_start_from_the_data_directory_alone(tmp_path: Path, where: str | None) -> None:
    data = tmp_path / "data"
    (data / "secrets").mkdir(parents=True)
    for directory in (data, data / "secrets"):
        put(directory / "vault.hmac")
        put(directory / "vault.kek.1")
    keys = data / where if where else None
    with pytest.raises(KeyTrouble, match="SLUICE_VAULT_KEYS"):
        KeyFiles(VaultSettings(data=data, vault_keys=keys, profile="production"))


@pytest.mark.parametrize("missing", ["vault.hmac", "vault.kek.1"])
def test_given_keys_are_never_made_up(given: VaultSettings, missing: str) -> None:
    assert given.vault_keys
    (given.vault_keys / missing).unlink()
    with pytest.raises(KeyTrouble):
        opened(given)
    assert not (given.vault_keys / missing).exists()
    assert not given.secrets().exists()


def test_the_local_profile_makes_no_keys_up_where_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(KeyTrouble):
        opened(VaultSettings(data=tmp_path / "data", vault_keys=tmp_path / "keys"))
    assert list((tmp_path / "keys").iterdir()) == []
    assert not (tmp_path / "data" / "secrets").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_touch_is_refused(given: VaultSettings, mode: int) -> None:
    assert given.vault_keys
    put(given.vault_keys / "vault.kek.1", mode=mode)
    with pytest.raises(KeyTrouble, match="0600"):
        opened(given)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_32_bytes(given: VaultSettings, size: int) -> None:
    assert given.vault_keys
    (given.vault_keys / "vault.kek.1").write_bytes(bytes(size))
    with pytest.raises(KeyTrouble, match="32 bytes"):
        opened(given)


@pytest.mark.parametrize("name", ["vault.hmac", "vault.kek.1"])
async def test_another_key_under_the_same_name_is_noticed_at_the_start(given: VaultSettings, name: str) -> None:
    await stored(given)
    assert given.vault_keys
    put(given.vault_keys / name)
    with pytest.raises(KeyTrouble, match=f"{name} is not the key"):
        opened(given)


@pytest.mark.parametrize("name", ["vault.hmac", "vault.kek.1"])
async def test_a_lost_key_is_not_replaced_behind_the_operators_back(local: VaultSettings, name: str) -> None:
    await stored(local)
    (local.secrets() / name).unlink()
    with pytest.raises(KeyTrouble, match="No such file"):
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
    assert (await safe.count()).key == 1
    assert (await safe.begin_rotation()).key == 2
    safe.close()


def test_hashing_keys_differ_from_each_other_and_their_root() -> None:
    root = os.urandom(32)
    keys = HashKeys(root)
    assert len({root, keys.fingerprint, keys.digest, keys.proof}) == 4
    assert HashKeys(root).fingerprint == keys.fingerprint


async def test_no_key_stands_in_the_file_of_cards(local: VaultSettings) -> None:
    await stored(local)
    content = b"".join(path.read_bytes() for path in local.data.glob("vault.sqlite3*"))
    for path in local.secrets().iterdir():
        assert path.read_bytes() not in content
        assert HashKeys(path.read_bytes()).fingerprint not in content
