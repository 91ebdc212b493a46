"""What the app is wired from: dependencies opened in order when it starts, and closed in reverse."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from quart import current_app
from structlog import get_logger

from connectors.kafka_login import login, owner_login
from connectors.keyfiles import SecretMissing
from connectors.processors.contract import Processor
from connectors.processors.registry import open_processors
from connectors.processors.settings import ProcessorSettings
from connectors.settings import ChannelSettings
from gateway.backtest.desk import BacktestDesk
from gateway.books.audit import ActLine, sealing
from gateway.books.clock import set_steady_clock
from gateway.books.controls import keep_controls, select_settings
from gateway.books.engine import Books, UnknownCommit
from gateway.books.key_ring import KeyRing
from gateway.books.list_values import ListValues
from gateway.books.listings import keep_listings
from gateway.books.opening import migrate, open_books, sqlite_path
from gateway.books.outbox import Unpublished
from gateway.books.personal_books import PersonalBooks
from gateway.books.persons import LOOKUPS
from gateway.books.worker_lease import WorkerLease
from gateway.books.write_probe import WriteProbe
from gateway.decline_times import DeclineTimes
from gateway.events.alerts_inbox import AlertsInbox
from gateway.events.controls_inbox import ControlsInbox
from gateway.events.dead_letters import DeadLetterDesk
from gateway.events.late_verdicts import LateVerdicts
from gateway.events.outbox_relay import OutboxRelay
from gateway.events.verdict_inbox import VerdictInbox
from gateway.identity.audit_heads import AuditHeads
from gateway.identity.client_uses import ClientUses
from gateway.identity.confirmation_sender import ConfirmationSender
from gateway.identity.confirmations import ConfirmationAsked, ConfirmationRules
from gateway.identity.login_tries import LoginTries
from gateway.identity.origins import Origins
from gateway.identity.passwords import Passwords
from gateway.identity.session_uses import SessionUses
from gateway.identity.signing_keys import SigningKeys
from gateway.identity.tokens import AccessTokens
from gateway.keyed_hashes import open_key
from gateway.log_lines import LogLine, LogLines
from gateway.metrics import (
    AlertMetrics,
    AuditMetrics,
    ClientMetrics,
    EventMetrics,
    InboxMetrics,
    LookalikeMetrics,
    OutboxMetrics,
    ProcessorMetrics,
    RequestMetrics,
    StopMetrics,
    UnfinishedMetrics,
    VaultMetrics,
    VerdictMetrics,
)
from gateway.policy import Policy, policy_of
from gateway.rate_limits import RateLimits
from gateway.settings import GatewaySettings
from gateway.vault.addresses import addresses_of
from gateway.vault.client import VaultClient
from gateway.vault.proof import client_secret
from schemas.controls import DEFAULTS
from schemas.payments import ProcessorName

T = TypeVar("T")
EXTENSION = "sluice"
SOLE = "gateway"  # the name of a gateway that is the only one

log = get_logger()


@dataclass
class Runtime:
    """What a running gateway is made of. `ready`: each awaitable raises, or says False, while it is not ready.

    `key` makes keyed hashes. `key_ring`: persons' keys at hand. `metrics` is this app's registry: whoever measures
    adds to it. `seeded_ids`: of the demo's own accounts, in the local profile. `import_lock`: one file at a time.
    """

    settings: GatewaySettings
    policy: Policy
    books: Books
    worker: WorkerLease
    processors: dict[ProcessorName, Processor]
    verdicts: VerdictInbox
    late_verdicts: LateVerdicts
    controls: ControlsInbox
    alerts: AlertsInbox
    relay: OutboxRelay
    vault: VaultClient
    key_ring: KeyRing
    tokens: AccessTokens
    passwords: Passwords
    confirmation_rules: ConfirmationRules
    confirmation_sender: ConfirmationSender
    login_tries: LoginTries
    session_uses: SessionUses
    audit_heads: AuditHeads
    origins: Origins
    client_uses: ClientUses
    key: bytes
    metrics: CollectorRegistry
    request_metrics: RequestMetrics
    processor_metrics: ProcessorMetrics
    verdict_metrics: VerdictMetrics
    event_metrics: EventMetrics
    unfinished_metrics: UnfinishedMetrics
    outbox_metrics: OutboxMetrics
    lookalike_metrics: LookalikeMetrics
    client_metrics: ClientMetrics
    stop_metrics: StopMetrics
    alert_metrics: AlertMetrics
    vault_metrics: VaultMetrics
    dead_letters: DeadLetterDesk
    backtests: BacktestDesk
    list_values: ListValues
    decline_times: DeclineTimes = field(default_factory=DeclineTimes)
    import_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    rate_limits: RateLimits = field(default_factory=RateLimits)
    log_lines: LogLines = field(default_factory=LogLines)
    ready: list[Callable[[], Awaitable[bool]]] = field(default_factory=list)
    running: set[asyncio.Task[Any]] = field(default_factory=set)
    seeded_ids: set[str] = field(default_factory=set)

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
async def opened(
    settings: GatewaySettings, processors: ProcessorSettings, channels: ChannelSettings
) -> AsyncIterator[Runtime]:
    """Everything the app needs, ready to serve; on the way out, work in hand is finished first."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.books_url()
    await asyncio.to_thread(migrate, url)
    async with AsyncExitStack() as stack:
        registry = CollectorRegistry()
        vault_metrics = VaultMetrics(registry)
        vault, ring = _vault_client(settings, vault_metrics), KeyRing(LOOKUPS)
        stack.push_async_callback(vault.close)
        books = PersonalBooks(open_books(url), ring, vault.person_keys)
        stack.push_async_callback(books.close)
        await set_steady_clock(books)
        removed = {id for id, setting in (await books.read(select_settings)).items() if setting is None}
        awaited_ids = {rule.id for rule in DEFAULTS} - removed
        made = _wired(settings, processors, channels, vault, ring, books, awaited_ids, registry, vault_metrics)
        await made.worker.open()
        _close_with(stack, made)
        books.listener = lambda facts: _told(made, facts)
        books.seal = sealing(made.key)
        made.ready += [WriteProbe(books).answers, made.vault_answers, made.verdicts.ready, made.controls.ready]
        yield made


