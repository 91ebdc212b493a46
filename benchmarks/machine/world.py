"""What the machine runs on: one event loop, one gateway without HTTP, Kafka and flows, and the processors' twins.

It serves any number of runs: each makes payments of its own.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection, update
from structlog.typing import EventDict

from benchmarks.machine.death import outlived, until_death
from connectors.sandbox.faults import Fault, FaultName
from connectors.sandbox.sandbox import Sandbox
from gateway.books.cards import CardRow
from gateway.books.engine import Outdated
from gateway.books.idempotency import idempotency_keys
from gateway.books.operations import OperationOpen, operations
from gateway.books.payments import PaymentRow, payments
from gateway.events.verdict_inbox import VerdictInbox
from gateway.payments.recovery_pools import sweep
from gateway.runtime import Runtime
from schemas.fraud import Outcome, Verdict
from schemas.times import now

T = TypeVar("T")

HELD_S = 3600.0
LANDED_WITHIN_S = 20.0

Judgement = Outcome | Literal["review unsent"]  # the last one asks no issuer before a person decided
VERDICT: ContextVar[Judgement | None] = ContextVar("verdict", default=None)


class Judge(VerdictInbox):
    """Stands for the fraud flow: what it says of a payment is in `VERDICT`; None: it does not answer in time."""

    def __init__(self) -> None:
        pass

    async def wait(self, payment: PaymentRow, budget_s: float) -> Verdict | None:
        """See `VerdictInbox`."""
        judged = VERDICT.get()
        return _verdict(payment.id, judged) if judged else None


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
        """End all faults, and wait for what is under way: what a twin held back or left pending, transactions."""
        async with asyncio.timeout(LANDED_WITHIN_S):
            await outlived()
            await self._reopen()
            while self.held:  # noqa: ASYNC110  (the twins apply such a call in the loop's next turns)
                await asyncio.sleep(0)
        await self.sandbox.end_pending(completed=True)

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

    async def run_out(self, payment_ids: list[str], dies_at: int | None = None) -> None:
        """Let every lease and window of these payments run out, and recovery look once. Raises `Died`."""
        await self.runtime.books.write(_set_leases, payment_ids, 0)
        await until_death(sweep(self.runtime), dies_at)

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
        if said["event"].endswith(".failed") and not isinstance(
            error, Outdated | OperationOpen | asyncio.CancelledError
        ):
            self.complaints.append(f"{said['event']}: {error!r}")
        raise structlog.DropEvent


def _set_leases(conn: Connection, payment_ids: list[str], until: int | None) -> None:
    columns = [(payments, "id"), (operations, "payment_id")]
    if until is not None:  # that of a key is never null
        columns.append((idempotency_keys, "subject_id"))
    for table, name in columns:
        mine = table.c[name].in_(payment_ids) & table.c.lease_until.is_not(None)
        conn.execute(update(table).where(mine).values(lease_until=until))


def _verdict(payment_id: str, judged: Judgement) -> Verdict:
    return Verdict(
        payment=payment_id,
        instrument="instrument",
        merchant="merchant",
        outcome="review" if judged == "review unsent" else judged,
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
        hold="unsent" if judged == "review unsent" else "authorized",
    )
