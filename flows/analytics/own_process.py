"""What a process of the warehouse asks of the system: how large it is and may become, and who goes before it.

And what it does without: pandas, which DuckDB and Arrow import where they can, for a second and 70 MB.
"""

import os
import resource
import sys
import threading
import warnings
from pathlib import Path
from types import ModuleType

import pyarrow as pa

RESTART = 75  # EX_TEMPFAIL: the supervisor starts a process that ends with it again at once
NICE = 10

RESIDENT, DATA = 1, 5  # fields of /proc/self/statm
THREADS_MAX = 160  # Quack has 128, which begin after it serves
STACK = 8 * 2**20  # bytes, of a thread where there is no limit


def resident_mb() -> float:
    """Resident memory of this process, in MB."""
    return _statm_mb(RESIDENT)


def bound_memory(mb: int) -> None:
    """Let this process grow by so many MB and no more: a statement takes memory faster than it is looked at.

    The stacks of threads that have yet to begin are not counted.
    """
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    to_begin = max(0, THREADS_MAX - len(list(Path("/proc/self/task").iterdir())))
    limit = int((_statm_mb(DATA) + mb) * 2**20) + to_begin * (STACK if stack == resource.RLIM_INFINITY else stack)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # of what it may write to, not of mere addresses


def step_back() -> None:
    """Let payments, and whoever else is on this machine, go before this thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def do_without_pandas() -> None:
    """Keep pandas out of this process; call it before anything is asked of DuckDB.

    A stand-in has the names that DuckDB compares each value with that it is given: where there is no module, it
    tries to import one for each of them, 15 µs a value. For Arrow it is too old, which that says once.
    """
    stand_in = ModuleType("pandas")
    vars(stand_in).update(__version__="0", NaT=object(), NA=object(), DataFrame=type("DataFrame", (), {}))
    sys.modules["pandas"] = stand_in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pa.array([""])


def _statm_mb(field: int) -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[field])
    return pages * resource.getpagesize() / 2**20
