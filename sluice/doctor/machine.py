"""Checks of the machine: Python, packages, jars, ports, the disk and the clock."""

import ctypes
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from schemas.times import boot_micros
from sluice import jars, status
from sluice.doctor.diagnoses import Diagnosis, failed, ok, unknown, warning
from sluice.processes import ports_of, stack
from sluice.settings import StackSettings
from sluice.up import is_free

LOCK = Path(__file__).parents[2] / "requirements.lock"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
REQUIRED = re.compile(r"[A-Za-z0-9._-]+")
PYTHONS = ((3, 11), (3, 12))
FREE_SHARE_MIN = 0.1
FREE_BYTES_MIN = 2**30
UNSYNCHRONIZED = 5  # TIME_ERROR of adjtimex(2)
TIMEX_BYTES = 512  # of its struct, and room


def python() -> list[Diagnosis]:
    """The version of Python."""
    says = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in PYTHONS:
        return [ok("python", says)]
    return [failed("python", says, "Install Python 3.11 or 3.12, and run `make install` anew.")]


def packages(lock: Path = LOCK) -> list[Diagnosis]:
    """Whether what is installed is what is locked, as far as the lock is here; in an image it is not."""
    wanted: dict[str, set[str]] = {}  # several, where one Python has another than the other
    for name, pinned in PIN.findall(lock.read_text()) if lock.exists() else ():
        wanted.setdefault(name.lower(), set()).add(pinned)
    required = [REQUIRED.match(each) for each in distribution("sluice").requires or () if "extra ==" not in each]
    names = {*wanted, *(found[0].lower() for found in required if found)}
    there = {name: _version(name) for name in names}
    missing = sorted(found[0] for found in required if found and there[found[0].lower()] is None)
    other = sorted(name for name, pinned in wanted.items() if there[name] not in {None, *pinned})
    if missing or other:
        says = ", ".join([*(f"{name} is missing" for name in missing), *(f"{n} is not as locked" for n in other)])
        return [failed("packages", says, "Run `make install`.")]
    return [ok("packages", f"{sum(found is not None for found in there.values())} as locked")]


def broker_jars(settings: StackSettings) -> list[Diagnosis]:
    """Whether the broker's jars are in the cache, byte for byte."""
    if settings.kafka:
        return [unknown("jars", f"not needed: Kafka is {settings.kafka}")]
    folder = settings.cache.expanduser() / "jars"
    locked = jars.locked()
    there = [jar for jar in locked if (folder / jar.file).exists()]
    broken = [jar.file for jar in there if not jars.is_whole(folder / jar.file, jar)]
    if broken:
        return [failed("jars", f"not as locked: {', '.join(broken)}", f"Delete them in {folder}.")]
    if absent := len(locked) - len(there):
        return [warning("jars", f"{absent} are not here yet", "The next `sluice up` fetches them.")]
    return [ok("jars", f"{len(locked)} as locked")]


def ports(settings: StackSettings) -> list[Diagnosis]:
    """Whether the stack's ports are free, or its processes ready where it runs."""
    running = [process for process in status.read(settings) if process.state != "stopped"]
    late = [process.name for process in running if process.state != "ready"]
    if late:
        return [failed("processes", f"not ready: {', '.join(late)}", f"See the logs in {settings.data / 'logs'}.")]
    if running:
        return [ok("processes", f"{len(running)} are ready")]
    names = ports_of(stack(settings))
    taken = [str(settings.port(name)) for name in names if not is_free(settings.host, settings.port(name))]
    if taken:
        remedy = "End who listens there (`ss -ltnp`), or set SLUICE_PORT_OFFSET."
        return [failed("ports", f"in use: {', '.join(taken)}", remedy)]
    return [ok("ports", f"{len(names)} are free")]


def disk(data: Path) -> list[Diagnosis]:
    """Room for the data directory."""
    there = next(folder for folder in (data.absolute(), *data.absolute().parents) if folder.exists())
    usage = shutil.disk_usage(there)
    says = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB free"
    remedy = "Rotate logs, prune (`sluice prune`), or move the data directory to a larger disk."
    if usage.free < FREE_BYTES_MIN:
        return [failed("disk", says, remedy)]
    if usage.free < usage.total * FREE_SHARE_MIN:
        return [warning("disk", says, remedy)]
    return [ok("disk", says)]


def clock() -> list[Diagnosis]:
    """Whether the kernel knows that something keeps its clock right; and the clock that leases go by."""
    if boot_micros() <= 0:
        return [failed("clock", "the machine's uptime is unknown", "Run on Linux with CLOCK_BOOTTIME.")]
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "adjtimex"):
        return [unknown("clock", "nobody says whether it is kept right")]
    if libc.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)) == UNSYNCHRONIZED:
        return [warning("clock", "nothing keeps it right", "Run an NTP client (chrony, systemd-timesyncd).")]
    return [ok("clock", "kept right")]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
