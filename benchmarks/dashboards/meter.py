"""What a measurement takes of the machine: CPU time by process, and the load beside it."""

import os
from collections.abc import Sequence

import psutil


class CpuClock:
    """Counts the CPU time of some processes, and of their children."""

    def __init__(self, *pids: int) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]

    def seconds(self) -> float:
        """User and system time of all of them so far."""
        whole = [each for process in self._processes for each in (process, *process.children(recursive=True))]
        times = [each.cpu_times() for each in whole]
        return float(sum(one.user + one.system for one in times))


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so great a share of them is at or below, to a tenth."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)


def load() -> float:
    """The load average of the last minute: whatever else the machine does."""
    return round(os.getloadavg()[0], 1)
