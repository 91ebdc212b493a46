"""The gateway's side of the vault: one connection, many calls at once on it.

VaultError
├── VaultAway     no connection, no answer in time, or the vault cannot work right now: try again
├── CardUnknown   this owner has no such card, or its row no longer opens
├── BadCard       not a number of a brand we know
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
from gateway.vault.frames import Stats, Stored
from gateway.vault.isolation import trusted_peer

TIMEOUT_S = 2.0
JUST_NOW_S = 0.01  # an answer this young says that the vault is there: under load, most payments need no ping

R = TypeVar("R", bound=frames.Frame)


class VaultError(Exception):
    """What the vault did not do."""


class VaultAway(VaultError):
    """No word from the vault. Every call may be made again: repeating one changes nothing."""


class CardUnknown(VaultError):
    """This owner has no such card."""


class BadCard(VaultError):
    """The number is no card number of a brand we know."""


class NoKey(VaultError):
    """There is no key file with a higher version to rotate to."""


ERRORS: dict[frames.Code, type[VaultError]] = {
    "unknown_card": CardUnknown,
    "bad_card": BadCard,
    "no_key": NoKey,
    "unavailable": VaultAway,
}


class VaultClient:
    """Connects with its first call, and again after the vault was away. Every call may raise `VaultAway`."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self._connecting = asyncio.Lock()
        self._line: Line | None = None
        self._answered = -JUST_NOW_S
        self._checking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return if the vault answers, or has answered another call just now. Who asks meanwhile asks along."""
        line_stands = self._line is not None and not self._line.down
        if line_stands and monotonic() - self._answered <= JUST_NOW_S:
            return
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self.ping())
        await asyncio.shield(self._checking)

    async def ping(self) -> None:
        """Return if the vault answers."""
        await self._call(frames.Ping(next(self._ids)), frames.Done)

    async def store(
        self, owner: str, number: str, exp_month: int, exp_year: int, name: str | None = None
    ) -> Stored:
        """Keep a card: the same number of the same owner keeps its token, and takes this expiry and name.

        `number`: 13 to 19 digits, nothing between them. Raises `BadCard`.
        """
        request = frames.StoreCard(next(self._ids), owner, number, exp_month, exp_year, name)
        return (await self._call(request, frames.CardStored)).stored

    async def open(self, card: str, owner: str) -> CardDetails:
        """The number behind a token. Raises `CardUnknown`, for another owner's card too."""
        found = await self._call(frames.OpenCard(next(self._ids), card, owner), frames.CardOpened)
        return CardDetails(found.number, found.exp_month, found.exp_year)

    async def delete(self, card: str, owner: str) -> None:
        """Destroy a card. That it is gone already is no error."""
        await self._call(frames.DeleteCard(next(self._ids), card, owner), frames.Done)

    async def digest(self, data: bytes) -> bytes:
        """A keyed hash (32 bytes) of what may hold a card number; at most 128 KiB."""
        return (await self._call(frames.Digest(next(self._ids), data), frames.Digested)).digest

    async def rotate(self) -> Stats:
        """Begin a key rotation, or join the one that runs; `stats` shows it going on. Raises `NoKey`."""
        return (await self._call(frames.Rotate(next(self._ids)), frames.Counted)).stats

    async def stats(self) -> Stats:
        """How many cards, under which key version, and how many of them still under an older one."""
        return (await self._call(frames.Count(next(self._ids)), frames.Counted)).stats

    async def close(self) -> None:
        """Hang up. Calls in flight raise `VaultAway`."""
        if self._line is not None:
            await self._line.hang_up()

    async def _call(self, request: frames.Frame, expected: type[R]) -> R:
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._ask(request)
        except (OSError, TimeoutError):  # TimeoutError is an OSError; said for the reader
            raise VaultAway from None
        if isinstance(reply, frames.Refused):
            raise ERRORS[reply.code]
        assert isinstance(reply, expected)
        self._answered = monotonic()
        return reply

    async def _ask(self, request: frames.Frame) -> frames.Reply:
        if self._line is not None and not self._line.down:
            with contextlib.suppress(ConnectionError):  # the vault may be back already, and may be asked again
                return await self._line.ask(request)
        return await (await self._connect()).ask(request)

    async def _connect(self) -> "Line":
        async with self._connecting:
            if self._line is None or self._line.down:
                loop = asyncio.get_running_loop()
                _, self._line = await loop.create_unix_connection(Line, str(self._path))
            return self._line


class Line(asyncio.Protocol):
    """One connection and the calls that wait on it. `down` is final."""

    def __init__(self) -> None:
        self.down = False
        self._lost = asyncio.Event()
        self._replies = frames.Splitter(frames.REPLIES)
        self._waiting: dict[int, asyncio.Future[frames.Reply]] = {}

    async def ask(self, request: frames.Frame) -> frames.Reply:
        """The reply to `request`. Raises `ConnectionError` where the line goes down first."""
        if self.down:
            raise ConnectionResetError
        answer: asyncio.Future[frames.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        self._transport.write(frames.pack(request))
        try:
            return await answer
        finally:
            self._waiting.pop(request.id, None)

    async def hang_up(self) -> None:
        """Close the connection and wait until it is closed."""
        self._transport.close()
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send nothing to a socket that somebody else put there."""
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
        """Tell every call that waits."""
        self.down = True
        self._lost.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError())
