"""The gateway's side of the vault: one connection, many concurrent calls on it.

VaultError
├── VaultAway     no connection, no reply in time, or the vault cannot work right now: try again
├── CardUnknown   this owner has no such card, or its row no longer opens
├── BadCard       not a number of a supported brand
└── NoKey         rotation: there is no newer key
"""

import asyncio
import contextlib
import itertools
from pathlib import Path
from time import monotonic
from typing import TypeVar

from connectors.processors.contract import CardDetails
from gateway.vault import frames
from gateway.vault.frames import CardCounts, StoredCard
from gateway.vault.isolation import trusted_peer

TIMEOUT_S = 2.0
RECENT_S = 0.01  # the age of a reply that still proves the vault is there: under load, most payments need no ping

R = TypeVar("R", bound=frames.Frame)


class VaultError(Exception):
    """A call that the vault did not carry out."""


class VaultAway(VaultError):
    """No reply from the vault. Every call may be repeated: a second time it changes nothing."""


class CardUnknown(VaultError):
    """This owner has no such card."""


class BadCard(VaultError):
    """The number is no card number of a supported brand."""


class NoKey(VaultError):
    """There is no key file with a higher version to rotate to."""


ERRORS: dict[frames.RefusalCode, type[VaultError]] = {
    "unknown_card": CardUnknown,
    "bad_card": BadCard,
    "no_key": NoKey,
    "unavailable": VaultAway,
}


class VaultClient:
    """Connects at its first call, and again after the vault was away. Every call may raise `VaultAway`."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self._connecting = asyncio.Lock()
        self._connection: ClientConnection | None = None
        self._replied_at = -RECENT_S  # monotonic; at first, no reply is recent
        self._checking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return if the vault answers, or has answered any call within `RECENT_S`.

        Concurrent callers share one ping.
        """
        connected = self._connection is not None and not self._connection.down
        if connected and monotonic() - self._replied_at <= RECENT_S:
            return
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self.ping())
        await asyncio.shield(self._checking)  # a caller that is cancelled must not cancel the others' ping

    async def ping(self) -> None:
        """Return if the vault answers."""
        await self._call(frames.Ping(next(self._ids)), frames.Done)

    async def store(
        self, owner_id: str, number: str, exp_month: int, exp_year: int, name: str | None = None
    ) -> StoredCard:
        """Store a card; a number that its owner stored before keeps its token and takes the new expiry and name.

        `number`: 13 to 19 digits, nothing between them. Raises `BadCard`.
        """
        request = frames.StoreCard(next(self._ids), owner_id, number, exp_month, exp_year, name)
        return (await self._call(request, frames.CardStored)).stored

    async def open(self, card_id: str, owner_id: str) -> CardDetails:
        """The number behind a token. Raises `CardUnknown`, for another owner's card too."""
        found = await self._call(frames.OpenCard(next(self._ids), card_id, owner_id), frames.CardOpened)
        return CardDetails(found.number, found.exp_month, found.exp_year)

    async def delete(self, card_id: str, owner_id: str) -> None:
        """Destroy a card. One that is gone already is no error."""
        await self._call(frames.DeleteCard(next(self._ids), card_id, owner_id), frames.Done)

    async def digest(self, data: bytes) -> bytes:
        """A keyed hash (32 bytes) of data that may hold a card number; at most 128 KiB."""
        return (await self._call(frames.Digest(next(self._ids), data), frames.Digested)).digest

    async def rotate(self) -> CardCounts:
        """Begin a key rotation, or join the running one; `count` shows its progress. Raises `NoKey`."""
        return (await self._call(frames.Rotate(next(self._ids)), frames.Counted)).counts

    async def count(self) -> CardCounts:
        """How many cards, under which key version, and how many of them still under an older one."""
        return (await self._call(frames.CountCards(next(self._ids)), frames.Counted)).counts

    async def close(self) -> None:
        """Close the connection. Unanswered calls raise `VaultAway`."""
        if self._connection is not None:
            await self._connection.close()

    async def _call(self, request: frames.Frame, expected: type[R]) -> R:
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._send(request)
        except (OSError, TimeoutError):  # TimeoutError is an OSError; named for the reader
            raise VaultAway from None
        if isinstance(reply, frames.Refused):
            raise ERRORS[reply.code]
        assert isinstance(reply, expected)
        self._replied_at = monotonic()
        return reply

    async def _send(self, request: frames.Frame) -> frames.ReplyFrame:
        if self._connection is not None and not self._connection.down:
            with contextlib.suppress(ConnectionError):  # the vault may have restarted: repeat on a new connection
                return await self._connection.send(request)
        return await (await self._connect()).send(request)

    async def _connect(self) -> "ClientConnection":
        async with self._connecting:  # concurrent callers share the new connection
            if self._connection is None or self._connection.down:
                loop = asyncio.get_running_loop()
                _, self._connection = await loop.create_unix_connection(ClientConnection, str(self._path))
            return self._connection


class ClientConnection(asyncio.Protocol):
    """One connection and the calls that wait on it. `down` is final."""

    def __init__(self) -> None:
        self.down = False
        self._lost = asyncio.Event()
        self._replies = frames.Splitter(frames.REPLIES)
        self._waiting: dict[int, asyncio.Future[frames.ReplyFrame]] = {}

    async def send(self, request: frames.Frame) -> frames.ReplyFrame:
        """The reply to `request`. Raises `ConnectionError` if the connection is lost first."""
        if self.down:
            raise ConnectionResetError
        reply: asyncio.Future[frames.ReplyFrame] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = reply
        self._transport.write(frames.pack(request))
        try:
            return await reply
        finally:
            self._waiting.pop(request.id, None)

    async def close(self) -> None:
        """Close the connection and wait until it is closed."""
        self._transport.close()
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send nothing to a socket of another user: the first frame could hold a card number."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if trusted_peer(transport.get_extra_info("socket")) is None:
            self.down = True
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand each reply to its call."""
        try:
            for reply in self._replies.feed(data):
                waiting = self._waiting.get(reply.id)
                if waiting is not None and not waiting.done():  # else its caller has given up
                    waiting.set_result(reply)
        except frames.BadFrame:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail every waiting call."""
        self.down = True
        self._lost.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError())
