"""Dead letters for admins: read from Kafka itself, in a thread, one call at a time.

A call that waits longer than `WAITS_S` for the one before it is refused: however many are asked for, they cost one
thread and one connection.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from connectors.dead_letters import Bounds, DeadLetters, FoundLetter, KafkaAway, Replayed
from connectors.kafka_login import Bootstrap

T = TypeVar("T")
AsOwner = Callable[[str], Bootstrap | None]

WAITS_S = 5.0


class DeadLetterDesk:
    """What admins ask about dead letters. Its methods raise `KafkaAway`."""

    def __init__(self, bootstrap: Bootstrap, as_owner: AsOwner) -> None:
        self._bootstrap, self._as_owner = bootstrap, as_owner
        self._free = asyncio.Lock()

    async def page(self, before: Bounds, most: int) -> tuple[list[FoundLetter], Bounds]:
        """Up to `most` letters below the bounds, the newest first, and the bounds of the next page."""
        return await self._asked(lambda letters: letters.page(before, most))

    async def replay(self, letter_id: str) -> tuple[FoundLetter, Replayed] | None:
        """Send the record of a letter again where it is readable; None where there is no such letter."""

        def replayed(letters: DeadLetters) -> tuple[FoundLetter, Replayed] | None:
            letter = letters.letter(letter_id)
            return None if letter is None else (letter, letters.replay(letter))

        return await self._asked(replayed)

    async def _asked(self, ask: Callable[[DeadLetters], T]) -> T:
        try:
            async with asyncio.timeout(WAITS_S):
                await self._free.acquire()
        except TimeoutError:
            raise KafkaAway from None
        try:
            return await asyncio.to_thread(_answer, self._bootstrap, self._as_owner, ask)
        finally:
            self._free.release()


def _answer(bootstrap: Bootstrap, as_owner: AsOwner, ask: Callable[[DeadLetters], T]) -> T:
    with DeadLetters(bootstrap, as_owner) as letters:
        return ask(letters)
