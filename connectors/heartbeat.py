"""Heartbeats of the flows, read by the supervisor: a small file in the data directory, replaced atomically."""

from contextlib import suppress
from pathlib import Path

import msgspec

from schemas.settings import Settings
from schemas.times import boot_micros


class Beat(msgspec.Struct, frozen=True):
    """`lag`: records of its topics that the process has not read yet. `pid`: the process's.

    `up_us`: when it was written, by `boot_micros`.
    """

    pid: int
    lag: int
    up_us: int = 0


def beat(settings: Settings, name: str, pid: int, lag: int) -> None:
    """Write that process `name` is ready and `lag` records behind; a full disk is no reason to end it."""
    path = _path(settings, name)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(Beat(pid, lag, boot_micros())))
        fresh.replace(path)


def last_beat(settings: Settings, name: str) -> Beat | None:
    """The last beat of `name`; None where there is none, or a power cut left half a file."""
    try:
        return msgspec.json.decode(_path(settings, name).read_bytes(), type=Beat)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _path(settings: Settings, name: str) -> Path:
    return settings.data / "run" / f"{name}.json"
