"""What the app is wired from, opened in order and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import CollectorRegistry
from quart import current_app

from connectors.keyfiles import read_or_make
from gateway.books.engine import Books, sqlite_engine
from gateway.limits import Limits
from gateway.migrate import migrate
from gateway.passwords import Passwords
from gateway.settings import GatewaySettings
from gateway.tokens import Tokens
from gateway.vault.address import socket_path

if TYPE_CHECKING:
    from gateway.vault.client import VaultClient

T = TypeVar("T")
EXTENSION = "sluice"


@dataclass
class Parts:
    """The gateway's living parts. `ready`: each awaitable raises, or says False, while it is not ready.

    `key` makes keyed hashes. `metrics` is this app's registry: whoever measures adds to it.
    """

    settings: GatewaySettings
    books: Books
    vault: "VaultClient"
    tokens: Tokens
    passwords: Passwords
    key: bytes
    limits: Limits = field(default_factory=Limits)
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    ready: list[Callable[[], Awaitable[bool]]] = field(default_factory=list)
    running: set[asyncio.Task[Any]] = field(default_factory=set)

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` in a task of the app's own: it goes on when the client hangs up.

        Quart cancels a handler whose client has gone, even in the middle of a call that moves money.
        """
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return await asyncio.shield(task)


def parts() -> Parts:
    """The parts of the app that serves this request."""
    found: Parts = current_app.extensions[EXTENSION]
    return found


@asynccontextmanager
async def opened(settings: GatewaySettings) -> AsyncIterator[Parts]:
    """Everything the app needs, ready to serve; on the way out, work in hand is finished first."""
    from gateway.vault.client import VaultClient

    settings.data.mkdir(parents=True, exist_ok=True)
    path = settings.books_path()
    await asyncio.to_thread(migrate, path)
    async with AsyncExitStack() as stack:
        books = Books(sqlite_engine(path))
        stack.push_async_callback(books.close)
        made = Parts(
            settings=settings,
            books=books,
            vault=VaultClient(socket_path(settings.data, settings.vault)),
            tokens=Tokens(settings, settings.public_url),
            passwords=Passwords(),
            key=read_or_make(settings, "gateway.key", lambda: token_bytes(32)),
        )
        stack.callback(made.passwords.close)
        stack.push_async_callback(made.vault.close)
        stack.push_async_callback(_finish, made.running)
        yield made


async def _finish(running: set[asyncio.Task[Any]]) -> None:
    if running:
        await asyncio.wait(running)
