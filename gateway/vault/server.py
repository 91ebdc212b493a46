"""The vault's server: frames in, frames out, on a Unix socket.

Whoever connects must run as a user who may, and prove that it knows the client secret; else its connection ends,
with an entry in the audit. Reads are answered where their bytes come in. A write waits for the disk in a task of
its own, so its reply may come after those of later requests. Bytes that are no frame end their own connection and
nothing more.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from gateway.vault import frames
from gateway.vault.audit import Audit
from gateway.vault.isolation import bind, peer_of
from gateway.vault.person_keys import PersonKeys
from gateway.vault.request_handler import RequestHandler, note_refusal
from gateway.vault.rotation import Rotation
from gateway.vault.safe import Safe

PENDING_MAX = 256  # unfinished writes of one connection; past it the vault stops reading from it

log = structlog.get_logger()


@dataclass(frozen=True)
class Served:
    """What all connections share. `users`: uids that may connect beside ours; `refusing`: entries in writing."""

    safe: Safe
    persons: PersonKeys
    rotation: Rotation
    audit: Audit
    secret: bytes
    users: frozenset[int]
    connections: "set[VaultConnection]" = field(default_factory=set)
    refusing: set[asyncio.Task[None]] = field(default_factory=set)

    def begin_refusal(self, work: Coroutine[Any, Any, None]) -> None:
        """Write an entry for somebody who is not waited for."""
        task = asyncio.create_task(work)
        self.refusing.add(task)
        task.add_done_callback(self.refusing.discard)


class VaultConnection(asyncio.Protocol):
    """One peer's connection."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._requests = frames.Splitter(frames.REQUESTS)
        self._pending: set[asyncio.Task[None]] = set()
        self._replies_unread = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reject peers of a user who may not."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        served, peer = self._served, peer_of(transport.get_extra_info("socket"))
        if not peer.is_trusted(served.users):
            log.warning("peer.refused", pid=peer.pid, uid=peer.uid)
            served.begin_refusal(note_refusal(served.audit, "peer.connect", "refused", peer))
            transport.abort()
            return
        self._handler = RequestHandler(
            served.safe, served.persons, served.rotation, served.audit, served.secret, peer
        )
        served.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection. Its pending writes are finished all the same."""
        self._served.connections.discard(self)

    def pause_writing(self) -> None:
        """The peer does not read its replies: stop reading requests, which would pile up replies in memory."""
        self._replies_unread = True
        self._throttle()

    def resume_writing(self) -> None:
        """The peer reads its replies again."""
        self._replies_unread = False
        self._throttle()

    def data_received(self, data: bytes) -> None:
        """Handle each whole frame."""
        try:
            for request in self._requests.feed(data):
                if self._transport.is_closing():
                    return
                self._handle(request)
        except frames.BadFrame as error:
            log.warning("vault.frame_rejected", reason=str(error))
            self._transport.abort()

    async def close(self) -> None:
        """Finish pending writes, then close the connection."""
        self._transport.pause_reading()
        await asyncio.gather(*self._pending, return_exceptions=True)
        self._transport.close()

    def _handle(self, request: frames.RequestFrame) -> None:
        if isinstance(request, frames.GreetingRequest):
            self._transport.write(frames.pack(self._handler.greet(request)))
            if isinstance(request, frames.Prove) and not self._handler.is_proven:
                self._refuse()
            return
        if not self._handler.is_proven:
            self._transport.write(frames.pack(frames.Refused(request.id, "unproven")))
            self._refuse()
            return
        if isinstance(request, frames.ReadRequest):
            self._transport.write(frames.pack(self._handler.read(request)))
            return
        task = asyncio.create_task(self._write(request))
        self._pending.add(task)
        task.add_done_callback(self._finish)
        self._throttle()

    def _refuse(self) -> None:
        self._served.begin_refusal(self._handler.note_unproven())
        self._transport.close()

    async def _write(self, request: frames.WriteRequest) -> None:
        reply = await self._handler.write(request)
        if not self._transport.is_closing():
            self._transport.write(frames.pack(reply))

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        self._throttle()

    def _throttle(self) -> None:
        # Unread requests wait in the socket: a peer that asks too fast does not fill the vault's memory.
        if self._transport.is_closing():
            return
        if self._replies_unread or len(self._pending) >= PENDING_MAX:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


async def serve(served: Served, path: Path, stop: asyncio.Event) -> None:
    """Serve the socket at `path` until `stop` is set, then finish pending writes. Raises `AuditError`."""
    await served.audit.note("vault.start")
    await served.rotation.resume()
    listener = bind(path, shared=bool(served.users))
    server = await asyncio.get_running_loop().create_unix_server(lambda: VaultConnection(served), sock=listener)
    log.info("vault.ready", socket=str(path))
    await stop.wait()
    server.close()
    await asyncio.gather(*(connection.close() for connection in served.connections))
    await served.rotation.close()
    await asyncio.gather(*served.refusing)
    await served.audit.note("vault.stop")
