"""The data directory is its owner's alone: secrets, books, cards, logs, topics, mails and histories lie in it.

Every process that writes there calls `keep_private` first, whoever started it.
"""

import os
import stat
from pathlib import Path

import structlog

from schemas.settings import BadSetting

OTHERS = 0o077  # what group and everybody else may do
# By one of these an open directory is known as ours, or by having nothing but the others; else it is somebody's
# `/var` or home, which must not be closed to everybody.
OURS = {"secrets", "books.sqlite3", "vault.sqlite3", "sandbox.sqlite3", "warehouse.duckdb", "sql.duckdb"}
AND_OURS = {"fraud", "kafka", "logs", "notifications", "run"}

log = structlog.get_logger()


def keep_private(data: Path) -> None:
    """Make the data directory for its owner alone (0700), or close one that is open, with all that is in it.

    What this process and its children write from now on is their owner's alone, too. Raises `BadSetting` for an
    open directory that belongs to another user or holds other things than ours.
    """
    os.umask(OTHERS)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not data.stat().st_mode & OTHERS:
        return
    _refuse_foreign(data)
    try:
        closed = sum(_close(Path(folder, name)) for folder, _, names in os.walk(data) for name in ("", *names))
    except OSError as error:
        raise BadSetting(f"{data} is open to others, and cannot be closed: {error}") from None
    log.warning("data.closed", directory=str(data), files=closed)


def _refuse_foreign(data: Path) -> None:
    found = data.stat()
    advice = f"SLUICE_DATA: {data} is open to others (mode {stat.S_IMODE(found.st_mode):04o})"
    if found.st_uid != os.getuid():
        raise BadSetting(f"{advice} and belongs to uid {found.st_uid}: give it to us, with mode 0700")
    names = set(os.listdir(data))
    if found.st_mode & stat.S_ISVTX or not (names & OURS or names <= AND_OURS):
        raise BadSetting(f"{advice} and holds other things than ours: `chmod 700` it, or choose another directory")


def _close(path: Path) -> bool:
    """Take from others what they may do with a file or directory; whether there was anything."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode) or not mode & OTHERS:
        return False
    path.chmod(stat.S_IMODE(mode) & ~OTHERS)
    return True
