"""The way of an item through the steps of the flow, and how each step keeps the order of the intake.

With several workers two items may reach a shard in another order than they were taken in, for they came through
other shards before. So each item names the one before it at each of its shards, and waits there until that one was
processed. What a step computes depends on the intake alone, whatever the number of workers.
"""

from array import array
from typing import Generic, Protocol, TypeVar

import msgspec

from flows.fraud.key_shard import NOBODY, SHARDS


class Route(msgspec.Struct, frozen=True, gc=False):
    """By step: the shard that an item goes to, `NOBODY` where it names none, and the position of the item that
    went there before it: 0 for none in this run, and `AT_ONCE` where nobody waits, as nothing is kept there.
    """

    shards: list[str]
    after: list[int] = []


AT_ONCE = -1
NOWHERE = Route([])  # of an item of no flow


class Routed(Protocol):
    """An item of the flow, once it was taken in."""

    position: int
    route: Route


Item = TypeVar("Item", bound=Routed)


class Predecessors:
    """Which item was the last to go to each shard of each step.

    No snapshot keeps it: all items of finished epochs were processed by all steps, so a new run waits for none.
    """

    def __init__(self) -> None:
        self._last: list[array[int]] = []

    def follow(self, item: Routed) -> None:
        """Note in the route of `item`, which has its position now, whom it follows; the next one follows it."""
        shards, position = item.route.shards, item.position
        while len(self._last) < len(shards):
            self._last.append(array("q", bytes(8 * SHARDS)))
        after = [AT_ONCE] * len(shards)
        for step, shard in enumerate(shards):
            if shard != NOBODY:
                last, place = self._last[step], int(shard)
                after[step], last[place] = last[place], position
        item.route = Route(shards, after)


class InTurn(Generic[Item]):
    """The items of one shard of a `step`, each once the one before it was there."""

    def __init__(self, step: int) -> None:
        self._step, self._last, self._early = step, 0, dict[int, Item]()

    def due(self, items: list[Item]) -> list[Item]:
        """Those of `items` and of earlier ones whose turn it is, in their order."""
        due = list[Item]()
        for item in items:
            after = item.route.after[self._step]
            if after == self._last:
                self._last = item.position
                due.append(item)
            elif after == AT_ONCE:
                due.append(item)
            else:
                self._early[after] = item
            while self._early and (early := self._early.pop(self._last, None)) is not None:
                self._last = early.position
                due.append(early)
        return due

    @property
    def waiting(self) -> int:
        """How many items wait; none at the end of an epoch, for whom they wait for is of that epoch or before."""
        return len(self._early)
