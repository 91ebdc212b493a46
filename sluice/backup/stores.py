"""What each part is made of, and how it is copied while the stack serves, and put back while it does not."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import assert_never
from urllib.parse import unquote, urlsplit, urlunsplit

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.books.opening import alembic_config, check_existing, run_once, sqlite_path
from gateway.books.passwords import parted
from gateway.settings import GatewaySettings
from gateway.vault.settings import VaultSettings
from gateway.vault.standing import FILE as STANDING
from sluice.backup.copies import BackupFailed, CopyManifest, Part, copy_private
from sluice.settings import postgres_environment

BOOKS, DUMP = "books.sqlite3", "books.dump"
OF_SQLITE = ("-wal", "-shm")
VAULT_KEYS = "vault-keys"


class Stores:
    """The stores of one data directory."""

    def __init__(self, gateway: GatewaySettings, vault: VaultSettings) -> None:
        self.data, self._gateway, self._vault = gateway.data, gateway, vault

    def copy(self, part: Part, folder: Path) -> str:
        """Write a part into an empty directory. Returns the revision of the books. Raises `BackupFailed`."""
        match part:
            case "books":
                return self._copy_books(folder)
            case "vault" | "persons" | "secrets":
                there = list(self._files(part))
                for source, name in there:
                    _copy_file(source, folder / name)
                if not there:
                    raise BackupFailed(f"there is nothing to copy of {part} in {self.data}")
                return ""
            case _:
                assert_never(part)

    def put_back(self, manifest: CopyManifest, folder: Path, aside: str) -> list[Path]:
        """Put the files of a copy where they belong. What stands there is set aside under the suffix `aside`.

        Returns what was set aside. PostgreSQL's tables are replaced in one transaction. Raises `BackupFailed`.
        """
        self._check_revision(manifest)
        url = self._gateway.books_url()
        if manifest.part == "books" and sqlite_path(url) is None:
            _run(
                ["pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction"], url, folder / DUMP
            )
            return []
        moved = self._out_of_the_way(manifest.part, aside)
        for file in manifest.files:
            target = self._target(manifest.part, file.path)
            moved += _set_aside(target, aside)
            copy_private(folder / file.path, target)
        return moved

    def _out_of_the_way(self, part: Part, aside: str) -> list[Path]:
        """What fits no older file: a vault's standing beside another one, and newer lines of the audit."""
        unfit = {"vault": (STANDING, "audit"), "persons": (STANDING,)}.get(part, ())
        return [found for name in unfit for found in _set_aside(self.data / name, aside)]

    def replaced_files(self, manifest: CopyManifest) -> list[Path]:
        """The files that a copy would replace."""
        if manifest.part == "books" and sqlite_path(self._gateway.books_url()) is None:
            return [Path("PostgreSQL")]  # an empty database too: nobody sets its tables aside
        targets = [self._target(manifest.part, file.path) for file in manifest.files]
        return [target for target in targets if target.exists()]

    def _copy_books(self, folder: Path) -> str:
        url = self._gateway.books_url()
        check_existing(url)
        revision = run_once(
            url, lambda conn: MigrationContext.configure(conn).get_current_revision(), readonly=True
        )
        path = sqlite_path(url)
        if path is None:
            _run(["pg_dump", "--format=custom", "--no-owner", "--no-privileges"], url, folder / DUMP)
        else:
            _copy_sqlite(path, folder / BOOKS)
        return revision or ""

    def _files(self, part: Part) -> Iterator[tuple[Path, str]]:
        """Each file of a part that is there, with its name in a copy."""
        match part:
            case "vault":
                yield from _below(self.data / "audit", "audit")
                yield from _if_there(self.data / "vault.sqlite3")
            case "persons":
                yield from _if_there(self.data / "persons.sqlite3")
            case "secrets":
                yield from _below(self._gateway.secrets(), "secrets")
                if self._vault.vault_keys:
                    yield from _below(self._vault.vault_keys, VAULT_KEYS)
            case "books":
                yield from ()
            case _:
                assert_never(part)

    def _target(self, part: Part, name: str) -> Path:
        first, _, rest = name.partition("/")
        if part == "books":
            path = sqlite_path(self._gateway.books_url())
            if path is None or name != BOOKS:
                raise BackupFailed("this copy is of another kind of books than SLUICE_DATABASE_URL names")
            return path
        if first == "secrets":
            return self._gateway.secrets() / rest
        if first == VAULT_KEYS:
            if self._vault.vault_keys is None:
                raise BackupFailed("the copy has the vault's keys apart: set SLUICE_VAULT_KEYS to where they go")
            return self._vault.vault_keys / rest
        return self.data / name

    def _check_revision(self, manifest: CopyManifest) -> None:
        if not manifest.revision:
            return
        scripts = ScriptDirectory.from_config(alembic_config(self._gateway.books_url()))
        known = {script.revision for script in scripts.walk_revisions()}
        if manifest.revision not in known:
            raise BackupFailed(f"its books are of a later release ({manifest.release}): install that one")


def _below(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.name.endswith((*OF_SQLITE, ".new")):
            yield path, f"{name}/{path.relative_to(folder)}"


def _if_there(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, path.name


def _copy_file(source: Path, target: Path) -> None:
    if source.suffix == ".sqlite3":
        _copy_sqlite(source, target)
    else:
        copy_private(source, target)


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as of one moment, while others write; what it holds is checked. Raises `BackupFailed`."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    try:
        with closing(reading) as from_file, closing(sqlite3.connect(target)) as to_file:
            from_file.backup(to_file)  # in one step: writers go on, and nothing is copied twice
            to_file.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            [(found,)] = to_file.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:  # a damaged file, a full disk
        raise BackupFailed(f"{source}: {error}") from None
    if found != "ok":
        raise BackupFailed(f"{source}: {found}")


def _set_aside(target: Path, suffix: str) -> list[Path]:
    """Rename a file with the log that SQLite has of it, which fits no other one and keeps fitting this one."""
    moved = []
    for end in ("", *OF_SQLITE):
        path = target.with_name(f"{target.name}{end}")
        if path.exists():
            moved.append(path.rename(target.with_name(f"{target.name}{suffix}{end}")))
    return moved


def _run(command: list[str], url: str, file: Path) -> None:
    """Run a program of PostgreSQL's on a dump. The password goes by its environment. Raises `BackupFailed`."""
    dsn, password = parted(url)
    at = urlsplit(dsn)
    bare = urlunsplit(at._replace(netloc=at.netloc.replace(f":{at.password}@", "@") if at.password else at.netloc))
    dumped = [f"--file={file}"] if command[0] == "pg_dump" else [str(file)]
    try:
        ran = subprocess.run(  # noqa: S603 - our own command
            [*command, f"--dbname={bare}", *dumped],
            env=postgres_environment(unquote(at.password or "") or (password.text() if password else "")),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BackupFailed(
            f"{command[0]} is not installed (Debian: postgresql-client, of the server's version)"
        ) from None
    if ran.returncode != 0:
        raise BackupFailed(
            f"{command[0]}: {ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else 'failed'}"
        )
    if command[0] == "pg_dump":
        file.chmod(0o600)
