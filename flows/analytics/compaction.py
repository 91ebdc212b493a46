"""The file of a warehouse is exchanged for a better one before it is opened: compacted, or built anew from Kafka.

DuckDB gives nothing back to the disk: what was deleted or written again leaves free blocks in the file. At a start
a file with many of them is copied, and the copy takes its name once it is on the disk. A kill at any point leaves
one whole file under that name: the old one or the new one.
"""

from contextlib import suppress
from pathlib import Path

import duckdb
import structlog

from connectors.durable_files import sync
from connectors.warehouse import quoted

FREE_SHARE = 0.3  # of the file
FREE_MB = 256  # below that nobody notices

log = structlog.get_logger()


def is_worthwhile(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether so much of the file of `con` is free that a copy of it is worth the time."""
    free, whole = free_and_whole_mb(con)
    return free >= FREE_MB and free >= FREE_SHARE * whole


def free_and_whole_mb(con: duckdb.DuckDBPyConnection) -> tuple[float, float]:
    """How many MB of the file of `con` are free blocks, and how many it has."""
    [(free, whole)] = con.execute(
        "SELECT free_blocks * block_size / 1048576, total_blocks * block_size / 1048576 "
        "FROM pragma_database_size() WHERE database_name = current_database()"
    ).fetchall()
    return free, whole


def compact(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Exchange the file of `con`, at `path`, for a copy without free blocks, and close `con`.

    Where that fails, as on a full disk, the file stays as it is, with a warning.
    """
    free_mb, whole_mb = free_and_whole_mb(con)
    fresh = beside(path, "compacting")
    try:
        _copy(con, fresh)
        con.close()
        put_in_place(fresh, path)
    except (duckdb.Error, OSError) as error:
        con.close()
        with suppress(OSError):
            remove(fresh)
        log.warning("file.not_compacted", file=path.name, reason=type(error).__name__, free_mb=round(free_mb))
        return
    size_mb = path.stat().st_size / 2**20
    log.info("file.compacted", file=path.name, from_mb=round(whole_mb), to_mb=round(size_mb))


def take_rebuilt(path: Path) -> None:
    """Take the file that `sluice warehouse rebuild` left for `path`, if there is one; forget half a copy."""
    remove(beside(path, "compacting"))
    rebuilt = beside(path, "rebuilt")
    if rebuilt.exists():
        _keep_if_asked(path)
        put_in_place(rebuilt, path)
        log.info("file.replaced", file=path.name, size_mb=round(path.stat().st_size / 2**20))


def ask_to_keep(path: Path) -> None:
    """Have the old file kept, as `warehouse.before.duckdb`, by the process that takes the next rebuilt one."""
    beside(path, "before").write_bytes(b"")


def put_in_place(fresh: Path, path: Path) -> None:
    """Give the closed file `fresh` the name `path`. Raises `OSError`, with the old file in place.

    The old file's log goes first: nothing of it may be applied to the new one. Without it the old file is as of
    its last checkpoint, offsets too, and is read on from there.
    """
    sync(fresh)
    _log_of(path).unlink(missing_ok=True)
    fresh.replace(path)
    sync(path.parent)


def beside(path: Path, what: str) -> Path:
    """The file beside a warehouse's: `warehouse.rebuilt.duckdb`, say."""
    return path.with_suffix(f".{what}{path.suffix}")


def _copy(con: duckdb.DuckDBPyConnection, fresh: Path) -> None:
    """All of the database into a new file, which is checkpointed and closed then."""
    name = con.execute("SELECT current_database()").fetchall()[0][0]
    con.execute(f"ATTACH {quoted(str(fresh))} AS fresh")
    try:
        con.execute(f'COPY FROM DATABASE "{name}" TO fresh')
        con.execute("CHECKPOINT fresh")
    finally:
        con.execute("DETACH fresh")


def _keep_if_asked(path: Path) -> None:
    before = beside(path, "before")
    if path.exists() and before.exists() and not before.stat().st_size:
        duckdb.connect(str(path)).close()  # what is in its log goes into the file
        before.unlink()
        before.hardlink_to(path)


def remove(path: Path) -> None:
    """Remove a database that nobody has open, if it is there, with its log."""
    path.unlink(missing_ok=True)
    _log_of(path).unlink(missing_ok=True)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")
