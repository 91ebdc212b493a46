"""The gateway's side of the vault: one connection, many concurrent calls on it.

Of two vaults the connection is to the one that serves. Each call may be repeated without harm (an open by its
`call`), so one that has no reply within `REPLY_S` looks for the vault that serves now, and asks that one.

VaultError
├── VaultAway         no connection, no reply in time, or the vault cannot work right now: try again
│   ├── Unproven      one of the two does not know the client secret of the other
│   └── TooFast       more cards, or persons' keys, are opened than may be in a second
├── CardUnknown       this owner has no such card, or its row no longer opens
├── OperationRefused  the operation has opened a card before, or is none
├── BadCard           not a number of a supported brand
└── NoKey             rotation: there is no newer key
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from secrets import token_bytes
from time import monotonic
from typing import NamedTuple, TypeVar

import structlog

from connectors.logs import LoggedOnce
from connectors.processors.contract import CardDetails
from gateway.vault import frames
from gateway.vault.addresses import VaultAddress
from gateway.vault.client_connection import ClientConnection, NotProven, connect
from gateway.vault.frames import CardCounts, StoredCard
from gateway.vault.proof import ClientSecret
from schemas.settings import BadSetting

TIMEOUT_S = 2.0
TAKEOVER_TIMEOUT_S = 8.0  # a vault takes over within 5
REPLY_S = 1.5  # where there is another vault: then that one is looked for. A standby that is silent costs 1 s
TRIED_EVERY_S = 0.1
UNPROVEN_EVERY_S = 60.0  # told so often
TOO_FAST_PAUSE_S = 0.05
RECENT_S = 0.01  # the age of a reply that still proves the vault is there: under load, most payments need no ping

R = TypeVar("R", bound=frames.Frame)
Found = tuple[VaultAddress, ClientConnection]
Observe = Callable[[str, str, float], None]

log = structlog.get_logger()


class VaultError(Exception):
    """A call that the vault did not carry out."""


class VaultAway(VaultError):
    """No reply from the vault. Every call may be repeated (an open with its `call`): it changes nothing then."""


class Unproven(VaultAway):
    """Gateway and vault do not know the same client secret: `vault.client` of the one is not that of the other."""


class TooFast(VaultAway):
    """More is asked for than a second's SLUICE_VAULT_OPENS_PER_S or SLUICE_VAULT_PERSON_KEYS_PER_S."""


class OperationRefused(VaultError):
    """The operation has opened a card before, or its id is none."""


class CardUnknown(VaultError):
    """This owner has no such card."""


class BadCard(VaultError):
    """The number is no card number of a supported brand."""


class NoKey(VaultError):
    """There is no key file with a higher version to rotate to."""


ERRORS: dict[frames.RefusalCode, type[VaultError]] = {
    "unknown_card": CardUnknown,
    "bad_card": BadCard,
    "bad_operation": OperationRefused,
    "too_fast": TooFast,
    "no_key": NoKey,
    "unproven": Unproven,
    "unavailable": VaultAway,
    "standby": VaultAway,
}


class OpenedCard(NamedTuple):
    """A card, and the vault's audit's head with the entry of this open: its operation keeps that."""

    details: CardDetails
    audit_head: str


