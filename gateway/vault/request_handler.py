"""Carries out the requests of one peer, each with an entry of the audit before it is answered.

An entry has who asked, the card's owner and token, the operation and the result, never anything else of the card.
"""

import sqlite3
from secrets import token_bytes
from typing import assert_never

import structlog

from gateway.vault import frames, proof
from gateway.vault.audit import Audit, AuditError
from gateway.vault.audit_chain import AuditEvent
from gateway.vault.audit_trail import OpenRefused
from gateway.vault.cards import KeyExhausted
from gateway.vault.envelope import NotOpened
from gateway.vault.isolation import Peer
from gateway.vault.keys import UnusableKey
from gateway.vault.opens import Opening
from gateway.vault.person_keys import FoundKeys, KeysTooFast, PersonKeys
from gateway.vault.rotation import Rotation
from gateway.vault.safe import InvalidNumber, NoSuchCard, Safe, Secret

log = structlog.get_logger()

REFUSALS: dict[type[Exception], frames.RefusalCode] = {
    NoSuchCard: "unknown_card",
    NotOpened: "unknown_card",  # to the caller the card is gone; the entry says what is wrong
    InvalidNumber: "bad_card",
    UnusableKey: "no_key",
    KeyExhausted: "unavailable",
    KeysTooFast: "too_fast",
    AuditError: "unavailable",  # nothing is opened, stored or told that nobody could be shown later
    sqlite3.Error: "unavailable",
}
EXPECTED: tuple[type[Exception], ...] = (*REFUSALS, OpenRefused)


class Greeting:
    """What a peer may ask before it has proved that it knows `secret`."""

    def __init__(self, secret: proof.ClientSecret) -> None:
        self._secret = secret
        self._nonces: tuple[bytes, bytes] | None = None
        self.is_proven = False

    def greet(self, request: frames.GreetingRequest) -> frames.ReplyFrame:
        """The reply. After a wrong proof nothing else may be asked."""
        match request:
            case frames.Ping():
                return frames.Done(request.id)
            case frames.Hello():
                self._nonces = (request.nonce, token_bytes(frames.NONCE_BYTES))
                answer = proof.of_vault(proof.shown(self._secret), *self._nonces)
                return frames.Challenge(request.id, self._nonces[1], answer)
            case frames.Prove():
                self.is_proven = self._is_right(request.proof)
                return frames.Done(request.id) if self.is_proven else frames.Refused(request.id, "unproven")
            case _:
                assert_never(request)

    def _is_right(self, answer: bytes) -> bool:
        # Each challenge is answered once: the nonces go with the first answer.
        nonces, self._nonces = self._nonces, None
        return nonces is not None and proof.is_of_client(self._secret, answer, *nonces)


