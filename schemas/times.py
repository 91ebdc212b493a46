"""UTC, everywhere: `datetime` at the edges, integer microseconds since 1970 in the books.

Two clocks. The wall clock says when something happened; somebody may set it back an hour or ahead by three. The
steady clock says how long something has lasted, and when something is due (docs/decisions/0027). No other module
reads a clock that can be set.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AHEAD_MAX = timedelta(minutes=5)  # clocks of two machines differ; what claims to be of later than this is refused
# It goes on while the machine sleeps; where there is none, sleep does not count.
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now() -> datetime:
    """The current time by the wall clock, UTC."""
    return from_micros(now_micros())


def as_utc(moment: datetime) -> datetime:
    """`moment`, as UTC where it has no time zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC; exact, unlike `timestamp()`. `moment` must know its zone."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """The UTC moment that `to_micros` numbered."""
    return EPOCH + timedelta(microseconds=micros)


def now_micros() -> int:
    """The current time by the wall clock, in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def boot_micros() -> int:
    """Microseconds since this machine started: the same in all its processes, and nobody can set it."""
    return time.clock_gettime_ns(BOOT_CLOCK) // 1000


def boot_id() -> str:
    """Which start of which machine `boot_micros` counts from; empty where the system does not say."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


class SteadyClock:
    """Runs on from where it was anchored, whatever becomes of the wall clock.

    `offset_us`: what it is ahead of `boot_micros`. It begins with the wall clock's time; whoever shares what is
    due with other processes anchors it where theirs is.
    """

    def __init__(self) -> None:
        self.offset_us = now_micros() - boot_micros()

    def micros(self) -> int:
        """Its time in microseconds, near to the wall clock's for as long as nobody sets that."""
        return boot_micros() + self.offset_us


STEADY = SteadyClock()  # of this process


def steady_micros() -> int:
    """The time of this process's steady clock, in microseconds: to compare with, never to be shown."""
    return STEADY.micros()