def _wired(
    settings: GatewaySettings,
    processors: ProcessorSettings,
    channels: ChannelSettings,
    vault: VaultClient,
    ring: KeyRing,
    books: Books,
    awaited_ids: set[str],
    registry: CollectorRegistry,
    vault_metrics: VaultMetrics,
) -> Runtime:
    key = open_key(settings)
    rules = ConfirmationRules(key, channels.limits(), channels, settings.public_url)
    refused, alert_metrics = InboxMetrics(registry), AlertMetrics(registry)
    late_verdicts = LateVerdicts(books, refused.refuse_verdict)
    policy, kafka = policy_of(settings), login(settings, "gateway")
    worker = _worker(settings, books, policy)
    return Runtime(
        settings=settings,
        policy=policy,
        list_values=ListValues(key, policy.prints),
        books=books,
        worker=worker,
        processors=open_processors(processors, settings.call_timeout_s),
        verdicts=VerdictInbox(kafka, late_verdicts.listener()),
        late_verdicts=late_verdicts,
        controls=ControlsInbox(
            kafka,
            awaited_ids,
            lambda told: books.write(keep_controls, told),
            lambda told: keep_listings(books, told),
            refused.refuse_control,
        ),
        alerts=AlertsInbox(kafka, alert_metrics.count, refused.refuse_alert),
        relay=OutboxRelay(books, kafka, worker),
        vault=vault,
        key_ring=ring,
        tokens=AccessTokens(SigningKeys(settings), settings.public_url),
        passwords=Passwords(),
        confirmation_rules=rules,
        confirmation_sender=ConfirmationSender(
            books, rules, _if_secret(channels.mailer), _if_secret(channels.texter)
        ),
        login_tries=LoginTries(books, rules),
        session_uses=SessionUses(books),
        origins=Origins(books, settings.profile),
        audit_heads=AuditHeads(books, vault, AuditMetrics(registry)),
        client_uses=ClientUses(books),
        metrics=registry,
        request_metrics=RequestMetrics(registry),
        processor_metrics=ProcessorMetrics(registry),
        verdict_metrics=VerdictMetrics(registry),
        event_metrics=EventMetrics(registry),
        unfinished_metrics=UnfinishedMetrics(registry),
        outbox_metrics=OutboxMetrics(registry),
        lookalike_metrics=LookalikeMetrics(registry),
        client_metrics=ClientMetrics(registry),
        stop_metrics=StopMetrics(registry),
        alert_metrics=alert_metrics,
        vault_metrics=vault_metrics,
        dead_letters=DeadLetterDesk(kafka, partial(owner_login, settings)),
        backtests=BacktestDesk(settings),
        key=key,
    )


