"""The books with the keys of persons: what a function lacks is fetched, and the function run again."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from gateway.books.engine import Books, Listener, Seal
from gateway.books.key_ring import KeyRing
from gateway.books.persons import RING, PersonKeysNeeded

P = ParamSpec("P")
R = TypeVar("R")

FetchKeys = Callable[[Sequence[str], bool], Awaitable[dict[str, bytes]]]

FETCHES_MAX = 10  # for one function: each names all that it then lacks


class PersonalBooks:
    """`Books` over others. Its methods raise what `fetch` raises while the vault is away.

    `fetch(person_ids, make)`: the keys of persons, without those who have none; `make`: they get one.
    """

    def __init__(self, books: Books, ring: KeyRing, fetch: FetchKeys) -> None:
        self._books, self._ring, self._fetch = books, ring, fetch

    @property
    def listener(self) -> Listener:
        """Gets the facts that transactions announced, in the order of their commits."""
        return self._books.listener

    @listener.setter
    def listener(self, listener: Listener) -> None:
        """Have another one get them."""
        self._books.listener = listener

    @property
    def seal(self) -> Seal:
        """Writes what a transaction recorded in the audit."""
        return self._books.seal

    @seal.setter
    def seal(self, seal: Seal) -> None:
        """Have another one write it."""
        self._books.seal = seal

    @property
    def worker_id(self) -> str | None:
        """Whose transactions they are."""
        return self._books.worker_id

    @worker_id.setter
    def worker_id(self, worker_id: str | None) -> None:
        """Have them be another one's."""
        self._books.worker_id = worker_id

    async def write(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`Books.write`; a function that lacks a key is undone, and run again with it."""
        return await self._with_keys(self._books.write, lambda conn: fn(conn, *args, **kwargs))

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`Books.read`, in the same way."""
        return await self._with_keys(self._books.read, lambda conn: fn(conn, *args, **kwargs))

    async def browse(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`Books.browse`, in the same way."""
        return await self._with_keys(self._books.browse, lambda conn: fn(conn, *args, **kwargs))

    async def close(self) -> None:
        """Finish the transactions asked for, then close. Nothing may be asked after this."""
        await self._books.close()

    async def _with_keys(self, run: Callable[..., Awaitable[R]], fn: Callable[[Connection], R]) -> R:
        def holding(conn: Connection) -> R:
            conn.info[RING] = self._ring
            return fn(conn)

        for _ in range(FETCHES_MAX):
            try:
                return await run(holding)
            except PersonKeysNeeded as needed:
                await self._put(needed)
        return await run(holding)

    async def _put(self, needed: PersonKeysNeeded) -> None:
        keys: dict[str, bytes] = await self._fetch(needed.person_ids, needed.make)
        self._ring.put(needed.person_ids, keys, made=needed.make)
