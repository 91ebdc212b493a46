"""Bounded memory for keys without bound: a shelf holds so many histories and drops the one unused longest."""

from collections.abc import Callable
from typing import Generic, TypeVar
from zlib import crc32

SHELVES = 32_768  # part of the recovery state: another number would look for each key on another shelf

History = TypeVar("History")


def shelf_of(key: str) -> str:
    """The shelf that holds `key`. Many shelves, so that each holds few histories and is cheap to snapshot."""
    return str(crc32(key.encode()) % SHELVES)


class Shelf(Generic[History]):
    """Histories by key, the one used last at the end. `items` may be one that was kept."""

    def __init__(self, make: Callable[[], History], most: int, items: dict[str, History] | None = None) -> None:
        self._make, self._most = make, most
        self.items: dict[str, History] = items or {}

    def take(self, key: str) -> History:
        """The history of `key`, a new one where there is none; drops the longest unused one for it."""
        history = self.items.pop(key, None)
        if history is None:
            history = self._make()
            while len(self.items) >= self._most:
                del self.items[next(iter(self.items))]
        self.items[key] = history
        return history
