"""Where the vault listens: its Unix socket, and an address for other hosts, whose certificates it reads anew.

A certificate that was replaced counts from the next connection on, and those who are connected have to come again.
"""

import asyncio
import socket
from pathlib import Path

import structlog

from connectors.lasting import LastingTask
from connectors.logs import LoggedOnce
from gateway.vault.certificates import Certificates
from gateway.vault.isolation import bind
from gateway.vault.server import VaultConnection, VaultServer
from schemas.settings import BadSetting
from schemas.times import now

LOOKED_EVERY_S = 1.0
TOLD_DAYS = 30  # before a certificate expires
TOLD_EVERY_S = 24 * 3600.0
BACKLOG = 128
HANDSHAKE_S = 5.0

log = structlog.get_logger()


class TlsListener:
    """Listens on `host:port`. Raises `BadSetting` and `OSError`."""

    def __init__(self, vault_server: VaultServer, host: str, port: int, certificates: Certificates) -> None:
        self._vault_server, self._certificates = vault_server, certificates
        self._stamp = certificates.stamp()
        self._listener = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
        self._server: asyncio.Server | None = None
        self._task: LastingTask | None = None
        self._expiry_logged = LoggedOnce(TOLD_EVERY_S)

    async def open(self) -> None:
        """Take connections from now on."""
        self._server = await self._serve()
        self._tell_expiry()
        self._task = LastingTask(self._look(), "vault certificates")

    async def close(self) -> None:
        """Take none any more."""
        if self._task is not None:
            await self._task.stop()
        if self._server is not None:
            self._server.close()
        self._listener.close()

    async def _serve(self) -> asyncio.Server:
        # On a copy of the listening socket, so that the next one takes over without a gap.
        return await asyncio.get_running_loop().create_server(
            lambda: VaultConnection(self._vault_server),
            sock=self._listener.dup(),
            ssl=self._certificates.server_context(),
            ssl_handshake_timeout=HANDSHAKE_S,
            backlog=BACKLOG,
        )

    async def _look(self) -> None:
        logged = ""
        while True:
            await asyncio.sleep(LOOKED_EVERY_S)
            try:
                await self._reload()
                self._tell_expiry()
                logged = ""
            except BadSetting as error:  # half replaced: the old ones go on
                if str(error) != logged:
                    log.error("certificate.unusable", reason=str(error))
                logged = str(error)

    async def _reload(self) -> None:
        stamp = self._certificates.stamp()
        if stamp == self._stamp:
            return
        old, self._server = self._server, await self._serve()
        self._stamp = stamp
        if old is not None:
            old.close()
        self._vault_server.hang_up_over_tls()
        log.info("certificate.replaced", expires=self._certificates.expires_at().isoformat())

    def _tell_expiry(self) -> None:
        expires = self._certificates.expires_at()
        days = (expires - now()).days
        if days < TOLD_DAYS and self._expiry_logged.is_due("expiry"):
            log.warning("certificate.expires", expires=expires.isoformat(), days=days)


async def listen_here(vault_server: VaultServer, path: Path) -> asyncio.Server:
    """Take connections on the Unix socket at `path`."""
    listener = bind(path, shared=bool(vault_server.users))
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(lambda: VaultConnection(vault_server), sock=listener)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