class RequestHandler:
    """Handles the requests of `peer`, which has proved that it knows the secret."""

    def __init__(self, safe: Safe, persons: PersonKeys, rotation: Rotation, audit: Audit, peer: Peer) -> None:
        self._safe = safe
        self._persons = persons
        self._rotation = rotation
        self._audit = audit
        self._peer = peer

    def read(self, request: frames.ReadRequest) -> frames.ReplyFrame:
        """The reply to a request that needs no wait for the disk."""
        return frames.Digested(request.id, self._safe.digest(request.data))

    async def write(self, request: frames.WriteRequest) -> frames.ReplyFrame:
        """The reply to a request, once its effect and its entry are on disk."""
        try:
            match request:
                case frames.OpenCard():
                    return await self._open(request)
                case frames.StoreCard():
                    return await self._store(request)
                case frames.DeleteCard():
                    return await self._delete(request)
                case frames.DeleteCards():
                    return await self._delete_all(request)
                case frames.KeepHeads():
                    newest = await self._audit.keep_heads(request.heads, self._peer)
                    return frames.HeadKept(request.id, str(newest or ""))
                case frames.OpenPersonKeys():
                    return await self._open_person_keys(request)
                case frames.DestroyPersonKey():
                    return await self._destroy_person_key(request)
                case frames.Rotate():
                    return await self._rotate(request)
                case frames.CountCards():
                    return frames.Counted(request.id, await self._rotation.count())
                case _:
                    assert_never(request)
        except EXPECTED as error:
            return await self._refuse(request, error)

    async def _open(self, request: frames.OpenCard) -> frames.ReplyFrame:
        card = self._safe.open(request.card_id, request.owner_id)
        asked = Opening(request.operation_id, request.card_id, request.owner_id, request.call)
        head = await self._audit.open_card(asked, self._peer)
        return frames.CardOpened(request.id, card.number, card.exp_month, card.exp_year, str(head))

    async def _store(self, request: frames.StoreCard) -> frames.ReplyFrame:
        secret = Secret(request.number, request.exp_month, request.exp_year, request.name)
        stored = await self._safe.store(request.owner_id, secret)
        result = "created" if stored.created else "updated"
        about = {"card_id": stored.card_id, "owner_id": request.owner_id}
        await self._audit.note("card.store", result, self._peer, **about)
        return frames.CardStored(request.id, stored)

    async def _delete(self, request: frames.DeleteCard) -> frames.ReplyFrame:
        found = await self._safe.delete(request.card_id, request.owner_id)
        about = {"card_id": request.card_id, "owner_id": request.owner_id}
        await self._audit.note("card.delete", "ok" if found else "absent", self._peer, **about)
        return frames.Done(request.id)

    async def _delete_all(self, request: frames.DeleteCards) -> frames.ReplyFrame:
        for card_id in await self._safe.delete_all(request.owner_id):
            await self._audit.note("card.delete", "ok", self._peer, card_id=card_id, owner_id=request.owner_id)
        return frames.Done(request.id)

    async def _open_person_keys(self, request: frames.OpenPersonKeys) -> frames.ReplyFrame:
        if request.make:
            found = await self._persons.find_or_make(request.person_ids)
        else:
            found = FoundKeys(self._persons.find(request.person_ids), [])
        for person_id in found.made_ids:
            await self._audit.note("person.make", "ok", self._peer, owner_id=person_id)
        if read_ids := [person_id for person_id in request.person_ids if person_id not in found.made_ids]:
            await self._audit.note("person.keys", "ok", self._peer, detail=" ".join(read_ids))
        return frames.PersonKeysOpened(request.id, found.keys)

    async def _destroy_person_key(self, request: frames.DestroyPersonKey) -> frames.ReplyFrame:
        had_one = await self._persons.destroy(request.person_id)
        result = "ok" if had_one else "absent"
        await self._audit.note("person.destroy", result, self._peer, owner_id=request.person_id)
        return frames.Done(request.id)

    async def _rotate(self, request: frames.Rotate) -> frames.ReplyFrame:
        counts = await self._rotation.begin()
        detail = f"key version {counts.key_version}, {counts.left} cards left"
        await self._audit.note("keys.rotate", "ok", self._peer, detail=detail)
        return frames.Counted(request.id, counts)

    async def _refuse(self, request: frames.WriteRequest, error: Exception) -> frames.Refused:
        # Only texts that name a key file are logged: one of SQLite's could quote a value.
        event = _event_of(request)
        about = {name: getattr(request, name, None) for name in ("operation_id", "card_id", "owner_id")}
        about["owner_id"] = about["owner_id"] or getattr(request, "person_id", None)
        detail = str(error) if isinstance(error, UnusableKey) else None
        result = str(error) if isinstance(error, OpenRefused) else type(error).__name__
        log.warning("vault.request_refused", kind=event, pid=self._peer.pid, result=result, detail=detail, **about)
        if not isinstance(error, OpenRefused) and event:  # such a one has its entry
            await note_refusal(self._audit, event, result, self._peer, **about)
        return frames.Refused(request.id, _code_of(error))


async def note_refusal(audit: Audit, event: AuditEvent, result: str, peer: Peer, **about: str | None) -> None:
    """Write that something was refused; where even that is impossible the log has it, and it stays refused."""
    try:
        await audit.note(event, result, peer, **about)
    except AuditError as error:
        log.error("audit.failed", kind=event, error=str(error))


def _code_of(error: Exception) -> frames.RefusalCode:
    if isinstance(error, OpenRefused):
        return "too_fast" if str(error) == "too_fast" else "bad_operation"
    return next(code for kind, code in REFUSALS.items() if isinstance(error, kind))


def _event_of(request: frames.WriteRequest) -> AuditEvent | None:
    match request:
        case frames.OpenCard():
            return "card.open"
        case frames.StoreCard():
            return "card.store"
        case frames.DeleteCard() | frames.DeleteCards():
            return "card.delete"
        case frames.KeepHeads():
            return "audit.head"
        case frames.OpenPersonKeys():
            return "person.keys"
        case frames.DestroyPersonKey():
            return "person.destroy"
        case frames.Rotate():
            return "keys.rotate"
        case frames.CountCards():
            return None
        case _:
            assert_never(request)
