"""The supervisor with small real processes: order of start, restarts, stopping."""

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

from connectors.keyfiles import SecretMissing
from sluice import supervisor
from sluice.child_process import Child
from sluice.processes import Process
from sluice.supervisor import Supervisor
from tests.patience import eventually

SLEEP = "import time; time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"


async def at_once(_pid: int) -> bool:
    return True


async def never(_pid: int) -> bool:
    return False


def python(name: str, code: str, probe: Callable[[int], Awaitable[bool]] = at_once, **more: object) -> Process:
    process = Process(name=name, command=[sys.executable, "-c", code], probe=probe)
    return msgspec.structs.replace(process, **more)


class Stack:
    """A running supervisor and the lines it printed."""

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
        await eventually(lambda: any("everything is ready" in line for line in self.said))

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


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; it may still be a zombie until its new parent reaps it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def frozen(child: Child) -> int:
    assert child.pid
    await eventually(lambda: psutil.Process(child.pid).cmdline() == child.process.command)
    os.kill(child.pid, signal.SIGSTOP)
    await eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    return child.pid


async def test_the_pid_is_the_process_itself(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", SLEEP)) as stack:
        await stack.all_ready()
        pid = stack.child("one").pid
        await eventually(lambda: psutil.Process(pid).cmdline() == [sys.executable, "-c", SLEEP])
        assert psutil.Process(pid).ppid() == os.getpid()


async def test_a_process_starts_when_those_it_needs_are_ready_and_stops_before_them(tmp_path: Path) -> None:
    async def when_asked(_pid: int) -> bool:
        return (tmp_path / "go").exists()

    first = python("first", SLEEP, when_asked)
    async with running(tmp_path, python("second", SLEEP, needs=("first",)), first) as stack:
        await eventually(lambda: stack.child("first").pid)
        assert stack.child("second").pid is None
        (tmp_path / "go").touch()
        await stack.all_ready()
        await stack.end()
        assert stack.index("first ready") < stack.index("second starting")
        assert stack.index("second stopped") < stack.index("first stopped")


async def test_a_process_does_not_wait_for_ever_for_those_it_comes_after(tmp_path: Path) -> None:
    broken = python("broken", "raise SystemExit(1)", never)
    async with running(tmp_path, broken, python("gateway", SLEEP, after=("broken",)), patience_s=0.2) as stack:
        await eventually(lambda: stack.child("gateway").state == "ready")
        assert "gateway       starts without waiting longer for broken" in stack.said


async def test_what_was_killed_is_started_again_after_a_second(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", SLEEP), python("other", SLEEP)) as stack:
        await stack.all_ready()
        one, other = stack.child("one"), stack.child("other")
        before, others, began = one.pid, other.pid, time.monotonic()
        assert before
        os.kill(before, signal.SIGKILL)
        await eventually(lambda: one.state == "backoff")
        assert one.pid is None
        await eventually(lambda: one.state == "ready")
        assert time.monotonic() - began >= 1
        assert one.pid != before
        assert (one.restarts, other.restarts, other.pid) == (1, 0, others)
        assert any("killed by SIGKILL, again in 1 s" in line for line in stack.said)


async def test_the_wait_doubles_while_it_keeps_crashing(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", "raise SystemExit(3)", never)) as stack:
        await eventually(lambda: any("exited with 3, again in 2 s" in line for line in stack.said))
        first, second = (stack.index(f"one backoff exited with 3, again in {wait} s") for wait in (1, 2))
        assert first < second


async def test_what_may_die_is_started_again_at_once_if_it_was_ready(tmp_path: Path) -> None:
    crash = python("crash", SLEEP, may_die=True)
    broken = python("broken", "raise SystemExit(1)", never, may_die=True)
    async with running(tmp_path, crash, broken) as stack:
        for times in (1, 2, 3):
            await eventually(lambda: stack.child("crash").state == "ready")
            os.kill(stack.child("crash").pid or 0, signal.SIGSEGV)
            await eventually(lambda times=times: stack.child("crash").restarts == times)
        await eventually(lambda: stack.child("broken").state == "backoff")
        assert not [line for line in stack.said if line.startswith("crash") and "backoff" in line]


async def test_what_ended_on_a_full_disk_is_started_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    monkeypatch.setattr("sluice.child_process.is_full", lambda _data: not room.exists())
    monkeypatch.setattr("sluice.child_process.BACKOFF_MAX_S", 1.0)
    code = f"import pathlib, time; pathlib.Path({str(room)!r}).exists() or exit(1); time.sleep(600)"
    async with running(tmp_path, python("one", code, never)) as stack:
        await eventually(lambda: stack.child("one").restarts == 2)
        monkeypatch.setattr("sluice.child_process.BACKOFF_MAX_S", 600.0)
        stack.child("one")._crashes = 9
        await eventually(lambda: any("again in 512 s or with room on the disk" in line for line in stack.said))
        room.touch()
        await eventually(lambda: stack.child("one").pid)
        assert stack.child("one")._crashes == 0


async def test_why_a_probe_raises_is_said_once(tmp_path: Path) -> None:
    asked = 0

    async def raises_at_first(_pid: int) -> bool:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise SecretMissing("kafka.fraud.password does not exist")
        return True

    async with running(tmp_path, python("one", SLEEP, raises_at_first)) as stack:
        await stack.all_ready()
        assert asked == 3
        said = "not ready: SecretMissing: kafka.fraud.password does not exist"
        assert sum(said in line for line in stack.said) == 1


async def test_exit_code_75_asks_to_be_started_again_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, python("one", "raise SystemExit(75)", never)) as stack:
        await eventually(lambda: stack.child("one").restarts >= 3)
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


async def test_what_does_not_act_on_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert supervisor.STOP_S <= 8, "10 s are promised, and a busy machine takes its time for the rest"
    monkeypatch.setattr(supervisor, "STOP_S", 1.0)
    deaf, needs_it = python("deaf", DEAF), python("frozen", SLEEP, needs=("deaf",))
    async with running(tmp_path, deaf, needs_it) as stack:
        await stack.all_ready()
        await eventually(lambda: any("| deaf" in line for line in stack.said))
        pid = await frozen(stack.child("frozen"))
        assert await stack.end() > 0.9
        assert not psutil.pid_exists(pid)


async def test_a_second_signal_kills_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_S", 100.0)
    async with running(tmp_path, python("deaf", DEAF)) as stack:
        await eventually(lambda: any("| deaf" in line for line in stack.said))
        stack.kill.set()
        assert await stack.end() < 50


async def test_output_goes_to_a_file_and_what_is_not_routine_to_the_terminal(tmp_path: Path) -> None:
    lines = ['{"event":"paid","level":"info"}', '{"event":"lost","level":"error"}', "plain ünïcode"]
    code = f"print(*{lines!r}, sep=chr(10), flush=True); {SLEEP}"
    async with running(tmp_path, python("one", code)) as stack:
        await eventually(lambda: any("plain" in line for line in stack.said))
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
from tests.patience import eventually

async def ready(pid):
    print(pid, flush=True)
    return True

child = Process(name="one", command=[sys.executable, "-c", {code!r}], probe=ready)
supervisor = Supervisor([child], Path({str(tmp_path)!r}), lambda _line: None, lambda: None, 1.0)
asyncio.run(supervisor.run(asyncio.Event(), asyncio.Event()))
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    child = psutil.Process(int(await parent.stdout.readline()))
    await eventually(lambda: child.cmdline() == [sys.executable, "-c", code])
    os.kill(child.pid, signal.SIGSTOP)  # the hardest case: a stopped process acts on no signal but SIGKILL
    parent.kill()
    await parent.wait()
    await eventually(lambda: is_gone(child))
