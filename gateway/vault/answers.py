"""What the vault says to each request, with one audit line for each card that was touched.

An audit line has who asked (pid), whose card, which token and the result, never anything of the card.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from gateway.vault import frames
from gateway.vault.cards import WornOut
from gateway.vault.envelope import NotOpened
from gateway.vault.keys import UnusableKey
from gateway.vault.rotation import Rotation
from gateway.vault.safe import BadCard, CardUnknown, Safe, Secret

log = structlog.get_logger()

REFUSALS: dict[type[Exception], frames.Code] = {
    CardUnknown: "unknown_card",
    NotOpened: "unknown_card",  # to the caller the card is gone; the audit line says what is wrong
    BadCard: "bad_card",
    UnusableKey: "no_key",
    WornOut: "unavailable",
    sqlite3.Error: "unavailable",
}
EXPECTED = tuple(REFUSALS)


class Answers:
    """The answers to one peer. What waits for the disk is a coroutine, everything else is there at once."""

    def __init__(self, safe: Safe, rotation: Rotation, peer: int) -> None:
        self._safe = safe
        self._rotation = rotation
        self._peer = peer
        self._slow: dict[type[frames.Frame], Callable[[Any], Awaitable[frames.Reply]]] = {
            frames.StoreCard: self._store,
            frames.DeleteCard: self._delete,
            frames.Rotate: self._rotate,
            frames.Count: self._count,
        }

    def waits(self, request: frames.Request) -> bool:
        """Whether the request waits for the disk: then it is for `later`, else for `at_once`."""
        return type(request) in self._slow

    def at_once(self, request: frames.Request) -> frames.Reply:
        """The answer to what only reads."""
        if isinstance(request, frames.OpenCard):
            return self._open(request)
        if isinstance(request, frames.Digest):
            return frames.Digested(request.id, self._safe.digest(request.data))
        return frames.Done(request.id)

    async def later(self, request: frames.Request) -> frames.Reply:
        """The answer to what writes, once it is on disk."""
        try:
            return await self._slow[type(request)](request)
        except EXPECTED as error:
            return self._refuse(request, error)

    def _open(self, request: frames.OpenCard) -> frames.Reply:
        try:
            card = self._safe.open(request.card, request.owner)
        except EXPECTED as error:
            return self._refuse(request, error)
        log.info("vault.open", card=request.card, owner=request.owner, peer=self._peer, result="ok")
        return frames.CardOpened(request.id, card.number, card.exp_month, card.exp_year)

    async def _store(self, request: frames.StoreCard) -> frames.Reply:
        secret = Secret(request.number, request.exp_month, request.exp_year, request.name)
        stored = await self._safe.store(request.owner, secret)
        result = "created" if stored.created else "updated"
        log.info("vault.store", card=stored.card, owner=request.owner, peer=self._peer, result=result)
        return frames.CardStored(request.id, stored)

    async def _delete(self, request: frames.DeleteCard) -> frames.Reply:
        result = "ok" if await self._safe.delete(request.card, request.owner) else "absent"
        log.info("vault.delete", card=request.card, owner=request.owner, peer=self._peer, result=result)
        return frames.Done(request.id)

    async def _rotate(self, request: frames.Rotate) -> frames.Reply:
        stats = await self._rotation.begin()
        log.info("vault.rotate", key=stats.key, left=stats.left, peer=self._peer, result="ok")
        return frames.Counted(request.id, stats)

    async def _count(self, request: frames.Count) -> frames.Reply:
        return frames.Counted(request.id, await self._rotation.count())

    def _refuse(self, request: frames.Request, error: Exception) -> frames.Refused:
        # Only what names a key file is worth its text; SQLite's could quote a value.
        detail = str(error) if isinstance(error, UnusableKey) else None
        log.warning(
            f"vault.{request.__struct_config__.tag}",
            card=getattr(request, "card", None),
            owner=getattr(request, "owner", None),
            peer=self._peer,
            result=type(error).__name__,
            detail=detail,
        )
        return frames.Refused(request.id, next(code for kind, code in REFUSALS.items() if isinstance(error, kind)))