class VaultClient:
    """Connects at its first call, and again after the vault was away. Every call may raise `VaultAway`.

    `addresses`: of the vaults, of which one serves. `secret`: the client secret. `timeout_s`: how long a call may
    take (default: long enough for the other vault to take over, where there is one). `observe` is told of each
    call: its kind, what came of it (`done`, `away`, `cancelled` or a refusal's code), and seconds.
    """

    def __init__(
        self,
        addresses: Sequence[VaultAddress],
        secret: ClientSecret,
        timeout_s: float | None = None,
        observe: Observe = lambda kind, result, seconds: None,
    ) -> None:
        self._addresses = list(addresses)
        self._secret = secret
        self._timeout_s = timeout_s or (TIMEOUT_S if len(self._addresses) == 1 else TAKEOVER_TIMEOUT_S)
        self._observe = observe
        self._ids = itertools.count(1)
        self._connecting = asyncio.Lock()
        self._connection: ClientConnection | None = None
        self._serving: VaultAddress | None = None
        self._replied_at = -RECENT_S  # monotonic; at first, no reply is recent
        self._checking: asyncio.Task[None] | None = None
        self._once = LoggedOnce(UNPROVEN_EVERY_S)

    @property
    def serving(self) -> str | None:
        """Where the vault is that answered last; None before the first answer."""
        return None if self._serving is None else str(self._serving)

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

    async def open(self, card_id: str, owner_id: str, operation_id: str, call: bytes | None = None) -> OpenedCard:
        """The number behind a token, for one operation, once.

        `call`: 16 random bytes, the same where the caller repeats an open that raised `VaultAway`. Raises
        `CardUnknown`, for another owner's card too, and `OperationRefused`.
        """
        request = frames.OpenCard(next(self._ids), card_id, owner_id, operation_id, call or token_bytes(16))
        found = await self._call(request, frames.CardOpened)
        return OpenedCard(CardDetails(found.number, found.exp_month, found.exp_year), found.audit_head)

    async def delete(self, card_id: str, owner_id: str) -> None:
        """Destroy a card. One that is gone already is no error."""
        await self._call(frames.DeleteCard(next(self._ids), card_id, owner_id), frames.Done)

    async def delete_all(self, owner_id: str) -> None:
        """Destroy every card of an owner, also those that nobody else knows of."""
        await self._call(frames.DeleteCards(next(self._ids), owner_id), frames.Done)

    async def person_keys(self, person_ids: Sequence[str], make: bool = False) -> dict[str, bytes]:
        """The keys (32 bytes) of persons, without those whose was destroyed, or never made.

        `make`: whoever never had a key gets one. Raises `TooFast` after as long as a call may take.
        """
        found: dict[str, bytes] = {}
        for start in range(0, len(person_ids), frames.PERSONS_MAX):
            found |= await self._person_keys(list(person_ids[start : start + frames.PERSONS_MAX]), make)
        return found

    async def _person_keys(self, person_ids: list[str], make: bool) -> dict[str, bytes]:
        give_up = monotonic() + self._timeout_s
        while True:
            try:
                request = frames.OpenPersonKeys(next(self._ids), person_ids, make)
                return (await self._call(request, frames.PersonKeysOpened)).keys
            except TooFast:
                if monotonic() > give_up:
                    raise
                await asyncio.sleep(TOO_FAST_PAUSE_S)

    async def destroy_person_key(self, person_id: str) -> None:
        """Destroy a person's key for ever. One that is gone already is no error."""
        await self._call(frames.DestroyPersonKey(next(self._ids), person_id), frames.Done)

    async def digest(self, data: bytes) -> bytes:
        """A keyed hash (32 bytes) of data that may hold a card number; at most 128 KiB."""
        return (await self._call(frames.Digest(next(self._ids), data), frames.Digested)).digest

    async def keep_heads(self, heads: list[str]) -> str:
        """Have the vault keep heads of the books' audit, in order; at most `frames.HEADS_MAX`.

        The one that it kept last; empty where it has kept none. Nothing is written where `heads` is empty.
        """
        return (await self._call(frames.KeepHeads(next(self._ids), heads), frames.HeadKept)).newest

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
        began, result = monotonic(), "away"
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._send(request)
            result = reply.code if isinstance(reply, frames.Refused) else "done"
        except (OSError, TimeoutError):  # TimeoutError is an OSError; named for the reader
            raise VaultAway from None
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        finally:
            self._observe(frames.kind_of(request), result, monotonic() - began)
        if isinstance(reply, frames.Refused):
            raise ERRORS[reply.code]
        assert isinstance(reply, expected)
        self._replied_at = monotonic()
        return reply

    async def _send(self, request: frames.Frame) -> frames.ReplyFrame:
        if len(self._addresses) > 1:
            return await self._send_to_who_serves(request)
        if self._connection is not None and not self._connection.down:
            with contextlib.suppress(ConnectionError):  # the vault may have restarted: repeat on a new connection
                return await self._connection.send(request)
        return await (await self._connect()).send(request)

    async def _send_to_who_serves(self, request: frames.Frame) -> frames.ReplyFrame:
        """The reply of whichever vault serves, as soon as one does; the caller's timeout ends it."""
        while True:
            connection = await self._connect()
            try:
                async with asyncio.timeout(REPLY_S):
                    reply = await connection.send(request)
            except (OSError, TimeoutError) as error:
                if connection is self._connection:  # one line, however many wait for it, who ask again as well
                    self._connection = None
                    log.warning("vault.silent", vault=self.serving, error=type(error).__name__)
                connection.abort()
                continue
            if not (isinstance(reply, frames.Refused) and reply.code == "standby"):
                return reply
            connection.abort()

    async def _connect(self) -> ClientConnection:
        async with self._connecting:  # concurrent callers share the new connection
            if self._connection is None or self._connection.down:
                address, self._connection = await self._found()
                if address != self._serving and len(self._addresses) > 1:
                    log.info("vault.chosen", vault=str(address))
                self._serving = address
            return self._connection

    async def _found(self) -> Found:
        """Who serves, and a connection there. Raises `Unproven` and `OSError`, with several addresses neither."""
        if len(self._addresses) == 1:
            [address] = self._addresses
            try:
                return address, await connect(address, self._secret, self._ids)
            except NotProven:
                raise Unproven from None
            except BadSetting as error:  # a certificate that is half replaced
                if self._once.is_due(address):
                    log.error("vault.unproven", vault=str(address), error=type(error).__name__)
                raise VaultAway from None
        trying = [asyncio.create_task(self._try(address)) for address in self._addresses]
        try:
            done, _ = await asyncio.wait(trying, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            _end(trying)

    async def _try(self, address: VaultAddress) -> Found:
        """A connection to a vault once it serves: one that is frozen must not hold up the search for the other."""
        while True:
            try:
                async with asyncio.timeout(REPLY_S):
                    return address, await connect(address, self._secret, self._ids)
            except (OSError, TimeoutError):
                pass
            except (NotProven, BadSetting) as error:
                if self._once.is_due(address):
                    log.error("vault.unproven", vault=str(address), error=type(error).__name__)
            await asyncio.sleep(TRIED_EVERY_S)


def _end(trying: "list[asyncio.Task[Found]]") -> None:
    """End the tries that were not needed."""
    for task in trying:
        task.cancel()
