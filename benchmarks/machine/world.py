"""What the machine runs on: one event loop, one gateway without HTTP, Kafka and flows, and the processors' twins.

It serves any number of runs: each makes payments of its own.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection, update
from structlog.typing import EventDict

from benchmarks.machine.death import task_factory
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox import fault_effects
from connectors.sandbox.faults import Fault, FaultName
from connectors.sandbox.sandbox import Sandbox
from gateway.books import accounts
from gateway.books.cards import CardRow, upsert_card
from gateway.books.engine import Outdated
from gateway.books.idempotency import idempotency_keys
from gateway.books.operations import OperationOpen, operations
from gateway.books.payments import payments
from gateway.events.verdict_inbox import VerdictInbox
from gateway.payments.recovery import sweep
from gateway.refusals import Refusal
from gateway.runtime import Runtime, opened
from gateway.seed import seed_accounts
from gateway.settings import GatewaySettings
from schemas.fraud import Outcome, Verdict
from schemas.times import now, now_micros

T = TypeVar("T")

NO_KAFKA = "localhost:1"  # nobody listens there
CALL_TIMEOUT_S = 0.05  # how long a silent processor is waited for
HELD_S = 3600.0
LANDED_WITHIN_S = 20.0

# Name → number and expiry. What each does is in `connectors/sandbox/magic.py`.
CARDS = {
    "visa": ("4111111111111111", 1, 2039),
    "visa_declined": ("4000000000000002", 1, 2039),
    "visa_technical": ("4000000000000119", 1, 2039),
    "visa_risk": ("4000000000009235", 1, 2039),
    "visa_no_capture": ("4000000000000341", 1, 2039),
    "visa_no_void": ("4000000000000606", 1, 2039),
    "visa_no_refund": ("4000000000005126", 1, 2039),
    "mastercard": ("5555555555554444", 1, 2039),
    "mastercard_declined": ("5105105105105100", 5, 2039),
    "mastercard_technical": ("5454545454545454", 2, 2037),
    "mastercard_doubtful": ("5425233430109903", 5, 2037),
    "mastercard_no_capture": ("5200828282828210", 2, 2039),
    "mastercard_no_void": ("5111111111111118", 3, 2039),
    "mastercard_no_refund": ("5500000000000004", 4, 2039),
}
VERDICT: ContextVar[Outcome | None] = ContextVar("verdict", default=None)


class Judge(VerdictInbox):
    """Stands for the fraud flow: what it says of a payment is in `VERDICT`; None: it does not answer in time."""

    def __init__(self) -> None:
        pass

    async def wait(self, payment_id: str, budget_s: float) -> Verdict | None:
        """See `VerdictInbox`."""
        outcome = VERDICT.get()
        return _verdict(payment_id, outcome) if outcome else None


class World:
    """`operations` and `runs` count what was done, `replies` what requests were answered.

    `found`: what did not hold first in a search, after `found_after` operations. `complaints`: what recovery met
    and only logged.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, runtime: Runtime, sandbox: Sandbox) -> None:
        self._loop = loop
        self.runtime = runtime
        self.sandbox = sandbox
        self.customer = ""
        self.merchant = ""
        self.analyst = ""
        self.cards: dict[str, CardRow] = {}
        self.operations = 0
        self.runs = 0
        self.replies: Counter[str] = Counter()
        self.found = ""
        self.found_after = 0
        self.complaints: list[str] = []
        self._begun = 0
        self.held = 0  # calls that a twin holds back
        self._ledger_read = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end."""
        return self._loop.run_until_complete(work)

    async def behave(self) -> None:
        """End all faults. Calls that a twin held back are applied now, before this returns."""
        async with asyncio.timeout(LANDED_WITHIN_S):
            await self._reopen()
            while self.held:  # noqa: ASYNC110  (the twins apply such a call in the loop's next turns)
                await asyncio.sleep(0)

    async def _reopen(self) -> None:
        """A port that was closed may have been given to a client of somebody else's for a moment."""
        while True:
            try:
                return await self.sandbox.clear()
            except OSError:
                await asyncio.sleep(0.05)

    async def end(self, ending: FaultName) -> None:
        """End the faults of this name; the others stay, but calls that were held back are applied now."""
        faults = [fault for fault in self.sandbox.faults() if fault.fault != ending]
        await self.behave()
        for fault in faults:
            self.sandbox.order(fault)

    def misbehave(self, fault: Fault) -> None:
        """Put a fault in force. A slow call is held back until it is let go: time is not waited for."""
        self.sandbox.order(msgspec.structs.replace(fault, seconds=HELD_S) if fault.fault == "slow" else fault)

    async def run_out(self, payment_ids: list[str]) -> None:
        """Let every lease and window of these payments run out, and recovery look once."""
        await self.runtime.books.write(_set_leases, payment_ids, 0)
        await sweep(self.runtime)

    def begin_search(self) -> int:
        """Forget what was found before; the operations so far."""
        self.found, self.found_after, self._begun = "", 0, self.operations
        return self._begun

    def note(self, error: BaseException) -> None:
        """Remember what did not hold first."""
        self.found_after = self.found_after or self.operations - self._begun
        self.found = self.found or f"{type(error).__name__}: {error}"

    async def forget(self, payment_ids: list[str]) -> None:
        """Let recovery never ask for these payments again: what has no end must not slow down later runs."""
        await self.runtime.books.write(_set_leases, payment_ids, None)

    def ledger(self) -> list[Any]:
        """What the processors wrote down since this was asked last."""
        rows: list[Any] = []
        while page := self.sandbox.rows_after(self._ledger_read, 1000):
            rows += page
            self._ledger_read = page[-1].id
        return rows

    def hear(self, _logger: Any, _method: str, said: EventDict) -> EventDict:
        """Keep what recovery logs as an error, but for the losers of a race; nothing is printed."""
        error = said.get("exc_info")
        if said["event"].endswith(".failed") and not isinstance(error, Outdated | OperationOpen):
            self.complaints.append(f"{said['event']}: {error!r}")
        raise structlog.DropEvent


