"""How long issuers take to decline: our own gate takes as long, or its speed tells a thief that it was the gate.

A decline of the gate waits, before it is committed, for the time that the processor which would have been asked
took for one of its latest declines. It is one of those whose verdict took about as long to come: both depend on
how busy the machine is, and their sum is what a payer can measure. What a wait and its commit take beyond that is
measured too, and taken off the next ones.
"""

from collections import deque
from random import SystemRandom
from statistics import median

from schemas.payments import ProcessorName

KEPT = 300  # of each processor
ALIKE = 30  # of these
OVERRUNS_KEPT = 101
FIRST_S = 0.15  # until a processor answered anything

_random = SystemRandom()
_Times = tuple[float, float]  # until the verdict, and from there to the end of the payment (seconds)


class DeclineTimes:
    """What the latest payments took that an issuer answered, by processor."""

    def __init__(self) -> None:
        self._answers: dict[tuple[ProcessorName, bool], deque[_Times]] = {}
        self._overruns: deque[float] = deque(maxlen=OVERRUNS_KEPT)

    def note(self, processor: ProcessorName, waited_s: float, took_s: float, *, declined: bool) -> None:
        """Remember a payment: its verdict was waited for, then its issuer's answer took so long."""
        self._answers.setdefault((processor, declined), deque(maxlen=KEPT)).append((waited_s, took_s))

    def note_overrun(self, seconds: float) -> None:
        """Remember what a decline of our own took beyond its pause."""
        self._overruns.append(seconds)

    def pause(self, processor: ProcessorName, waited_s: float) -> float:
        """Seconds to wait before the commit of a decline whose verdict was waited for so long."""
        overrun = median(self._overruns) if self._overruns else 0.0
        return max(0.0, self._draw(processor, waited_s) - overrun)

    def _draw(self, processor: ProcessorName, waited_s: float) -> float:
        """What a decline takes from its verdict on; before the first one, what any answer does."""
        times = self._answers.get((processor, True)) or self._answers.get((processor, False))
        if not times:
            return FIRST_S
        alike = sorted(times, key=lambda one: abs(one[0] - waited_s))[:ALIKE]
        return _random.choice(alike)[1]
