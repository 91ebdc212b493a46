"""The vault's keys: files that only this process reads.

`vault.kek.<n>` are the versions of the key-encryption key, `vault.hmac` is the root of the two hashing keys; 32
bytes each. The local profile generates what is missing in the data directory. Production is given a directory of
its own (`SLUICE_VAULT_KEYS`) and does not start from the data directory alone.
"""

import os
import re
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connectors import keyfiles
from gateway.vault.envelope import KEY_BYTES, Kek
from gateway.vault.settings import VaultSettings

HMAC_FILE = "vault.hmac"
KEK_FILE = re.compile(r"vault\.kek\.([1-9][0-9]{0,8})")


class KeyTrouble(Exception):
    """A key is missing, damaged, not the one the file of cards was written with, or open to others."""


class NoNewerKey(KeyTrouble):
    """Rotation needs a key file with a higher version, and this profile generates none."""


class HashKeys:
    """The two keys of keyed hashes, derived from one root and equal to no other key."""

    def __init__(self, root: bytes) -> None:
        self.fingerprint = _derive(root, b"fingerprint")
        self.digest = _derive(root, b"digest")
        self.proof = proof(root)


class KeyFiles:
    """The key files of one profile. Raises `KeyTrouble` where production would have to use the data directory."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._generates = settings.profile == "local" and settings.vault_keys is None
        self._directory = settings.vault_keys or settings.secrets()
        if settings.profile != "local" and self._directory.resolve().is_relative_to(settings.data.resolve()):
            raise KeyTrouble(
                "outside the local profile SLUICE_VAULT_KEYS must name a directory apart from the data"
            )

    def newer_than(self, version: int) -> int:
        """The highest version there is a file for; generated where that may be. Raises `NoNewerKey`."""
        if (newest := max(self._versions(), default=0)) > version:
            return newest
        if not self._generates:
            raise NoNewerKey(f"put vault.kek.{version + 1} into {self._directory} first")
        self._generate(f"vault.kek.{version + 1}")
        return version + 1

    def kek(self, version: int) -> bytes:
        """The bytes of one version. Raises `KeyTrouble`."""
        return _read_private(self._directory / f"vault.kek.{version}")

    def hashes(self, *, generate: bool) -> HashKeys:
        """The hashing keys; `generate` where no card has been stored yet. Raises `KeyTrouble`."""
        if generate and self._generates:
            self._generate(HMAC_FILE)
        return HashKeys(_read_private(self._directory / HMAC_FILE))

    def _versions(self) -> list[int]:
        names = os.listdir(self._directory) if self._directory.is_dir() else []
        return [int(found[1]) for name in names if (found := KEK_FILE.fullmatch(name))]

    def _generate(self, name: str) -> None:
        keyfiles.read_or_make(self._settings, name, lambda: os.urandom(KEY_BYTES))


def cipher(version: int, key: bytes) -> Kek:
    """The usable form of a key-encryption key."""
    return Kek(version, AESGCM(key))


def proof(key: bytes) -> bytes:
    """16 bytes by which a key is recognised and that say nothing else of it."""
    return _derive(key, b"proof")[:16]


def _derive(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"sluice vault " + purpose).derive(root)


def _read_private(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise KeyTrouble(f"{path} is open to others than its owner (mode 0600 is expected)")
        key = path.read_bytes()
    except OSError as error:
        raise KeyTrouble(f"{path}: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise KeyTrouble(f"{path} does not hold {KEY_BYTES} bytes")
    return key
