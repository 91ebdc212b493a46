"""The vault's keys, and what is made with the hashing keys: fingerprints and digests; card tokens are random.

`vault.kek.<n>` are the versions of the key-encryption key, `vault.hmac` is the root of the two hashing keys; 32
bytes each, in files that only this process reads. The local profile generates missing ones in the data directory.
Production is given a directory of its own (`SLUICE_VAULT_KEYS`) and does not start from the data directory alone.
"""

import hmac
import os
import re
import secrets
from pathlib import Path
from typing import assert_never

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connectors import keyfiles
from gateway.vault.envelope import KEY_BYTES, Kek
from gateway.vault.settings import VaultSettings
from schemas.ids import letters

HMAC_FILE = "vault.hmac"
KEK_FILE = re.compile(r"vault\.kek\.([1-9][0-9]{0,8})")
TOKEN_BYTES = 16  # 128 bits, in card tokens and in fingerprints


class UnusableKey(Exception):
    """A key is missing, damaged, readable by others, or not the one the file of cards was written with."""


class NoNewerKey(UnusableKey):
    """Rotation needs a key file with a higher version, and this profile generates none."""


class HashKeys:
    """The two keys of keyed hashes, derived from one root; neither equals the root or any other key."""

    def __init__(self, root: bytes) -> None:
        self.fingerprint_key = _derive(root, b"fingerprint")
        self.digest_key = _derive(root, b"digest")
        self.proof = proof(root)


class KeyFiles:
    """The key files of one profile. Raises `UnusableKey` where production would have to use the data directory."""

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._directory = settings.vault_keys or settings.secrets()
        match settings.profile:
            case "local":
                self._generates = settings.vault_keys is None
            case "production":
                self._generates = False
                self._refuse_data_directory()
            case _:
                assert_never(settings.profile)

    def newer_than(self, version: int) -> int:
        """The highest version that has a file, a new one if this profile generates keys. Raises `NoNewerKey`."""
        if (newest := max(self._versions(), default=0)) > version:
            return newest
        if not self._generates:
            raise NoNewerKey(f"put vault.kek.{version + 1} into {self._directory} first")
        self._generate(f"vault.kek.{version + 1}")
        return version + 1

    def kek(self, version: int) -> bytes:
        """The 32 bytes of one version. Raises `UnusableKey`."""
        return _read_private(self._directory / f"vault.kek.{version}")

    def hashes(self, *, generate: bool) -> HashKeys:
        """The hashing keys. Raises `UnusableKey`.

        `generate`: only while no card is stored. A lost root is never replaced: every fingerprint would change.
        """
        if generate and self._generates:
            self._generate(HMAC_FILE)
        return HashKeys(_read_private(self._directory / HMAC_FILE))

    def _refuse_data_directory(self) -> None:
        # Resolved: a link from elsewhere into the data directory is the data directory (PCI DSS 3.6.1.2).
        if self._directory.resolve().is_relative_to(self._settings.data.resolve()):
            raise UnusableKey(
                "outside the local profile SLUICE_VAULT_KEYS must name a directory apart from the data"
            )

    def _versions(self) -> list[int]:
        names = os.listdir(self._directory) if self._directory.is_dir() else []
        return [int(found[1]) for name in names if (found := KEK_FILE.fullmatch(name))]

    def _generate(self, name: str) -> None:
        keyfiles.read_or_make(self._settings, name, lambda: os.urandom(KEY_BYTES))


def cipher(version: int, key: bytes) -> Kek:
    """The usable form of a key-encryption key."""
    return Kek(version, AESGCM(key))


def person_cipher(version: int, key: bytes) -> Kek:
    """What wraps persons' keys: derived, so that these do not count against what a KEK may wrap of cards."""
    return Kek(version, AESGCM(_derive(key, b"persons")))


def proof(key: bytes) -> bytes:
    """16 bytes by which a key is recognised; they reveal nothing of it."""
    return _derive(key, b"proof")[:16]


def new_token() -> str:
    """A card token: `card_` and 128 random bits as 32 letters."""
    return "card_" + letters(secrets.token_bytes(TOKEN_BYTES))


def fingerprint(key: bytes, number: str) -> str:
    """`fp_` and 128 bits of an HMAC over the whole number (PCI DSS 3.5.1.1).

    The same for every owner, so it is for vault and books alone: what others see is made of it for one reader.
    """
    return "fp_" + letters(digest(key, number.encode())[:TOKEN_BYTES])


def digest(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 of `data`, 32 bytes."""
    return hmac.digest(key, data, "sha256")


def _derive(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"sluice vault " + purpose).derive(root)


def _read_private(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise UnusableKey(f"{path} is open to others than its owner (mode 0600 is expected)")
        key = path.read_bytes()
    except OSError as error:
        raise UnusableKey(f"{path}: {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise UnusableKey(f"{path} does not hold {KEY_BYTES} bytes")
    return key
