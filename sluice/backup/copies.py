"""A copy: a directory with the files of one part and a manifest of their hashes, whole or not there at all."""

import hashlib
import os
import shutil
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

import click
import msgspec

Part = Literal["books", "vault", "persons", "secrets"]

PARTS: tuple[Part, ...] = get_args(Part)
# Whoever has a part of each of the two has what erasure took away, or what encryption keeps from them.
APART: tuple[frozenset[Part], ...] = (
    frozenset({"books", "vault"}),
    frozenset({"persons"}),
    frozenset({"secrets"}),
)
MANIFEST = "manifest.json"


class BackupFailed(click.ClickException):
    """A copy could not be made or used; the message says why in one line."""


class CopiedFile(msgspec.Struct, frozen=True):
    """A file of a copy. `path` is relative to the copy."""

    path: str
    bytes: int
    sha256: str


class CopyManifest(msgspec.Struct, frozen=True):
    """What a copy holds. `revision`: of the books' schema; empty for other parts. `made_at`: when it was begun."""

    part: Part
    made_at: datetime
    release: str
    revision: str
    files: list[CopiedFile]


def release() -> str:
    """The release that runs."""
    return version("sluice")


def name_of(part: Part, moment: datetime) -> str:
    """The name of a copy's directory: `books-20261128T012345Z`."""
    return f"{part}-{moment:%Y%m%dT%H%M%SZ}"


def copies_in(folder: Path) -> list[tuple[Part, Path]]:
    """The whole copies in a directory, the oldest first."""
    found = [path.parent for path in folder.glob(f"*/{MANIFEST}")]
    return [(part, path) for path in sorted(found) for part in PARTS if path.name.startswith(f"{part}-")]


def forbid_beside(part: Part, folder: Path, data: Path) -> None:
    """Raises `BackupFailed` where a copy would lie in the data directory, or beside one it must be apart from."""
    if folder.resolve().is_relative_to(data.resolve()):
        raise BackupFailed(f"{folder} is in the data directory: a copy belongs on another disk")
    own = next(together for together in APART if part in together)
    others = sorted({other for other, _ in copies_in(folder) if other not in own})
    if others:
        raise BackupFailed(
            f"{folder} holds copies of {', '.join(others)}: those of {part} belong to another place"
        )


def manifest_of(part: Part, moment: datetime, revision: str, folder: Path) -> CopyManifest:
    """The manifest of the files that lie in a directory."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    copied = [CopiedFile(str(p.relative_to(folder)), p.stat().st_size, sha256_of(p)) for p in files]
    return CopyManifest(part, moment, release(), revision, copied)


def read_copy(folder: Path) -> CopyManifest:
    """The manifest of a copy, whose files are as it says. Raises `BackupFailed`."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=CopyManifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupFailed(f"{folder} is no copy of `sluice backup`: {error}") from None
    for file in manifest.files:
        path = folder / file.path
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BackupFailed(f"{folder}: {file.path} is outside of it")
        if not path.is_file() or path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
            raise BackupFailed(f"{path} is not as it was copied")
    return manifest


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hex digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def copy_private(source: Path, target: Path) -> None:
    """Copy a file as one that its owner alone may read; what is appended meanwhile is in it or not."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        source.open("rb") as opened,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to,
    ):
        shutil.copyfileobj(opened, to)
