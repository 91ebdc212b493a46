"""The vault's door: frames in, frames out, on a Unix socket.

What only reads is answered where its bytes come in; what waits for the disk becomes a task, so that replies may
overtake each other. Bytes that are no frame end their own connection and nothing more.
"""

import asyncio
from pathlib import Path

import structlog

from gateway.vault import frames
from gateway.vault.answers import Answers
from gateway.vault.isolation import bind, trusted_peer
from gateway.vault.rotation import Rotation
from gateway.vault.safe import Safe

PENDING_MAX = 256  # writes of one connection in work; past it the vault stops reading from it

log = structlog.get_logger()


class Door(asyncio.Protocol):
    """One connection."""

    def __init__(self, safe: Safe, rotation: Rotation, doors: "set[Door]") -> None:
        self._safe = safe
        self._rotation = rotation
        self._doors = doors
        self._requests = frames.Splitter(frames.REQUESTS)
        self._pending: set[asyncio.Task[None]] = set()
        self._unread = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is; a stranger gets no word."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = trusted_peer(transport.get_extra_info("socket"))
        if peer is None:
            log.warning("vault.stranger")
            transport.abort()
            return
        self._answers = Answers(self._safe, self._rotation, peer)
        self._doors.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """What is in work is finished all the same."""
        self._doors.discard(self)

    def pause_writing(self) -> None:
        """The peer asks faster than it reads our replies."""
        self._unread = True
        self._throttle()

    def resume_writing(self) -> None:
        """The peer caught up."""
        self._unread = False
        self._throttle()

    def data_received(self, data: bytes) -> None:
        """Answer each whole frame."""
        try:
            for request in self._requests.feed(data):
                self._take(request)
        except frames.BadFrame as error:
            log.warning("vault.bad_frame", reason=str(error))
            self._transport.abort()

    async def close(self) -> None:
        """Finish what is in work, then hang up."""
        self._transport.pause_reading()
        await asyncio.gather(*self._pending, return_exceptions=True)
        self._transport.close()

    def _take(self, request: frames.Request) -> None:
        if not self._answers.waits(request):
            self._transport.write(frames.pack(self._answers.at_once(request)))
            return
        task = asyncio.create_task(self._reply_later(request))
        self._pending.add(task)
        task.add_done_callback(self._done)
        self._throttle()

    async def _reply_later(self, request: frames.Request) -> None:
        reply = await self._answers.later(request)
        if not self._transport.is_closing():
            self._transport.write(frames.pack(reply))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        self._throttle()

    def _throttle(self) -> None:
        if self._transport.is_closing():
            return
        if self._unread or len(self._pending) >= PENDING_MAX:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


async def serve(safe: Safe, path: Path, stop: asyncio.Event) -> None:
    """Answer on the socket at `path` until `stop` is set, then finish what is in work."""
    doors: set[Door] = set()
    rotation = Rotation(safe)
    await rotation.resume()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Door(safe, rotation, doors), sock=bind(path))
    log.info("vault.ready", socket=str(path))
    await stop.wait()
    server.close()
    await asyncio.gather(*(door.close() for door in doors))
    await rotation.close()
