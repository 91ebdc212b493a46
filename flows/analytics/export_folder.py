"""A folder of exports: each a directory that appears whole under its name, with a manifest of what is in it."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path

import msgspec

from connectors.durable_files import sync_tree, write_durably

MANIFEST = "manifest.json"
LATEST = "latest"  # a link to the newest export
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
NOT_OTHERS = 0o022  # who may only read an export may not say what goes into the next one


class ExportedFile(msgspec.Struct, frozen=True):
    """A file of an export. `changed_at`: when the newest row of its day was written; null: nobody knows."""

    path: str
    day: date | None
    rows: int
    bytes: int
    sha256: str
    changed_at: datetime | None = None


class ExportedColumn(msgspec.Struct, frozen=True):
    """A column, with its type in DuckDB."""

    name: str
    type: str


class ExportedView(msgspec.Struct, frozen=True):
    """A view. `day_of`: the column whose UTC day is the partition; null where it has none."""

    day_of: str | None
    rows: int
    columns: list[ExportedColumn]
    files: list[ExportedFile]


class Manifest(msgspec.Struct, frozen=True):
    """What is in an export. `offsets`: next to be read, by topic and partition, as it began: all before is in it.

    A file is of one moment between `began_at` and `ended_at`.
    """

    version: int
    began_at: datetime
    ended_at: datetime
    offsets: dict[str, list[int]]
    views: dict[str, ExportedView]


class ExportRuns(Exception):
    """Another process exports into the same folder."""


def manifest_of(directory: Path) -> Manifest | None:
    """What is in an export; None where it is none."""
    try:
        return msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def publish(partial: Path, manifest: Manifest, folder: Path, kept: int) -> Path:
    """Give a whole export its manifest and its name, point the link at it, and remove the oldest. Its path."""
    write_durably(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    sync_tree(partial)
    name = f"{manifest.began_at:%Y-%m-%dT%H%M%S}Z"
    whole = folder / name
    partial.rename(whole)
    link = folder / ".latest"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    link.replace(folder / LATEST)
    for old in exports(folder)[: -max(1, kept)]:
        shutil.rmtree(old)
    return whole


def exports(folder: Path) -> list[Path]:
    """The whole exports in a folder, the oldest first; what else there is may be somebody's own."""
    with suppress(FileNotFoundError):
        named = (each for each in folder.iterdir() if NAME.fullmatch(each.name) and not each.is_symlink())
        return sorted(each for each in named if (each / MANIFEST).exists())
    return []


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder. Raises `ExportRuns`.

    What is written may be read by whom the folder itself may, which is its owner's alone if it is new.
    """
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportRuns(f"another process exports into {folder}") from None
        umask = os.umask(~folder.stat().st_mode & 0o777 | NOT_OTHERS)
        try:
            yield
        finally:
            os.umask(umask)
