"""The certificates of vaults and of those who ask them, all of the house's own authority.

A directory holds `ca.pem` (the authority, or two while it is replaced), `own.pem` and `own.key`. A certificate
names in a URI what its holder is: `sluice:vault:NAME` or `sluice:gateway:NAME`. `sluice vault certificates` makes
them.
"""

import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from cryptography import x509

from schemas.settings import BadSetting

CA, OWN, OWN_KEY = "ca.pem", "own.pem", "own.key"
FILES = (CA, OWN, OWN_KEY)

Role = Literal["vault", "gateway"]
SCHEME = "sluice"


class Certified(NamedTuple):
    """What a certificate says of its holder."""

    role: Role
    name: str

    def __str__(self) -> str:
        return f"{self.role}:{self.name}"


class Certificates:
    """The files in a directory. Raises `BadSetting` where they do not do."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def server_context(self) -> ssl.SSLContext:
        """For a vault: TLS 1.3, and nobody without a certificate of the house."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        return self._filled(context)

    def client_context(self) -> ssl.SSLContext:
        """For who asks a vault: TLS 1.3, the house's authority alone, and the host's name must stand in it."""
        return self._filled(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # which checks names

    def expires_at(self) -> datetime:
        """When our own certificate, or the authority's, does not count any more; whichever is earlier."""
        try:
            found = [
                each.not_valid_after_utc
                for name in (OWN, CA)
                for each in x509.load_pem_x509_certificates((self._directory / name).read_bytes())
            ]
        except (OSError, ValueError) as error:
            raise self._unusable(error) from None
        return min(found)

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when a file does."""
        try:
            found = [(self._directory / name).stat() for name in FILES]
        except OSError as error:
            raise self._unusable(error) from None
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _filled(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        key = self._directory / OWN_KEY
        try:
            if key.stat().st_mode & 0o077:
                raise BadSetting(f"{key} is open to others than its owner (mode 0600 is expected)")
            context.load_cert_chain(self._directory / OWN, key)
            context.load_verify_locations(self._directory / CA)
        except OSError as error:  # ssl.SSLError is one
            raise self._unusable(error) from None
        return context

    def _unusable(self, error: Exception) -> BadSetting:
        return BadSetting(f"SLUICE_VAULT_CERTIFICATES: {self._directory}: {error}")


def certified(certificate: Mapping[str, Any] | None) -> Certified | None:
    """What a peer's certificate, as `ssl` decodes one that it has verified, says of its holder."""
    names = (certificate or {}).get("subjectAltName", ())
    for kind, value in names:
        scheme, _, rest = value.partition(":")
        role, _, name = rest.partition(":")
        if kind == "URI" and scheme == SCHEME and role in get_args(Role) and name:
            return Certified(role, name)
    return None
