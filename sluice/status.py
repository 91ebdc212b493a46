"""The state of the stack: a small file that `sluice up` replaces at each change and `sluice status` reads.

A file and a lock instead of a socket: the data directory's path may be longer than a socket's, and the state can
be read when the supervisor was killed.
"""

import fcntl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import msgspec

from schemas.settings import load
from schemas.times import boot_micros
from sluice.child_process import Child, ProcessState
from sluice.cli import DATA
from sluice.probes import fresh_beat
from sluice.processes import NAMES, VAULTS
from sluice.settings import StackSettings
from sluice.vault import who_serves


class RecordedProcess(msgspec.Struct, frozen=True):
    """A process as the supervisor last saw it. `since_us`: when its `pid` was started, by `boot_micros`."""

    name: str
    state: ProcessState
    pid: int | None
    since_us: int | None
    restarts: int


class ProcessStatus(msgspec.Struct, frozen=True):
    """A process as `sluice status --json` shows it. `lag`: records of its topics it has not read yet."""

    name: str
    state: ProcessState
    pid: int | None
    uptime_s: float | None
    lag: int | None
    restarts: int


class StackRuns(click.ClickException):
    """Another supervisor holds this data directory."""


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Hold the data directory, alone, and forget the state of an earlier stack on it. Raises `StackRuns`."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds payments and personal data
    run = data / "run"
    run.mkdir(exist_ok=True)
    with (run / "stack.lock").open("a") as lock:
        if not _lock_within_1_s(lock.fileno()):
            raise StackRuns(f"a stack runs on {data} already: stop it, or choose another directory with --data")
        _state(data).unlink(missing_ok=True)
        yield


class StateFile:
    """The file in the data directory. Nothing here raises: a full disk must not stop what the supervisor keeps."""

    def __init__(self, data: Path) -> None:
        self._path = _state(data)
        self._written = b""

    def write(self, children: Iterable[Child]) -> None:
        """Replace it by the present state of the children, unless it says that already."""
        entries = [RecordedProcess(c.name, c.state, c.pid, c.since_us, c.restarts) for c in children]
        encoded = msgspec.json.encode(entries)
        if encoded == self._written:
            return
        with suppress(OSError):
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(encoded)
            fresh.replace(self._path)
            self._written = encoded


def read(settings: StackSettings) -> list[ProcessStatus]:
    """Every process of `NAMES`; all stopped where no supervisor runs."""
    entries = _entries(settings.data) if _is_held(settings.data) else {}
    stopped = {name: RecordedProcess(name, "stopped", None, None, 0) for name in NAMES}
    return [_status(settings, entry) for entry in (stopped | entries).values()]


def _status(settings: StackSettings, entry: RecordedProcess) -> ProcessStatus:
    uptime = round((boot_micros() - entry.since_us) / 1_000_000, 1) if entry.since_us else None
    beat = fresh_beat(settings, entry.name, entry.pid) if entry.pid else None
    return ProcessStatus(entry.name, entry.state, entry.pid, uptime, beat.lag if beat else None, entry.restarts)


def _entries(data: Path) -> dict[str, RecordedProcess]:
    try:
        entries = msgspec.json.decode(_state(data).read_bytes(), type=list[RecordedProcess])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}  # the supervisor has not written it yet, or a power cut left half of it
    return {entry.name: entry for entry in entries}


def _state(data: Path) -> Path:
    return data / "run" / "stack.json"


def _is_held(data: Path) -> bool:
    try:
        with (data / "run" / "stack.lock").open() as lock:
            return not _lock(lock.fileno(), fcntl.LOCK_SH)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _lock_within_1_s(file: int) -> bool:
    until = time.monotonic() + 1  # `sluice status` holds it for an instant
    while not _lock(file, fcntl.LOCK_EX):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@click.command()
@DATA
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def status(data: Path | None, as_json: bool) -> None:
    """Show each process: state, pid, uptime, lag, restarts."""
    settings = load(StackSettings)
    found = read(msgspec.structs.replace(settings, data=data or settings.data))
    click.echo(msgspec.json.encode(found).decode() if as_json else _table(found))
    if not as_json and any(process.name == VAULTS[1] for process in found):
        click.echo(who_serves(data or settings.data))


def _table(found: list[ProcessStatus]) -> str:
    rows = [("name", "state", "pid", "uptime", "lag", "restarts")]
    rows += [
        (s.name, s.state, _cell(s.pid), _cell(s.uptime_s, " s"), _cell(s.lag), _cell(s.restarts)) for s in found
    ]
    widths = ("<14", "<10", ">8", ">12", ">9", ">10")
    return "\n".join("".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


def _cell(value: float | None, unit: str = "") -> str:
    return "–" if value is None else f"{value}{unit}"
