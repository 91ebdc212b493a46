"""A disk of a few megabytes that can be filled and freed: a tmpfs in a mount namespace of its own.

Root may mount one; anybody else becomes root of a user namespace for it, where the kernel allows that.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ENTER = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]


def is_possible() -> bool:
    """Whether this user may mount one here."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tempfile.gettempdir()]
    return subprocess.run([*ENTER, *mount], capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(megabytes: int) -> Iterator["SmallDisk"]:
    """One for a process that was started by `ENTER`; it is gone when that has ended."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", str(folder)], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


class SmallDisk:
    """`folder` is its root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte; again, where some were given back meanwhile."""
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while shutil.disk_usage(self.folder).free:
                ballast.write(bytes(shutil.disk_usage(self.folder).free))

    def free(self) -> None:
        """Give all of that back."""
        self._ballast.unlink()