def settings_of(data: Path, vault: Path, database_url: str = "") -> GatewaySettings:
    """The settings of a world: nobody is waited for long, and the stand-in lets everything through."""
    return GatewaySettings(
        data=data,
        vault=vault,
        database_url=database_url,
        kafka=NO_KAFKA,
        seed=True,
        call_timeout_s=CALL_TIMEOUT_S,
        stand_in_card_cap=10**12,
        stand_in_merchant_cap=10**12,
    )


@contextmanager
def running(settings: GatewaySettings, processors: ProcessorSettings) -> Iterator[World]:
    """A world on an event loop of its own. `settings.vault` must answer."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(task_factory)
    loop.set_exception_handler(_on_loose_error)
    asyncio.set_event_loop(loop)
    stack = AsyncExitStack()
    try:
        yield loop.run_until_complete(stack.enter_async_context(_opened(settings, processors)))
    finally:
        loop.run_until_complete(stack.aclose())
        asyncio.set_event_loop(None)
        loop.close()


@asynccontextmanager
async def _opened(settings: GatewaySettings, processors: ProcessorSettings) -> AsyncIterator[World]:
    sandbox, logging = Sandbox(processors), structlog.get_config()
    await sandbox.open()
    async with opened(settings, processors) as runtime:
        world = World(asyncio.get_running_loop(), runtime, sandbox)
        await runtime.relay.close()  # events stay in the books, where the audit reads them
        await runtime.verdicts.close()
        runtime.verdicts, runtime.books.listener = Judge(), lambda facts: None
        structlog.configure(processors=[world.hear])
        await _furnish(world)
        with _counted_waits(world):
            yield world
            await world.behave()
        structlog.configure(**logging)
    sandbox.close()


async def _furnish(world: World) -> None:
    """Accounts, and a token for every card."""
    runtime = world.runtime
    await seed_accounts(runtime)
    for name in ("customer", "merchant", "analyst"):
        account = await runtime.books.read(accounts.by_email, f"{name}@example.com")
        assert account is not None
        setattr(world, name, account.id)
    for name, (number, month, year) in CARDS.items():
        stored = await runtime.vault.store(world.customer, number, month, year)
        card = CardRow(
            id=stored.card_id,
            owner_id=world.customer,
            brand=stored.brand,
            bin=stored.bin,
            last4=stored.last4,
            exp_month=month,
            exp_year=year,
            fingerprint=stored.fingerprint,
            created_at=now_micros(),
        )
        await runtime.books.write(upsert_card, card)
        world.cards[name] = card


@contextmanager
def _counted_waits(world: World) -> Iterator[None]:
    """Count the calls that a twin holds back: a slow one is applied in the step in which its wait ends."""
    waits = fault_effects.wait

    async def counted(cleared: asyncio.Event, seconds: float | None) -> bool:
        world.held += 1
        try:
            return await waits(cleared, seconds)
        finally:
            world.held -= 1

    fault_effects.wait = counted
    try:
        yield
    finally:
        fault_effects.wait = waits


def _on_loose_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A refusal whose caller has died interests nobody; PostgreSQL's books go on without the caller."""
    if not isinstance(context.get("exception"), Refusal):
        loop.default_exception_handler(context)


def _set_leases(conn: Connection, payment_ids: list[str], until: int | None) -> None:
    columns = [(payments, "id"), (operations, "payment_id")]
    if until is not None:  # that of a key is never null
        columns.append((idempotency_keys, "subject_id"))
    for table, name in columns:
        mine = table.c[name].in_(payment_ids) & table.c.lease_until.is_not(None)
        conn.execute(update(table).where(mine).values(lease_until=until))


def _verdict(payment_id: str, outcome: Outcome) -> Verdict:
    return Verdict(
        payment=payment_id,
        instrument="instrument",
        merchant="merchant",
        outcome=outcome,
        source="rules",
        score=0.5,
        reasons=[],
        features={},
        model="machine",
        rules="machine",
        flow_sequence=1,
        input_partition=0,
        input_offset=0,
        latency_ms=1.0,
        occurred_at=now(),
        recorded_at=now(),
    )
