"""What the app is wired from: dependencies opened in order when it starts, and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry
from quart import current_app
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from connectors.keyfiles import read_or_make
from connectors.processors.contract import Processor
from connectors.processors.registry import open_processors
from connectors.processors.settings import ProcessorSettings
from gateway.books.clock import set_steady_clock
from gateway.books.controls import keep_controls
from gateway.books.engine import Books, UnknownCommit
from gateway.books.opening import migrate, open_books
from gateway.books.outbox import OutboxRow
from gateway.books.write_probe import WriteProbe
from gateway.decline_times import DeclineTimes
from gateway.events.controls_inbox import ControlsInbox
from gateway.events.outbox_relay import OutboxRelay
from gateway.events.verdict_checks import keep_late, keep_unclaimed
from gateway.events.verdict_inbox import VerdictInbox, VerdictListener
from gateway.identity.passwords import Passwords
from gateway.identity.tokens import AccessTokens
from gateway.log_lines import LogLine, LogLines
from gateway.metrics import InboxMetrics, OutboxMetrics, ProcessorMetrics, RequestMetrics
from gateway.policy import Policy, policy_of
from gateway.rate_limits import RateLimits
from gateway.settings import GatewaySettings
from gateway.vault.client import VaultClient
from gateway.vault.isolation import socket_path
from schemas.controls import DEFAULTS
from schemas.fraud import Verdict
from schemas.payments import ProcessorName

T = TypeVar("T")
EXTENSION = "sluice"
KEPT_EVERY_S, KEPT_TRIES = 1.0, 60  # verdicts that came late

log = structlog.get_logger()


@dataclass
class Runtime:
    """What a running gateway is made of. `ready`: each awaitable raises, or says False, while it is not ready.

    `key` makes keyed hashes. `metrics` is this app's registry: whoever measures adds to it.
    """

    settings: GatewaySettings
    policy: Policy
    books: Books
    processors: dict[ProcessorName, Processor]
    verdicts: VerdictInbox
    controls: ControlsInbox
    relay: OutboxRelay
    vault: VaultClient
    tokens: AccessTokens
    passwords: Passwords
    key: bytes
    metrics: CollectorRegistry
    request_metrics: RequestMetrics
    processor_metrics: ProcessorMetrics
    outbox_metrics: OutboxMetrics
    inbox_metrics: InboxMetrics
    decline_times: DeclineTimes = field(default_factory=DeclineTimes)
    rate_limits: RateLimits = field(default_factory=RateLimits)
    log_lines: LogLines = field(default_factory=LogLines)
    ready: list[Callable[[], Awaitable[bool]]] = field(default_factory=list)
    running: set[asyncio.Task[Any]] = field(default_factory=set)

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


def current_runtime() -> Runtime:
    """The runtime of the app that serves this request."""
    found: Runtime = current_app.extensions[EXTENSION]
    return found


@asynccontextmanager
async def opened(settings: GatewaySettings, processors: ProcessorSettings) -> AsyncIterator[Runtime]:
    """Everything the app needs, ready to serve; on the way out, work in hand is finished first."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.books_url()
    await asyncio.to_thread(migrate, url)
    async with AsyncExitStack() as stack:
        books = open_books(url)
        registry = CollectorRegistry()
        stack.push_async_callback(books.close)
        await set_steady_clock(books)
        made = Runtime(
            settings=settings,
            policy=policy_of(settings),
            books=books,
            processors=open_processors(processors, settings.call_timeout_s),
            verdicts=VerdictInbox(settings.bootstrap(), _verdict_listener(lambda: made)),
            controls=ControlsInbox(
                settings.bootstrap(),
                {rule.id for rule in DEFAULTS},
                lambda told: books.write(keep_controls, told),
                lambda wrong: _refuse_control(made, wrong),
            ),
            relay=OutboxRelay(books, settings.bootstrap()),
            vault=VaultClient(socket_path(settings.data, settings.vault)),
            tokens=AccessTokens(settings, settings.public_url),
            passwords=Passwords(),
            metrics=registry,
            request_metrics=RequestMetrics(registry),
            processor_metrics=ProcessorMetrics(registry),
            outbox_metrics=OutboxMetrics(registry),
            inbox_metrics=InboxMetrics(registry),
            key=read_or_make(settings, "gateway.key", lambda: token_bytes(32)),
        )
        stack.callback(made.passwords.close)
        stack.push_async_callback(made.vault.close)
        stack.push_async_callback(_finish, made.running)  # what late verdicts began, once no more come
        stack.push_async_callback(made.verdicts.close)
        stack.push_async_callback(made.controls.close)
        for processor in made.processors.values():
            stack.push_async_callback(processor.close)
        books.listener = lambda facts: _told(made, facts)
        stack.callback(made.log_lines.write)
        stack.push_async_callback(made.relay.close)
        stack.push_async_callback(_finish, made.running)
        made.ready += [WriteProbe(books).answers, made.vault_answers, made.verdicts.ready, made.controls.ready]
        yield made


def _told(made: Runtime, facts: list[Any]) -> None:
    """Hand on what a group of commits announced. Whatever that raises, no later event may overtake these."""
    try:
        _publish(made, facts)
    except Exception:
        made.relay.leave_to_sweep()
        raise


def _publish(made: Runtime, facts: list[Any]) -> None:
    """Events go to the relay, lines to the log."""
    events = []
    for fact in facts:
        match fact:
            case OutboxRow():
                events.append(fact)
            case LogLine():
                made.log_lines.add(fact)
            case UnknownCommit():
                made.relay.leave_to_sweep()
            case _:
                raise TypeError(f"nobody takes a {type(fact).__name__}")
    made.relay.publish(events)


def _verdict_listener(made: Callable[[], Runtime]) -> VerdictListener:
    """What becomes of verdicts that nobody waits for; `made` is called once one comes."""
    return VerdictListener(
        on_late=lambda late: made().go_on(_keep(made(), keep_late, late)),
        on_unclaimed=lambda blocks: made().go_on(_keep_unclaimed(made(), blocks)),
        on_refused=lambda wrong: _refuse_verdict(made(), wrong),
    )


async def _keep_unclaimed(made: Runtime, blocks: list[Verdict]) -> None:
    for wrong in await _keep(made, keep_unclaimed, blocks) or ():
        _refuse_verdict(made, wrong)


async def _keep(
    made: Runtime, keep: Callable[[Connection, list[Verdict]], T], verdicts: list[Verdict]
) -> T | None:
    """What `keep` returns. A full disk, or a database that is away, passes: a block must not be forgotten for it.

    None where it did not pass for long; a gateway that starts again reads them anew.
    """
    for _ in range(KEPT_TRIES):
        try:
            return await made.books.write(keep, verdicts)
        except (SQLAlchemyError, OSError) as error:
            log.warning("verdicts.not_kept", verdicts=len(verdicts), error=type(error).__name__)
            await asyncio.sleep(KEPT_EVERY_S)
    return None


def _refuse_verdict(made: Runtime, wrong: str) -> None:
    made.inbox_metrics.verdicts.labels(wrong).inc()
    log.warning("verdict.refused", field=wrong)


def _refuse_control(made: Runtime, wrong: str) -> None:
    made.inbox_metrics.controls.labels(wrong).inc()
    log.warning("control.refused", field=wrong)


async def _finish(running: set[asyncio.Task[Any]]) -> None:
    if running:
        await asyncio.wait(running)
