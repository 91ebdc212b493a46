"""Carries out each request, with one audit line for each card that was touched.

An audit line has who asked (pid), the card's owner, its token and the result, never anything of the card.
"""

import sqlite3
from typing import assert_never

import structlog

from gateway.vault import frames
from gateway.vault.cards import KeyExhausted
from gateway.vault.envelope import NotOpened
from gateway.vault.keys import UnusableKey
from gateway.vault.rotation import Rotation
from gateway.vault.safe import InvalidNumber, NoSuchCard, Safe, Secret

log = structlog.get_logger()

REFUSALS: dict[type[Exception], frames.RefusalCode] = {
    NoSuchCard: "unknown_card",
    NotOpened: "unknown_card",  # to the caller the card is gone; the audit line says what is wrong
    InvalidNumber: "bad_card",
    UnusableKey: "no_key",
    KeyExhausted: "unavailable",
    sqlite3.Error: "unavailable",
}
EXPECTED = tuple(REFUSALS)


class RequestHandler:
    """Handles the requests of one peer, a process with the pid `peer_pid`."""

    def __init__(self, safe: Safe, rotation: Rotation, peer_pid: int) -> None:
        self._safe = safe
        self._rotation = rotation
        self._peer_pid = peer_pid

    def read(self, request: frames.ReadRequest) -> frames.ReplyFrame:
        """The reply to a request that needs no wait for the disk."""
        try:
            match request:
                case frames.Ping():
                    return frames.Done(request.id)
                case frames.OpenCard():
                    return self._open(request)
                case frames.Digest():
                    return frames.Digested(request.id, self._safe.digest(request.data))
                case _:
                    assert_never(request)
        except EXPECTED as error:
            return self._refuse(request, error)

    async def write(self, request: frames.WriteRequest) -> frames.ReplyFrame:
        """The reply to a request of the writer, once its effect is on disk."""
        try:
            match request:
                case frames.StoreCard():
                    return await self._store(request)
                case frames.DeleteCard():
                    return await self._delete(request)
                case frames.Rotate():
                    return await self._rotate(request)
                case frames.CountCards():
                    return frames.Counted(request.id, await self._rotation.count())
                case _:
                    assert_never(request)
        except EXPECTED as error:
            return self._refuse(request, error)

    def _open(self, request: frames.OpenCard) -> frames.ReplyFrame:
        card = self._safe.open(request.card_id, request.owner_id)
        self._audit("vault.open", request.card_id, request.owner_id, "ok")
        return frames.CardOpened(request.id, card.number, card.exp_month, card.exp_year)

    async def _store(self, request: frames.StoreCard) -> frames.ReplyFrame:
        secret = Secret(request.number, request.exp_month, request.exp_year, request.name)
        stored = await self._safe.store(request.owner_id, secret)
        self._audit("vault.store", stored.card_id, request.owner_id, "created" if stored.created else "updated")
        return frames.CardStored(request.id, stored)

    async def _delete(self, request: frames.DeleteCard) -> frames.ReplyFrame:
        found = await self._safe.delete(request.card_id, request.owner_id)
        self._audit("vault.delete", request.card_id, request.owner_id, "ok" if found else "absent")
        return frames.Done(request.id)

    async def _rotate(self, request: frames.Rotate) -> frames.ReplyFrame:
        counts = await self._rotation.begin()
        log.info("vault.rotate", key=counts.key_version, left=counts.left, peer_pid=self._peer_pid, result="ok")
        return frames.Counted(request.id, counts)

    def _audit(self, event: str, card_id: str, owner_id: str, result: str) -> None:
        log.info(event, card_id=card_id, owner_id=owner_id, peer_pid=self._peer_pid, result=result)

    def _refuse(self, request: frames.RequestFrame, error: Exception) -> frames.Refused:
        # Only texts that name a key file are logged: one of SQLite's could quote a value.
        detail = str(error) if isinstance(error, UnusableKey) else None
        log.warning(
            f"vault.{request.__struct_config__.tag}",
            card_id=getattr(request, "card_id", None),
            owner_id=getattr(request, "owner_id", None),
            peer_pid=self._peer_pid,
            result=type(error).__name__,
            detail=detail,
        )
        return frames.Refused(request.id, next(code for kind, code in REFUSALS.items() if isinstance(error, kind)))
