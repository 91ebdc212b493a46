"""What the app is wired from, opened in order and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from quart import current_app

from connectors.keyfiles import read_or_make
from connectors.processors.contract import Processor
from connectors.processors.registry import open_processors
from connectors.processors.settings import ProcessorSettings
from gateway.books.engine import Books, sqlite_engine
from gateway.books.verdicts import insert_late
from gateway.identity.passwords import Passwords
from gateway.identity.tokens import Tokens
from gateway.limits import Limits
from gateway.metrics import OutboxMetrics, RequestMetrics
from gateway.migrate import migrate
from gateway.payments.terms import Terms, terms_of
from gateway.payments.verdicts import Verdicts
from gateway.relay import Relay
from gateway.settings import GatewaySettings
from gateway.vault.address import socket_path
from gateway.vault.client import VaultClient
from schemas.fraud import Verdict
from schemas.payments import ProcessorName

T = TypeVar("T")
EXTENSION = "sluice"


@dataclass
class Parts:
    """The gateway's living parts. `ready`: each awaitable raises, or says False, while it is not ready.

    `key` makes keyed hashes. `metrics` is this app's registry: whoever measures adds to it.
    """

    settings: GatewaySettings
    terms: Terms
    books: Books
    processors: dict[ProcessorName, Processor]
    verdicts: Verdicts
    relay: Relay
    vault: VaultClient
    tokens: Tokens
    passwords: Passwords
    key: bytes
    metrics: CollectorRegistry
    requests: RequestMetrics
    outbox: OutboxMetrics
    limits: Limits = field(default_factory=Limits)
    ready: list[Callable[[], Awaitable[bool]]] = field(default_factory=list)
    running: set[asyncio.Task[Any]] = field(default_factory=set)

    async def books_answer(self) -> bool:
        """Whether the books can be read."""
        return await self.books.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar() == 1)

    async def vault_answers(self) -> bool:
        """Whether the vault answers. Raises `VaultAway`."""
        await self.vault.ping()
        return True

    def go_on(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` in a task of the app's own, which is finished before the books are closed."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which goes on when the client hangs up.

        Quart cancels a handler whose client has gone, even in the middle of a call that moves money.
        """
        return await asyncio.shield(self.go_on(work))


def parts() -> Parts:
    """The parts of the app that serves this request."""
    found: Parts = current_app.extensions[EXTENSION]
    return found


@asynccontextmanager
async def opened(settings: GatewaySettings, processors: ProcessorSettings) -> AsyncIterator[Parts]:
    """Everything the app needs, ready to serve; on the way out, work in hand is finished first."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.books_path()
    await asyncio.to_thread(migrate, path)
    async with AsyncExitStack() as stack:
        books = Books(sqlite_engine(path))
        registry = CollectorRegistry()
        stack.push_async_callback(books.close)
        made = Parts(
            settings=settings,
            terms=terms_of(settings),
            books=books,
            processors=open_processors(processors, settings.call_timeout_s),
            verdicts=Verdicts(settings.bootstrap(), lambda late: _keep_late(made, late)),
            relay=Relay(books, settings.bootstrap()),
            vault=VaultClient(socket_path(settings.data, settings.vault)),
            tokens=Tokens(settings, settings.public_url),
            passwords=Passwords(),
            metrics=registry,
            requests=RequestMetrics(registry),
            outbox=OutboxMetrics(registry),
            key=read_or_make(settings, "gateway.key", lambda: token_bytes(32)),
        )
        stack.callback(made.passwords.close)
        stack.push_async_callback(made.vault.close)
        stack.push_async_callback(made.verdicts.close)
        for processor in made.processors.values():
            stack.push_async_callback(processor.close)
        books.listener = made.relay.publish
        stack.push_async_callback(made.relay.close)
        stack.push_async_callback(_finish, made.running)
        made.ready += [made.books_answer, made.vault_answers, made.verdicts.ready]
        yield made


def _keep_late(made: Parts, late: list[Verdict]) -> None:
    made.go_on(made.books.write(insert_late, late))


async def _finish(running: set[asyncio.Task[Any]]) -> None:
    if running:
        await asyncio.wait(running)
