"""Transactions on the books: plain functions `fn(conn, …)`, run on SQLite (`sqlite`) or PostgreSQL (`postgres`).

Nothing above `books/` asks which of the two it is; but both need what PostgreSQL needs: a function may run twice
(`Books.write`), who changes a row says which version it read, and no text holds a NUL.
"""

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", covariant=True)
PlaceT = TypeVar("PlaceT", covariant=True)

Listener = Callable[[list[Any]], None]
Seal = Callable[[Connection], None]

WORKER = "worker"  # in a connection's `info`: the id of the worker whose transaction it is; None: of a command
ACTS = "acts"  # in a connection's `info`: what its transaction recorded in the audit, and is not sealed yet

log = structlog.get_logger()


class Outdated(Exception):
    """The row was changed since it was read; read it again."""


class UnknownCommit(msgspec.Struct, frozen=True):
    """Told instead of what a transaction announced whose COMMIT was never answered: it may stand or not."""


class Slice(msgspec.Struct, Generic[T, PlaceT], frozen=True):
    """A part of a list. `reached`: the place it came to, past which there may be more; None at the end."""

    rows: Sequence[T]
    reached: PlaceT | None = None


class Books(Protocol):
    """The gateway's database. Its methods raise SQLAlchemy's `OperationalError` while it is away.

    `listener` gets the facts that transactions announced, in the order of their commits. `seal` is what each does
    last: it writes what it recorded in the audit. `worker_id` names whose transactions they are (`workers`).
    """

    listener: Listener
    seal: Seal
    worker_id: str | None

    async def write(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` in a transaction, and return once it is on disk; what it raises undoes it and is raised here.

        It may be run more than once, and only the last run counts: `fn` does nothing but read and write `conn`. A
        caller who is cancelled does not undo it.
        """
        ...

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn`, each of whose statements sees what was committed when it began. It must be short."""
        ...

    async def browse(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `fn` as `read` does, for what reads more than a few rows: payments do not wait for it."""
        ...

    async def close(self) -> None:
        """Finish the transactions asked for, then close. Nothing may be asked after this."""
        ...


def announce(conn: Connection, fact: Any) -> None:
    """Hand `fact` to the books' listener once the transaction that says it is committed."""
    conn.info.setdefault("announced", []).append(fact)


def run_sealed(conn: Connection, fn: Callable[[Connection], R], seal: Seal, worker_id: str | None = None) -> R:
    """What `fn` returns, after what it recorded was sealed; for the one who runs a transaction."""
    conn.info.pop(ACTS, None)
    conn.info[WORKER] = worker_id
    result = fn(conn)
    seal(conn)
    return result


def refuse_acts(conn: Connection) -> None:
    """The seal of books that have none. Raises `RuntimeError` where something was recorded."""
    if conn.info.pop(ACTS, None):
        raise RuntimeError("what is recorded in the audit needs a key to seal it with")


def overwrite(conn: Connection) -> None:
    """Have what this transaction deletes leave the database's files with its commit, where it can do that.

    SQLite's log is written into the file and emptied; PostgreSQL overwrites dead rows when it likes.
    """
    conn.info["overwrite"] = True


def tell(listener: Listener, facts: list[Any]) -> None:
    """What is committed stands, whatever the listener makes of it."""
    try:
        listener(facts)
    except Exception:
        log.exception("listener.failed")
