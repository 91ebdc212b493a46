"""Opens the books that a URL names, and migrates them. `sqlite:///path` or `postgresql://…`."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from gateway.books.engine import Books, Seal, refuse_acts, run_sealed
from gateway.books.postgres import PostgresBooks
from gateway.books.postgres_link import postgres_engine
from gateway.books.sqlite import SqliteBooks, sqlite_engine

R = TypeVar("R")

MIGRATIONS = Path(__file__).parents[1] / "migrations"
SQLITE = "sqlite:///"


def open_books(url: str) -> Books:
    """The books at `url`, migrated before; connections to PostgreSQL are opened when they are needed."""
    path = sqlite_path(url)
    return SqliteBooks(sqlite_engine(path)) if path else PostgresBooks(url)


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for PostgreSQL."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def check_existing(url: str) -> None:
    """Raises `FileNotFoundError` where there is no SQLite file, because opening it would make it."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise FileNotFoundError(f"no books at {path}: has the stack run on this data directory?")


def run_once(url: str, fn: Callable[[Connection], R], *, readonly: bool = False, seal: Seal = refuse_acts) -> R:
    """Run `fn` in one transaction of its own, outside of an event loop.

    `readonly`: it disturbs no writer, and all its statements see one moment. `seal`: of what it records in the
    audit, as `gateway.books.audit.sealing` makes it.
    """
    path = sqlite_path(url)
    if path is None:
        return asyncio.run(_run_on_postgres(url, lambda conn: run_sealed(conn, fn, seal), readonly))
    engine = sqlite_engine(path)
    try:
        with engine.connect().execution_options(readonly=readonly) as conn, conn.begin():
            return run_sealed(conn, fn, seal)
    finally:
        engine.dispose()


async def _run_on_postgres(url: str, fn: Callable[[Connection], R], readonly: bool) -> R:
    engine = postgres_engine(url, patient=True)
    level = "REPEATABLE READ" if readonly else "READ COMMITTED"
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level=level, postgresql_readonly=readonly)
        async with conn.begin():
            return await conn.run_sync(fn)


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the books at `url`; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["books"] = url
    return config


def migrate(url: str) -> None:
    """Upgrade the books at `url` to the newest revision; a SQLite file that is not there is made."""
    command.upgrade(alembic_config(url), "head")
