"""The supervisor with small real processes: order, restarts, what it leaves alone, how it stops."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from sluice.child import Child
from sluice.processes import Process
from sluice.supervisor import Supervisor

SLEEP = "import time; time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"


async def at_once(_pid: int) -> bool:
    return True


async def never(_pid: int) -> bool:
    return False


def python(name: str, code: str, probe: Callable[[int], Awaitable[bool]] = at_once, **more: object) -> Process:
    process = Process(name=name, command=[sys.executable, "-c", code], probe=probe)
    return msgspec.structs.replace(process, **more)


async def until(holds: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


class Stack:
    """A supervisor that runs, and what it said."""

    def __init__(self, data: Path, processes: list[Process], patience_s: float) -> None:
        self.said: list[str] = []
        self.supervisor = Supervisor(processes, data, self.said.append, lambda: None, patience_s)
        self.stop, self.kill = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self.supervisor.run(self.stop, self.kill))

    def child(self, name: str) -> Child:
        return self.supervisor.children[name]

    def index(self, start: str) -> int:
        return next(number for number, line in enumerate(self.said) if " ".join(line.split()).startswith(start))

    async def all_ready(self) -> None:
        await until(lambda: "everything is ready" in self.said)

    async def end(self) -> float:
        began = time.monotonic()
        self.stop.set()
        await self.task
        return time.monotonic() - began


@asynccontextmanager
async def running(data: Path, *processes: Process, patience_s: float = 20) -> AsyncIterator[Stack]:
    stack = Stack(data, list(processes), patience_s)
    try:
        yield stack
    finally:
        stack.kill.set()
        await stack.end()
        assert not [c for c in stack.supervisor.children.values() if c.pid or c.state != "stopped"]


async def frozen(child: Child) -> int:
    assert child.pid
    await until(lambda: psutil.Process(child.pid).cmdline() == child.process.command)
    os.kill(child.pid, signal.SIGSTOP)
    await until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    return child.pid


async def test_the_pid_is_the_process_itself(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", SLEEP)) as stack:
        await stack.all_ready()
        pid = stack.child("one").pid
        await until(lambda: psutil.Process(pid).cmdline() == [sys.executable, "-c", SLEEP])
        assert psutil.Process(pid).ppid() == os.getpid()


async def test_a_process_starts_when_those_it_needs_are_ready_and_stops_before_them(tmp_path: Path) -> None:
    async def when_asked(_pid: int) -> bool:
        return (tmp_path / "go").exists()

    first = python("first", SLEEP, when_asked)
    async with running(tmp_path, python("second", SLEEP, needs=("first",)), first) as stack:
        await until(lambda: stack.child("first").pid)
        assert stack.child("second").pid is None
        (tmp_path / "go").touch()
        await stack.all_ready()
        await stack.end()
        assert stack.index("first ready") < stack.index("second starting")
        assert stack.index("second stopped") < stack.index("first stopped")


async def test_a_process_does_not_wait_for_ever_for_those_it_comes_after(tmp_path: Path) -> None:
    broken = python("broken", "raise SystemExit(1)", never)
    async with running(tmp_path, broken, python("gateway", SLEEP, after=("broken",)), patience_s=0.2) as stack:
        await until(lambda: stack.child("gateway").state == "ready")
        assert "gateway       starts without waiting longer for broken" in stack.said


async def test_what_was_killed_is_started_again_after_a_second(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", SLEEP), python("other", SLEEP)) as stack:
        await stack.all_ready()
        one, other = stack.child("one"), stack.child("other")
        before, others = one.pid, other.pid
        assert before
        os.kill(before, signal.SIGKILL)
        await until(lambda: one.state == "backoff")
        began = time.monotonic()
        assert one.pid is None
        await until(lambda: one.state == "ready")
        assert time.monotonic() - began > 0.8
        assert one.pid != before
        assert (one.restarts, other.restarts, other.pid) == (1, 0, others)
        assert any("killed by SIGKILL, again in 1 s" in line for line in stack.said)


async def test_the_wait_doubles_while_it_keeps_crashing(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", "raise SystemExit(3)", never)) as stack:
        await until(lambda: any("exited with 3, again in 2 s" in line for line in stack.said))
        first, second = (stack.index(f"one backoff exited with 3, again in {wait} s") for wait in (1, 2))
        assert first < second


async def test_exit_code_75_asks_to_be_started_again_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", "raise SystemExit(75)", never)) as stack:
        await until(lambda: stack.child("one").restarts >= 3, 10)
        assert not any("backoff" in line for line in stack.said)


async def test_what_cannot_be_prepared_is_said_and_tried_again(tmp_path: Path) -> None:
    def prepare() -> None:
        if not (tmp_path / "tried").exists():
            (tmp_path / "tried").touch()
            raise OSError("no space left")

    async with running(tmp_path, python("one", SLEEP, prepare=prepare)) as stack:
        await stack.all_ready()
        assert any("cannot be started: no space left, again in 1 s" in line for line in stack.said)


async def test_a_stopped_process_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path, python("frozen", SLEEP)) as stack:
        await stack.all_ready()
        pid = await frozen(stack.child("frozen"))
        await asyncio.sleep(1.5)  # longer than the first backoff: nothing may happen in it
        assert (stack.child("frozen").pid, stack.child("frozen").restarts) == (pid, 0)


async def test_what_does_not_act_on_sigterm_is_killed_within_10_s(tmp_path: Path) -> None:
    deaf, needs_it = python("deaf", DEAF), python("frozen", SLEEP, needs=("deaf",))
    async with running(tmp_path, deaf, needs_it) as stack:
        await stack.all_ready()
        await until(lambda: any("| deaf" in line for line in stack.said))
        pid = await frozen(stack.child("frozen"))
        assert await stack.end() < 10
        assert not psutil.pid_exists(pid)


async def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, python("deaf", DEAF)) as stack:
        await until(lambda: any("| deaf" in line for line in stack.said))
        stack.kill.set()
        assert await stack.end() < 1


async def test_output_goes_to_a_file_and_what_is_not_routine_to_the_terminal(tmp_path: Path) -> None:
    lines = ['{"event":"paid","level":"info"}', '{"event":"lost","level":"error"}', "plain ünïcode"]
    code = f"print(*{lines!r}, sep=chr(10), flush=True); {SLEEP}"
    async with running(tmp_path, python("one", code)) as stack:
        await until(lambda: any("plain" in line for line in stack.said))
        shown = [line for line in stack.said if "|" in line]
        assert shown == [f"{'one':<13} | {line}" for line in lines[1:]]
        assert (tmp_path / "logs" / "one.log").read_text().splitlines() == lines


@pytest.mark.parametrize("code", [SLEEP, DEAF])
async def test_nothing_is_orphaned_when_the_supervisor_is_killed(tmp_path: Path, code: str) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from sluice.processes import Process
from sluice.supervisor import Supervisor

async def ready(pid):
    print(pid, flush=True)
    return True

child = Process(name="one", command=[sys.executable, "-c", {code!r}], probe=ready)
supervisor = Supervisor([child], Path({str(tmp_path)!r}), lambda _line: None, lambda: None, 1.0)
asyncio.run(supervisor.run(asyncio.Event(), asyncio.Event()))
"""
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert supervisor.stdout
    child = psutil.Process(int(await supervisor.stdout.readline()))
    await until(lambda: child.cmdline() == [sys.executable, "-c", code])
    os.kill(child.pid, signal.SIGSTOP)  # the hardest case: a stopped process acts on no signal but SIGKILL
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
