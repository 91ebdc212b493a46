"""Where a vault is reached: on this machine by a Unix socket, from another one over mutual TLS.

`SLUICE_VAULT` names one place or several, separated by commas: paths of sockets, and `tls://host:port`.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from gateway.vault.certificates import Certificates, certified
from gateway.vault.isolation import Peer, peer_of, socket_path, users_of
from schemas.settings import BadSetting

TLS = "tls://"
STREAM_LIMIT = 1024 * 1024  # bytes that are read ahead

P = TypeVar("P", bound=asyncio.Protocol)


class VaultStreams(NamedTuple):
    """A connection to a vault, as two streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class UnixAddress(NamedTuple):
    """A socket at `path`. `users`: uids that the vault may run as beside ours."""

    path: Path
    users: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return str(self.path)

    async def connect(self, protocol: Callable[[], P]) -> P:
        """A connection. Raises `OSError`."""
        _, made = await asyncio.get_running_loop().create_unix_connection(protocol, str(self.path))
        return made

    async def open_streams(self) -> VaultStreams:
        """A connection as streams. Raises `OSError`."""
        return VaultStreams(*await asyncio.open_unix_connection(str(self.path), limit=STREAM_LIMIT))

    def is_vault(self, transport: asyncio.BaseTransport) -> bool:
        """Whether who answers there runs as a user who may be the vault."""
        return peer_of(transport.get_extra_info("socket")).is_trusted(self.users)


class TlsAddress(NamedTuple):
    """A vault's host and port. Its certificate must be of the house's authority, a vault's, and name the host."""

    host: str
    port: int
    certificates: Certificates

    def __str__(self) -> str:
        return f"{TLS}{self.host}:{self.port}"

    async def connect(self, protocol: Callable[[], P]) -> P:
        """A connection. Raises `OSError`, and its `ssl.SSLError` for a certificate that does not do."""
        loop, context = asyncio.get_running_loop(), self._context()
        _, made = await loop.create_connection(protocol, self.host, self.port, ssl=context)
        return made

    async def open_streams(self) -> VaultStreams:
        """A connection as streams. Raises `OSError`."""
        opened = await asyncio.open_connection(self.host, self.port, ssl=self._context(), limit=STREAM_LIMIT)
        return VaultStreams(*opened)

    def is_vault(self, transport: asyncio.BaseTransport) -> bool:
        """Whether the certificate of who answers there is a vault's."""
        found = certified(transport.get_extra_info("peercert"))
        return found is not None and found.role == "vault"

    def _context(self) -> ssl.SSLContext:
        # Read for each connection: a new certificate counts from the next one on.
        return self.certificates.client_context()


VaultAddress = UnixAddress | TlsAddress


def addresses_of(data: Path, given: str, users: str = "", certificates: Path | None = None) -> list[VaultAddress]:
    """The places that SLUICE_VAULT names; none named: the socket of the vault of `data`. Raises `BadSetting`."""
    if not given:
        return [UnixAddress(socket_path(data), users_of(users))]
    return [_address(data, each.strip(), users, certificates) for each in given.split(",")]


def host_and_port(given: str, setting: str) -> tuple[str, int]:
    """Of `host:port` or `tls://host:port`. Raises `BadSetting`, naming the setting."""
    try:
        found = urlsplit(given if given.startswith(TLS) else TLS + given)
        host, port = found.hostname, found.port
    except ValueError:
        host, port = None, None
    if not host or port is None:
        raise BadSetting(f"{setting}: {given!r} is no host:port")
    return host, port


def peer_at(transport: asyncio.BaseTransport) -> Peer:
    """Who is at the other end of a connection that the vault took."""
    connection: socket.socket = transport.get_extra_info("socket")
    if connection.family == socket.AF_UNIX:
        return peer_of(connection)
    found = certified(transport.get_extra_info("peercert"))
    return Peer(None, None, str(found) if found else None)


def _address(data: Path, given: str, users: str, certificates: Path | None) -> VaultAddress:
    if not given.startswith(TLS):
        return UnixAddress(socket_path(data, Path(given)), users_of(users))
    host, port = host_and_port(given, "SLUICE_VAULT")
    if certificates is None:
        raise BadSetting("SLUICE_VAULT_CERTIFICATES: tls:// needs a directory with ca.pem, own.pem and own.key")
    return TlsAddress(host, port, Certificates(certificates))
