"""The supervisor's terminal: lines are printed in a thread of their own.

A terminal can stop taking lines (Ctrl-S, a pager, a full disk behind a redirection). Whoever waited for it would
read no output of the processes meanwhile, and each of them would block on its pipe, in the middle of a payment.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from queue import Full, Queue

from connectors.lasting import LastingThread

LINES_MAX = 10_000  # those that come while so many wait are in the log files alone
CLOSED_WITHIN_S = 1.0


class Terminal:
    """Prints to standard output, in order. Nothing here raises or waits."""

    def __init__(self) -> None:
        self._lines: Queue[str] = Queue(LINES_MAX)
        self._stopping = threading.Event()
        self._thread = LastingThread(self._print, "terminal", self._stopping)

    def say(self, line: str) -> None:
        """Print a line, with the time (UTC)."""
        with suppress(Full):
            self._lines.put_nowait(stamped(line))

    def close(self) -> None:
        """Print what waits, if the terminal takes it within `CLOSED_WITHIN_S`."""
        self._stopping.set()
        with suppress(Full):
            self._lines.put_nowait("")
        self._thread.join(CLOSED_WITHIN_S)

    def _print(self) -> None:
        # Without Python's buffer: its lock would be held where the terminal takes nothing, and needed to exit.
        terminal = sys.stdout.fileno()
        while line := self._lines.get():
            with suppress(OSError):
                os.write(terminal, f"{line}\n".encode())


def stamped(line: str) -> str:
    """The line with the time (UTC) before it."""
    return f"{time.strftime('%H:%M:%S', time.gmtime())}  {line}"
