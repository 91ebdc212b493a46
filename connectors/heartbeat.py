"""Heartbeats of the flows, read by the supervisor: a small file in the data directory, replaced atomically."""

import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic

import msgspec

from schemas.settings import Settings
from schemas.times import boot_micros

SILENT_S = 4.0  # of a worker that is to tell its lag once a second


class Beat(msgspec.Struct, frozen=True):
    """`lag`: records of its topics that the process has not read yet. `pid`: the process's.

    `up_us`: when it was written, by `boot_micros`.
    """

    pid: int
    lag: int
    up_us: int = 0


class WorkerLags:
    """What the workers of one process last told of their lag."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[float, int]] = {}

    def enter(self) -> None:
        """This thread is a worker, from whom nothing was heard yet."""
        self._told[threading.get_ident()] = (-SILENT_S, 0)

    def told(self, lag: int) -> int | None:
        """The lag of all, now that this worker's is known; None while another one is silent."""
        moment = monotonic()
        self._told[threading.get_ident()] = (moment, lag)
        told = list(self._told.values())
        return None if any(moment - at > SILENT_S for at, _ in told) else sum(each for _, each in told)


def process_name(name: str, number: int) -> str:
    """The name of one of several processes of a kind, counted from 1: `fraud`, `fraud_2`, …"""
    return name if number == 1 else f"{name}_{number}"


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


def kind_of(name: str) -> str:
    """What `name` is one of: `fraud` of `fraud_2`."""
    kind, _, number = name.rpartition("_")
    return kind if kind and number.isdecimal() else name


def beating(settings: Settings, *kinds: str) -> list[str]:
    """The processes of these kinds that have written a beat, all numbers of one kind after another."""
    there = sorted(path.stem for path in (settings.data / "run").glob("*.json"))
    return [name for kind in kinds for name in there if kind_of(name) == kind]


def forget_beats(settings: Settings, kind: str, above: int) -> None:
    """Remove the beats of processes of a kind whose numbers are `above` that: there are no more of them."""
    kept = {process_name(kind, number) for number in range(1, above + 1)}
    for name in beating(settings, kind):
        if name not in kept:
            _path(settings, name).unlink(missing_ok=True)


def _path(settings: Settings, name: str) -> Path:
    return settings.data / "run" / f"{name}.json"