def _worker(settings: GatewaySettings, books: Books, policy: Policy) -> WorkerLease:
    """This gateway among those on its books; on SQLite there is no other one."""
    is_sole = sqlite_path(settings.books_url()) is not None
    name, lease_us = (SOLE, None) if is_sole else (settings.worker_name(), policy.lease_us)
    return WorkerLease(books, policy.worker_id, name, lease_us, lambda: signal.raise_signal(signal.SIGTERM))


def _vault_client(settings: GatewaySettings, metrics: VaultMetrics) -> VaultClient:
    return VaultClient(
        addresses_of(settings.data, settings.vault, settings.vault_users, settings.vault_certificates),
        client_secret(settings, settings.vault_client),
        observe=metrics.observe,
    )


def _if_secret(make: Callable[[], T]) -> T | None:
    """A channel's client; None where an operator has not supplied its secret: payments go on without it."""
    try:
        return make()
    except SecretMissing as error:
        log.warning("channel_secret.missing", reason=str(error))
        return None


def _close_with(stack: AsyncExitStack, made: Runtime) -> None:
    """Have `stack` close what is open, in reverse."""
    stack.push_async_callback(made.worker.close)
    stack.callback(made.passwords.close)
    stack.push_async_callback(made.confirmation_sender.close)
    stack.push_async_callback(made.late_verdicts.close)  # once no more come
    stack.push_async_callback(made.verdicts.close)
    stack.push_async_callback(made.controls.close)
    stack.push_async_callback(made.alerts.close)
    for processor in made.processors.values():
        stack.push_async_callback(processor.close)
    stack.callback(made.log_lines.write)
    stack.push_async_callback(made.relay.close)
    stack.push_async_callback(_finish, made.running)


def _told(made: Runtime, facts: list[Any]) -> None:
    """Hand on what a group of commits announced. Whatever that raises, no later event may overtake these."""
    try:
        _publish(made, facts)
    except Exception:
        made.relay.leave_to_sweep()
        raise


def _publish(made: Runtime, facts: list[Any]) -> None:
    """Events go to the relay, lines to the log; the sender of confirmations looks for what is new."""
    events = []
    for fact in facts:
        match fact:
            case Unpublished():
                events.append(fact)
                made.event_metrics.count(fact.row.type)
            case ActLine():
                made.log_lines.add(fact)
                made.audit_heads.wake()
            case LogLine():
                made.log_lines.add(fact)
            case ConfirmationAsked():
                made.confirmation_sender.wake(fact.channel)
            case UnknownCommit():
                made.relay.leave_to_sweep()
            case _:
                raise TypeError(f"nobody takes a {type(fact).__name__}")
    made.relay.publish(events)


async def _finish(running: set[asyncio.Task[Any]]) -> None:
    if running:
        await asyncio.wait(running)
