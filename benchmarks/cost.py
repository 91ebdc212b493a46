"""What the processes cost: CPU time and memory, as the kernel counts them."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from benchmarks.figures import Cost

MB = 1024 * 1024


class Meter:
    """Adds up the CPU time of processes (name → pid) while it is `counting`; of this one as `load generator`."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._processes["load generator"] = psutil.Process()
        self._cpu_s = dict.fromkeys(self._processes, 0.0)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """What is used inside counts."""
        before = {name: _cpu_s(process) for name, process in self._processes.items()}
        yield
        for name, process in self._processes.items():
            self._cpu_s[name] += _cpu_s(process) - before[name]

    def per(self, payments: int) -> dict[str, Cost]:
        """CPU milliseconds per payment, and the memory of now."""
        return {name: self._cost(name, process, payments) for name, process in self._processes.items()}

    def _cost(self, name: str, process: psutil.Process, payments: int) -> Cost:
        memory = process.memory_full_info()
        return Cost(round(self._cpu_s[name] * 1000 / payments, 2), round(memory.pss / MB), round(memory.rss / MB))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
