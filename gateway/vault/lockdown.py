"""What keeps a process with keys or card numbers in its memory from leaving them anywhere."""

import ctypes
import fcntl
import os
import resource
from pathlib import Path

PR_SET_DUMPABLE = 4  # <linux/prctl.h>


class AlreadyRunning(Exception):
    """Another vault has this data directory."""


def keep_memory_private() -> None:
    """No core dumps, no memory readable through /proc or ptrace by others, no file that others may read."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    os.umask(0o077)


def take_lock(path: Path) -> int:
    """Be the only vault of this file until the process ends, however it ends. Raises `AlreadyRunning`."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise AlreadyRunning(f"another vault holds {path}") from None
    return file
