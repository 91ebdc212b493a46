"""How a Bytewax flow is started: alone or as one of several processes, and on which recovery store."""

import shutil
import subprocess
import sys
from pathlib import Path

from connectors.recovery_store import alone_in


def python(module: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module]


def flow_command(name: str, recovery: Path, number: int = 1, addresses: list[str] | None = None) -> list[str]:
    """The command of a flow with a recovery store, a snapshot of it each second.

    With `addresses`, where its processes meet, that of the process with this `number`, counted from 1.
    """
    cluster = ["-i", str(number - 1), "-a", ";".join(addresses)] if addresses else []
    flow = [*python("bytewax.run"), f"flows.{name}.flow:get_flow"]
    return [*flow, "-r", str(recovery), "-s", "1", "-b", "0", *cluster]


def make_recovery(directory: Path, parts: int = 1) -> None:
    """Create Bytewax's store of snapshots, with so many partitions, where there is none yet.

    Its processes may start at once. Snapshots are pickles, so only this user may write there.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)  # where it existed already
    with alone_in(directory):
        if not _part(directory, 0).exists():
            _make_parts(directory, parts)


def _make_parts(directory: Path, count: int) -> None:
    fresh = directory / "new"
    shutil.rmtree(fresh, ignore_errors=True)  # half a store, from a start on a full disk
    fresh.mkdir()
    # In a process of its own: only flows import Bytewax.
    subprocess.run([*python("bytewax.recovery"), str(fresh), str(count)], check=True)  # noqa: S603
    for number in reversed(range(count)):  # the first one last: with it the store is whole
        _part(fresh, number).replace(_part(directory, number))
    fresh.rmdir()


def _part(directory: Path, number: int) -> Path:
    return directory / f"part-{number}.sqlite3"
