"""Runs a program, and kills one of its lasting tasks or threads: `python -m benchmarks.assassin NAME PROGRAM`.

The program is a module or a text. Once the process gets SIGUSR2, each task of that name is cancelled from outside
and each thread of that name gets a `SystemExit`.
"""

import asyncio
import ctypes
import runpy
import signal
import sys
import threading
import time

EVERY_S = 0.001
AGAIN_AFTER_S = 1.0


class Loops(asyncio.DefaultEventLoopPolicy):
    """Knows every event loop that the program opens."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[asyncio.AbstractEventLoop] = []

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A loop, noted."""
        loop = super().new_event_loop()
        self.opened.append(loop)
        return loop


def lurk(name: str, loops: Loops) -> None:
    """Kill what has that name, once told to.

    It waits for the signal itself: a handler runs in the main thread, which may just begin a long sleep.
    """
    signal.sigwait({signal.SIGUSR2})
    killed: dict[int, float] = {}
    while True:
        _kill_threads(name, killed)
        for loop in loops.opened:
            loop.call_soon_threadsafe(_kill_tasks, name, loop)
        time.sleep(EVERY_S)


def _kill_threads(name: str, killed: dict[int, float]) -> None:
    """Again after a while: a callback of a C library may have swallowed it."""
    for thread in threading.enumerate():
        ident = thread.ident or 0
        if thread.name == name and time.monotonic() - killed.get(ident, -AGAIN_AFTER_S) >= AGAIN_AFTER_S:
            killed[ident] = time.monotonic()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit))


def _kill_tasks(name: str, loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        if task.get_name() == name:
            task.cancel()


def main() -> None:
    """Run the program with somebody in it who lurks."""
    name, program = sys.argv[1:]
    loops = Loops()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    asyncio.set_event_loop_policy(loops)
    threading.Thread(target=lurk, args=(name, loops), daemon=True).start()
    sys.argv = [program]
    if " " in program:
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
