"""How many distinct counterparts a key had of late, counted exactly up to a bound.

No sketch: what a rule asks is whether a device had three cards or thirty, and up to 32 a set is exact, smaller
(300 bytes at most) and as fast as a HyperLogLog, which would be 3 % off and could not forget what is a week old.
"""

import msgspec

from schemas.feature_families import SEEN_MAX

WINDOW = 7 * 86_400  # seconds


class Seen(msgspec.Struct, array_like=True, gc=False):
    """The counterparts of the last week, at most `SEEN_MAX`, by a mark of their id; the longest unseen first.

    Of 32 ids two share a mark in one case of eight million. Times are in whole seconds since 1970 UTC; `oldest` is
    none of them, or not after the first. The order of the fields is part of the recovery state.
    """

    last: dict[int, int] = {}
    oldest: int = 0

    def add(self, mark: int, at: int) -> float:
        """How many there are, with the one of this mark, seen at `at`: never before what was seen already."""
        last = self.last
        if mark in last:
            del last[mark]
        last[mark] = at
        if len(last) > SEEN_MAX:  # of a busy key nearly every time
            del last[next(iter(last))]
        if self.oldest <= at - WINDOW:
            self._forget(at - WINDOW)
        return float(len(last))

    def _forget(self, until: int) -> None:
        last = self.last
        while (oldest := last[next(iter(last))]) <= until:
            del last[next(iter(last))]
        self.oldest = oldest
