"""The vault's server: frames in, frames out, on a Unix socket and over TLS.

Whoever connects must run as a user who may, or have a certificate of the house, and prove that it knows the
client secret; else its connection ends, with an entry in the audit. A vault that stands by refuses everybody who
asks for more. Reads are answered where their bytes come in. A write waits for the disk in a task of its own, so
its reply may come after those of later requests. Bytes that are no frame end their own connection, nothing more.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.vault import frames
from gateway.vault.addresses import peer_at
from gateway.vault.audit import Audit
from gateway.vault.audit_chain import AuditEvent
from gateway.vault.isolation import Peer
from gateway.vault.person_keys import PersonKeys
from gateway.vault.proof import ClientSecret
from gateway.vault.replica import Replica, Standby
from gateway.vault.request_handler import Greeting, RequestHandler, note_refusal
from gateway.vault.rotation import Rotation
from gateway.vault.safe import Safe

PENDING_MAX = 256  # unfinished writes of one connection; past it the vault stops reading from it

log = structlog.get_logger()


@dataclass(frozen=True)
class Served:
    """What a vault that serves has. `replica`: None where no other vault may stand by."""

    safe: Safe
    persons: PersonKeys
    rotation: Rotation
    audit: Audit
    replica: Replica | None = None


@dataclass
class VaultServer:
    """What all connections share. `users`: uids that may connect as well; `served`: None while it stands by."""

    secret: ClientSecret
    users: frozenset[int]
    served: Served | None = None
    connections: "set[VaultConnection]" = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def note_refusal(self, event: AuditEvent, result: str, peer: Peer) -> None:
        """Write an entry for somebody who is not waited for. Who stands by has no audit of its own, only a log."""
        if self.served is not None:
            self._begin(note_refusal(self.served.audit, event, result, peer))

    def hang_up_over_tls(self) -> None:
        """Have those who came over TLS connect anew: their certificates may not count any more."""
        for connection in [each for each in self.connections if each.is_over_tls]:
            self._begin(connection.close())

    async def close(self) -> None:
        """Finish what was asked for, then close the connections, but for that of a vault that stands by."""
        await asyncio.gather(*(each.close() for each in list(self.connections) if not each.has_standby))
        await asyncio.gather(*self.tasks)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class VaultConnection(asyncio.Protocol):
    """One peer's connection."""

    def __init__(self, server: VaultServer) -> None:
        self._server = server
        self._requests = frames.Splitter(frames.REQUESTS)
        self._greeting = Greeting(server.secret)
        self._handler: RequestHandler | None = None
        self._standby: Standby | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._replies_unread = False

    @property
    def has_standby(self) -> bool:
        """Whether it is that of a vault that stands by."""
        return self._standby is not None

    @property
    def is_over_tls(self) -> bool:
        """Whether it came from another host."""
        return self._peer.certificate is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reject peers of a user who may not."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        server = self._server
        peer = self._peer = peer_at(transport)
        if not peer.is_trusted(server.users):
            log.warning("peer.refused", pid=peer.pid, uid=peer.uid)
            server.note_refusal("peer.connect", "refused", peer)
            transport.abort()
            return
        server.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection. Its pending writes are finished all the same."""
        self._server.connections.discard(self)
        served = self._server.served
        if self._standby is not None and served is not None and served.replica is not None:
            served.replica.lost(self._standby)

    def pause_writing(self) -> None:
        """The peer does not read its replies: stop reading requests, which would pile up replies in memory."""
        self._replies_unread = not self.has_standby  # whose words that it has what we sent would wait, too
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

    def send(self, content: bytes) -> None:
        """Send bytes, as `CopyLink`."""
        self._transport.write(content)

    def abort(self) -> None:
        """Close it at once, as `CopyLink`."""
        self._transport.abort()

    async def close(self) -> None:
        """Finish pending writes, then close the connection."""
        self._transport.pause_reading()
        await asyncio.gather(*self._pending, return_exceptions=True)
        self._transport.close()

    def _handle(self, request: frames.RequestFrame) -> None:
        if isinstance(request, frames.GreetingRequest):
            self._greet(request)
        elif not self._greeting.is_proven:
            self._reply(frames.Refused(request.id, "unproven"))
            self._refuse()
        elif isinstance(request, frames.Copied):  # also while this vault ends: its last entries wait for it
            if self._standby is not None:
                self._standby.confirm(request.id)
        elif (served := self._server.served) is None:
            self._reply(frames.Refused(request.id, "standby"))
        elif isinstance(request, frames.Follow):
            self._copy(request, served)
        else:
            self._serve(request, served)

    def _greet(self, request: frames.GreetingRequest) -> None:
        reply = self._greeting.greet(request)
        if isinstance(request, frames.Prove) and self._greeting.is_proven and self._server.served is None:
            self._reply(frames.Refused(request.id, "standby"))
            self._transport.close()
            return
        self._reply(reply)
        if isinstance(request, frames.Prove) and not self._greeting.is_proven:
            self._refuse()

    def _copy(self, request: frames.Follow, served: Served) -> None:
        if served.replica is None or not self._peer.may_copy():
            log.warning("copy.refused", vault=request.vault, pid=self._peer.pid, uid=self._peer.uid)
            self._server.note_refusal("standby.join", "refused", self._peer)
            self._transport.abort()
        else:
            self._standby = served.replica.follow(request, self)

    def _serve(self, request: frames.ReadRequest | frames.WriteRequest, served: Served) -> None:
        handler = self._handler = self._handler or RequestHandler(
            served.safe, served.persons, served.rotation, served.audit, self._peer
        )
        if isinstance(request, frames.ReadRequest):
            self._reply(handler.read(request))
            return
        task = asyncio.create_task(self._write(handler, request))
        self._pending.add(task)
        task.add_done_callback(self._finish)
        self._throttle()

    def _reply(self, reply: frames.ReplyFrame) -> None:
        self._transport.write(frames.pack(reply))

    def _refuse(self) -> None:
        log.warning("client.refused", pid=self._peer.pid, uid=self._peer.uid, certificate=self._peer.certificate)
        self._server.note_refusal("client.prove", "unproven", self._peer)
        self._transport.close()

    async def _write(self, handler: RequestHandler, request: frames.WriteRequest) -> None:
        reply = await handler.write(request)
        if not self._transport.is_closing():
            self._reply(reply)

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
