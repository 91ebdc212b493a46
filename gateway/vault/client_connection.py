"""A client's connection to a vault: requests out, each reply to its call, and the proof of the client secret."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from secrets import token_bytes

from gateway.vault import frames, proof
from gateway.vault.addresses import VaultAddress

Ask = Callable[[frames.Frame], Awaitable[frames.Frame]]


class NotProven(Exception):
    """One of the two does not know the client secret of the other."""


class StandsBy(ConnectionError):
    """The vault there stands by for another one."""


class ClientConnection(asyncio.Protocol):
    """One connection and the calls that wait on it. `down` is final. `is_vault`: whether a vault answers there."""

    def __init__(self, is_vault: Callable[[asyncio.BaseTransport], bool]) -> None:
        self.down = False
        self._is_vault = is_vault
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

    def abort(self) -> None:
        """Close the connection at once."""
        self.down = True
        self._transport.abort()

    async def close(self) -> None:
        """Close the connection and wait until it is closed."""
        self._transport.close()
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send nothing to who is no vault: the first frame could hold a card number."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._is_vault(transport):
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


async def connect(address: VaultAddress, secret: proof.ClientSecret, ids: Iterator[int]) -> ClientConnection:
    """A new connection on which both have proved that they know the secret; requests take their ids from `ids`.

    A second one is tried: the secret may just have been replaced by another. Raises `NotProven`, `StandsBy` and
    `OSError`.
    """
    try:
        return await _proven(address, secret, ids)
    except NotProven:
        return await _proven(address, secret, ids)


async def _proven(address: VaultAddress, secret: proof.ClientSecret, ids: Iterator[int]) -> ClientConnection:
    made = await address.connect(lambda: ClientConnection(address.is_vault))
    proven = False
    try:
        await prove(made.send, secret, ids)
        proven = True
    finally:
        if not proven:
            made.abort()
    return made


async def prove(ask: Ask, secret: proof.ClientSecret, ids: Iterator[int]) -> None:
    """Prove the secret to a vault that proves it first; `ask` returns the reply to a frame.

    Raises `NotProven`, `StandsBy` and whatever `ask` raises.
    """
    mine = token_bytes(frames.NONCE_BYTES)
    challenge = await ask(frames.Hello(next(ids), mine))
    if not isinstance(challenge, frames.Challenge):
        raise NotProven
    nonces = (mine, challenge.nonce)
    if (known := proof.proved_to(secret, challenge.proof, *nonces)) is None:
        raise NotProven
    reply = await ask(frames.Prove(next(ids), proof.of_client(known, *nonces)))
    if isinstance(reply, frames.Refused) and reply.code == "standby":
        raise StandsBy
    if not isinstance(reply, frames.Done):
        raise NotProven
