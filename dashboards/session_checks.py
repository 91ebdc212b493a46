"""Whether the gateway still knows a session: asked again within seconds, for no cookie says it.

Streamlit's cookie lives 30 days, whatever the token in it says, and nobody can take it back.
"""

import hashlib
import time
from collections.abc import Callable
from threading import Lock
from typing import get_args

import msgspec
from cachetools import LRUCache

from connectors.gateway import GatewayRefused, GatewayUnavailable
from schemas.accounts import MerchantRole, Role

ASK_AGAIN_S = 8.0  # whoever is shut out is out after this and one look of the page
BELIEVED_S = 25.0  # for so long, where the gateway does not answer
KEPT = 2_000  # sessions

ROLES: tuple[Role, ...] = get_args(Role)
STAFF: frozenset[Role] = frozenset({"analyst", "admin"})
MOVERS: frozenset[MerchantRole] = frozenset({"owner", "operator"})


class OwnMerchant(msgspec.Struct, frozen=True):
    """The merchant that a person acts for, and as what."""

    id: str
    name: str
    role: MerchantRole


class Person(msgspec.Struct, frozen=True):
    """Who is logged in, as `GET /v1/me` says. `id` is the account's; `merchant` null of all but its people."""

    id: str
    role: Role
    name: str = ""
    email: str | None = None
    merchant: OwnMerchant | None = None

    @property
    def is_staff(self) -> bool:
        """Whether they see every merchant's payments."""
        return self.role in STAFF

    def moves_money_of(self, merchant_id: str) -> bool:
        """Whether they may capture, void and refund what was paid to this merchant; the gateway decides."""
        if self.role == "admin":
            return True
        own = self.merchant
        return self.role == "merchant" and own is not None and own.id == merchant_id and own.role in MOVERS


class SessionChecks:
    """The last answer about each of the `KEPT` sessions that were asked about last, by a hash of its token."""

    def __init__(self, ask: Callable[[str], Person]) -> None:
        """`ask` says who has a token. It raises `GatewayRefused` and `GatewayUnavailable`."""
        self._ask = ask
        self._known: LRUCache[bytes, tuple[Person | None, float]] = LRUCache(KEPT)
        self._lock = Lock()  # sessions run in threads of their own

    def person(self, token: str) -> Person | None:
        """Who has this token; None where it is none any more.

        Raises `GatewayUnavailable` where that could not be asked for longer than `BELIEVED_S`, `GatewayRefused`
        for any other refusal than of the token.
        """
        key, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        with self._lock:
            person, asked_at = self._known.get(key, (None, -BELIEVED_S))
        if now - asked_at < ASK_AGAIN_S:
            return person
        try:
            person = self._ask_for(token)
        except GatewayUnavailable:
            if now - asked_at < BELIEVED_S:
                return person
            raise
        with self._lock:
            self._known[key] = person, now
        return person

    def forget(self, token: str) -> None:
        """Ask again the next time."""
        with self._lock:
            self._known.pop(hashlib.sha256(token.encode()).digest(), None)

    def _ask_for(self, token: str) -> Person | None:
        try:
            return self._ask(token)
        except GatewayRefused as refused:
            match refused.status:
                case 401:
                    return None
                case 429 | 503:
                    raise GatewayUnavailable(refused.code) from None
                case _:
                    raise
