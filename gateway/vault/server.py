"""The vault's server: frames in, frames out, on a Unix socket.

Reads are answered where their bytes come in. A write waits for the disk in a task of its own, so its reply may
come after those of later requests. Bytes that are no frame end their own connection and nothing more.
"""

import asyncio
from pathlib import Path

import structlog

from gateway.vault import frames
from gateway.vault.isolation import bind, trusted_peer
from gateway.vault.request_handler import RequestHandler
from gateway.vault.rotation import Rotation
from gateway.vault.safe import Safe

PENDING_MAX = 256  # unfinished writes of one connection; past it the vault stops reading from it

log = structlog.get_logger()


class VaultConnection(asyncio.Protocol):
    """One peer's connection; `connections` are those that shutdown has to close."""

    def __init__(self, safe: Safe, rotation: Rotation, connections: "set[VaultConnection]") -> None:
        self._safe = safe
        self._rotation = rotation
        self._connections = connections
        self._requests = frames.Splitter(frames.REQUESTS)
        self._pending: set[asyncio.Task[None]] = set()
        self._replies_unread = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reject peers of another user."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer_pid = trusted_peer(transport.get_extra_info("socket"))
        if peer_pid is None:
            log.warning("vault.peer_rejected")
            transport.abort()
            return
        self._handler = RequestHandler(self._safe, self._rotation, peer_pid)
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection. Its pending writes are finished all the same."""
        self._connections.discard(self)

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
        if isinstance(request, frames.ReadRequest):
            self._transport.write(frames.pack(self._handler.read(request)))
            return
        task = asyncio.create_task(self._write(request))
        self._pending.add(task)
        task.add_done_callback(self._finish)
        self._throttle()

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


async def serve(safe: Safe, path: Path, stop: asyncio.Event) -> None:
    """Serve the socket at `path` until `stop` is set, then finish pending writes."""
    connections: set[VaultConnection] = set()
    rotation = Rotation(safe)
    await rotation.resume()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: VaultConnection(safe, rotation, connections), sock=bind(path))
    log.info("vault.ready", socket=str(path))
    await stop.wait()
    server.close()
    await asyncio.gather(*(connection.close() for connection in connections))
    await rotation.close()
