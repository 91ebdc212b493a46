"""`python -m benchmarks.power_cuts`: cuts the power of a stack under load, again and again (root, Linux).

The data directory lies on an ext4 image that is mounted by a loop device. A cut stops every process, copies the
image file, kills the processes and mounts the copy: what no process had synced is gone, as with the power. A copy
of the folder would carry what was in memory only. The stack goes on from there. Checked after each cut: every
record that Kafka had acknowledged is in its log, every answered payment in the books, and reconcile agrees.

At the end Kafka's directory of a second ago is put back: events are gone then, and `sluice outbox resend` is
needed.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from sqlite3 import connect

import click
import msgspec
import psutil

from benchmarks import stack
from benchmarks.acknowledged import Acknowledged, AcknowledgedLoad
from schemas.times import now
from sluice.settings import benchmark_environment

IMAGE = "4G"
LOAD_S = (4.0, 10.0)
STOPPED_WITHIN_S = 30.0
WRITEBACK = Path("/proc/sys/vm/dirty_writeback_centisecs")
HURRIED = {"SLUICE_CALL_TIMEOUT": "1", "SLUICE_UNKNOWN_WINDOW": "2"}


class Cuts(msgspec.Struct):
    """What was acknowledged over all cuts, and what of it was missing after the cut that followed."""

    cuts: int = 0
    records: int = 0
    records_missing: int = 0
    payments: int = 0
    payments_missing: int = 0
    reconciled: int = 0
    ready_s: list[float] = []
    put_back_differed: bool = False
    put_back_reconciled: bool = False


@click.command()
@click.option("--cuts", default=20)
@click.option("--put-back/--no-put-back", default=True, help="Put Kafka's directory of a second ago back, too.")
def main(cuts: int, put_back: bool) -> None:
    """Print what survived as JSON; ends with 1 where anything acknowledged is missing or differs."""
    found = Cuts()
    with tempfile.TemporaryDirectory(prefix="sluice-power-") as folder, _lazy_disk():
        disk, offset = Disk(Path(folder)), stack.free_offset()
        disk.make()
        try:
            running = _start(disk.data, offset)
            for _ in range(cuts):
                running = _cut(disk, running, found)
                _say(found)
            if put_back:
                _put_kafka_back(running, found)
            running.stop()
        finally:
            _kill(psutil.Process().children(recursive=True))
            disk.unmount()
    _say(found)
    whole = found.records_missing == found.payments_missing == 0 and found.reconciled == found.cuts == cuts
    sys.exit(not whole or (put_back and not (found.put_back_differed and found.put_back_reconciled)))


class Disk:
    """An image file with a file system on it. `data`: the data directory of the stack."""

    def __init__(self, folder: Path) -> None:
        self._image, self._mount = folder / "disk.img", folder / "mnt"
        self.data = self._mount / "data"

    def make(self) -> None:
        """Make the file system and mount it."""
        _run("truncate", "-s", IMAGE, str(self._image))
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount.mkdir()
        self._mount_image()

    def copy(self) -> None:
        """Copy the image as it is now."""
        _run("cp", "--sparse=always", str(self._image), f"{self._image}.cut")

    def lose_power(self) -> None:
        """Go on with the copy in place of the image."""
        self.unmount()
        Path(f"{self._image}.cut").replace(self._image)
        self._mount_image()

    def unmount(self) -> None:
        """Unmount, once nothing uses it any more."""
        _run("umount", str(self._mount))

    def _mount_image(self) -> None:
        # Its journal is written when something is synced, and never by time: what is lost is lost for sure.
        _run("mount", "-o", "loop,commit=1000", str(self._image), str(self._mount))


class Running(msgspec.Struct, frozen=True):
    """A stack and what pays it."""

    measured: stack.Stack
    supervisor: "subprocess.Popen[bytes]"
    load: AcknowledgedLoad

    def processes(self) -> list[psutil.Process]:
        """All its processes, the supervisor first, so that nothing is restarted meanwhile."""
        parent = psutil.Process(self.supervisor.pid)
        return [parent, *parent.children(recursive=True)]

    def freeze(self) -> list[psutil.Process]:
        """Stop every process where it is."""
        frozen = self.processes()
        for process in frozen:
            process.suspend()
        return frozen

    def stop(self) -> None:
        """Stop it in good order."""
        self.load.stop()
        self.supervisor.terminate()
        self.supervisor.wait(STOPPED_WITHIN_S)


def _start(data: Path, offset: int) -> Running:
    began = time.monotonic()
    command = [sys.executable, "-m", "sluice", "up", "--seed", "--data", str(data)]
    data.mkdir(exist_ok=True)
    with (data / "up.log").open("ab") as log:
        environment = benchmark_environment(data, offset) | HURRIED
        supervisor = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    measured = stack.Stack(data, offset, supervisor, began)
    measured.await_ready()
    return Running(measured, supervisor, AcknowledgedLoad(measured))


def _cut(disk: Disk, running: Running, found: Cuts) -> Running:
    time.sleep(random.uniform(*LOAD_S))
    acknowledged = running.load.acknowledged()
    frozen = running.freeze()
    disk.copy()
    _kill(frozen)
    running.supervisor.wait()
    running.load.stop()
    disk.lose_power()
    began = time.monotonic()
    after = _start(disk.data, running.measured.settings.port_offset)
    found.cuts += bool(acknowledged.records and acknowledged.payments)  # one with nothing to lose proves nothing
    found.ready_s.append(round(time.monotonic() - began, 1))
    _check(after, acknowledged, found)
    return after


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, STOPPED_WITHIN_S)


def _check(running: Running, acknowledged: Acknowledged, found: Cuts) -> None:
    found.records += len(acknowledged.records)
    found.records_missing += len(acknowledged.missing_in_kafka(running.measured))
    found.payments += len(acknowledged.payments)
    found.payments_missing += len(acknowledged.payments - _payments(running.measured.settings.data))
    running.load.pause()
    found.reconciled += running.measured.reconciles()
    running.load.go_on()


def _put_kafka_back(running: Running, found: Cuts) -> None:
    """Put Kafka's directory of a second ago back, see that events are gone, and send them again."""
    kafka = running.measured.settings.data / "kafka" / "data"
    earlier = kafka.with_name("data.earlier")
    pid = running.measured.pids()["kafka"]
    with _suspended(pid):
        shutil.copytree(kafka, earlier)
    time.sleep(1)
    with _suspended(running.supervisor.pid):
        psutil.Process(pid).kill()
        shutil.rmtree(kafka)
        earlier.rename(kafka)
    time.sleep(5)
    running.load.pause()
    running.measured.await_ready()
    found.put_back_differed = not running.measured.reconciles(within_s=20)
    since = now() - timedelta(minutes=5)
    running.measured.sluice("outbox", "resend", "--since", since.isoformat())
    found.put_back_reconciled = running.measured.reconciles()


@contextmanager
def _suspended(pid: int) -> Iterator[None]:
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@contextmanager
def _lazy_disk() -> Iterator[None]:
    """Nothing is written to disks by time meanwhile, where the kernel lets us say so."""
    before = WRITEBACK.read_text()
    with suppress(OSError):
        WRITEBACK.write_text("0")
    try:
        yield
    finally:
        with suppress(OSError):
            WRITEBACK.write_text(before)


def _payments(data: Path) -> set[str]:
    with connect(f"file:{data / 'books.sqlite3'}?mode=ro", uri=True) as conn:
        return {id for (id,) in conn.execute("SELECT id FROM payments WHERE state <> 'processing'")}


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _say(found: Cuts) -> None:
    click.echo(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
