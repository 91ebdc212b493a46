"""A supervisor of which one task or thread died ends within 5 s, and all that it keeps with it."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.victims import SUPERVISOR, Victim

STACK = """
import asyncio, sys
from pathlib import Path
from connectors.logs import configure
from sluice.processes import Process
from sluice.settings import StackSettings
from sluice.up import _supervise

async def never(pid):
    print("ready", flush=True)
    return False

child = Process(name="one", command=[sys.executable, "-c", "import time; time.sleep(600)"], probe=never)
configure("supervisor")
settings = StackSettings(data=Path("{data}"))
(settings.data / "run").mkdir(parents=True)
asyncio.run(_supervise(settings, [child], False))
"""


@pytest.mark.parametrize("name", SUPERVISOR)
def test_the_supervisor_ends(name: str, tmp_path: Path, victim: Callable[..., Victim]) -> None:
    one = victim(name, STACK.format(data=tmp_path), poke=lambda: kill_children(one))
    one.killed(lambda: "ready" in one.said())


def kill_children(one: Victim) -> None:
    """The supervisor has something to say of it."""
    for child in psutil.Process(one.process.pid).children():
        child.kill()
