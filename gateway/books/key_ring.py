"""Persons' keys that were fetched from the vault, each kept for a minute."""

from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

KEPT_S = 60.0
KEPT_MAX = 10_000  # keys: about 2 MB


class Held(NamedTuple):
    """What the vault said of a person: `key` None where they have none. `made`: one would have been made."""

    key: bytes | None
    made: bool
    until: float


class KeyRing:
    """The keys at hand, each for `KEPT_S`, at most `KEPT_MAX`: the oldest go. Threads beside the loop read it.

    `lasting_id`: what is no person's stays, so that a login does not need the vault.
    """

    def __init__(self, lasting_id: str) -> None:
        self._lasting_id = lasting_id
        self._lasting: Held | None = None
        self._held: dict[str, Held] = {}

    def find(self, person_id: str, *, make: bool) -> Held | None:
        """What is known of a person's key; None where the vault has to be asked. `make`: so that one is made."""
        if person_id == self._lasting_id:
            return self._lasting
        held = self._held.get(person_id)
        if held is None or held.until <= monotonic() or (make and held.key is None and not held.made):
            return None
        return held

    def put(self, person_ids: Sequence[str], keys: dict[str, bytes], *, made: bool) -> None:
        """Keep what the vault answered about these persons. Who was forgotten meanwhile stays so."""
        until = monotonic() + KEPT_S
        for person_id in person_ids:
            told = Held(keys.get(person_id), made, until)
            if person_id == self._lasting_id:
                self._lasting = told if told.key else None
            elif not self._is_forgotten(person_id):
                self._keep(person_id, told)
        self._drop_old()

    def forget(self, person_id: str) -> None:
        """The key of a person is to be destroyed: nothing of theirs is opened or sealed from now on."""
        self._keep(person_id, Held(None, made=True, until=monotonic() + KEPT_S))

    def _is_forgotten(self, person_id: str) -> bool:
        held = self.find(person_id, make=True)
        return held is not None and held.key is None

    def _keep(self, person_id: str, held: Held) -> None:
        self._held.pop(person_id, None)  # the order is that in which they end
        self._held[person_id] = held

    def _drop_old(self) -> None:
        now = monotonic()
        for person_id in list(self._held):
            if len(self._held) <= KEPT_MAX and self._held[person_id].until > now:
                break
            del self._held[person_id]
