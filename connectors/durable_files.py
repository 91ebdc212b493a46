"""Files that a power cut leaves whole: what depends on them may be on disk a moment later."""

import asyncio
import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file by one of mode 0600, which is on disk on return. Raises `OSError`."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as opened:
        fresh.chmod(0o600)
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(path)
    sync(path.parent)


def sync_tree(directory: Path) -> None:
    """Put everything below a directory, and its own name, on disk. Raises `OSError`."""
    for folder, _, files in os.walk(directory):
        for name in files:
            sync(Path(folder, name))
        sync(Path(folder))
    sync(directory.parent)


def sync(path: Path) -> None:
    """Put a file, or the names in a directory, on disk. Raises `OSError`."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


class GroupSync:
    """Puts on disk what is written to a file: all who wait at once share one fsync. Of one event loop."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._asked = self._synced = 0
        self._syncing: asyncio.Task[None] | None = None

    async def synced(self) -> None:
        """Return once all that was written before this call is on disk. Raises `OSError`."""
        self._asked += 1
        asked = self._asked
        while self._synced < asked:
            if self._syncing is None:
                self._syncing = asyncio.create_task(self._sync(), name="fsync")
            await asyncio.shield(self._syncing)

    def close(self) -> None:
        """Close the file. Nobody may wait any more."""
        os.close(self._file)

    async def _sync(self) -> None:
        asked = self._asked
        try:
            await asyncio.to_thread(os.fsync, self._file)
            self._synced = asked
        finally:
            self._syncing = None
