"""Tasks and threads whose unasked end is that of their process; each program here is a process of its own."""

import subprocess
import sys
import textwrap

import pytest

from connectors.lasting import DIED
from tests.patience import until

BEGIN = """
import asyncio, threading, time
from connectors.lasting import LastingTask, LastingThread, LastingThreads
from connectors.logs import configure
configure("test")

async def fail():
    await asyncio.sleep(0.01)
    raise ValueError("no")

async def end():
    await asyncio.sleep(0.01)

async def last():
    await asyncio.sleep(600)

def stop_thread():
    raise SystemExit
"""
DEATHS = {
    "an error": "LastingTask(fail(), 'a', returns=True); await last()",
    "a return": "LastingTask(end(), 'a'); await last()",
    "somebody's cancel": "LastingTask(last(), 'a')._task.cancel(); await last()",
    "an error in a thread": "LastingThread(lambda: 1 / 0, 'a', threading.Event()); await last()",
    "the return of a thread": "LastingThread(lambda: None, 'a', threading.Event()); await last()",
    "the end of a thread of several": "LastingThreads(2, 'a').submit(stop_thread); await last()",
}
LIVES = {
    "a stop": "task = LastingTask(last(), 'a'); await task.stop()",
    "a return that is well": "task = LastingTask(end(), 'a', returns=True); await task.done()",
    "the end of the loop": "LastingTask(last(), 'a')",
    "a thread that is asked to end": """
        stopping = threading.Event()
        thread = LastingThread(stopping.wait, 'a', stopping)
        stopping.set()
        thread.join()
    """,
    "an error of what a thread calls": """
        threads = LastingThreads(1, 'a')
        calls = [threads.submit(call) for call in (lambda: 1 / 0, lambda: 7)]
        assert isinstance(calls[0].exception(), ZeroDivisionError) and calls[1].result() == 7
        threads.shutdown()
    """,
    "calls that nobody waits for any more": """
        threads = LastingThreads(1, 'a')
        calls = [threads.submit(time.sleep, 0.05) for _ in range(3)]
        while not calls[0].running(): await asyncio.sleep(0.001)
        threads.shutdown(cancel_futures=True)
        assert [call.cancelled() for call in calls] == [False, True, True]
    """,
}
FULL_PIPE = """
import os
os.set_blocking(1, False)
try:
    while os.write(1, bytes(1000)): pass
except BlockingIOError:
    os.set_blocking(1, True)
LastingTask(fail(), 'a')
await last()
"""
NO_FILES = """
import resource
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
LastingTask(fail(), 'a')
resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit))
await last()
"""


def program(body: str) -> list[str]:
    body = textwrap.indent(textwrap.dedent(body), "    ")
    return [sys.executable, "-c", f"{BEGIN}\nasync def main():\n{body}\nasyncio.run(main())"]


@pytest.mark.parametrize("way", DEATHS)
def test_an_end_that_nobody_asked_for_ends_the_process(way: str) -> None:
    ended = subprocess.run(program(DEATHS[way]), capture_output=True, timeout=60)
    assert ended.returncode == DIED, ended.stderr
    assert b'"task":"a"' in ended.stdout
    assert b'"event":"task.died"' in ended.stdout


@pytest.mark.parametrize("way", LIVES)
def test_an_end_that_somebody_asked_for_does_not(way: str) -> None:
    ended = subprocess.run(program(LIVES[way]), capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b""), ended.stderr


def test_it_ends_even_where_nobody_reads_what_it_logs() -> None:
    with subprocess.Popen(program(FULL_PIPE), stdout=subprocess.PIPE) as process:
        until(lambda: process.poll() is not None)


def test_it_ends_even_where_no_file_can_be_opened() -> None:
    assert subprocess.run(program(NO_FILES), timeout=60).returncode == DIED
