"""One run: its payments, what is asked of them, how it comes to rest, and what is checked then."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, assert_never

from sqlalchemy import Connection

from benchmarks.machine import asks
from benchmarks.machine.asks import ask, new_request
from benchmarks.machine.audit import complaints, evidence_of, open_tasks
from benchmarks.machine.death import Died, until_death
from benchmarks.machine.model import PaymentModel, Request
from benchmarks.machine.world import World
from connectors.sandbox.ledger import LedgerRow
from gateway.books.operations import OPEN, select_operations
from gateway.books.payments import existing_payment

ROUNDS_MAX = 24  # of leases and windows that run out, until a run must have come to rest
HELD_FOR = 2  # such rounds that a call is held back: recovery looks for one it gave up only so often

FollowUp = tuple[str, dict[str, Any]]  # the name of what is done about a payment, and its arguments


class Run:
    """The payments of one run, as their clients know them. A worker dies at its await number `dies_at`, if any."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.models: list[PaymentModel] = []
        self._rounds_held = 0

    def new(self, **fields: Any) -> PaymentModel:
        """A payment that nobody asked for yet."""
        model = PaymentModel(create=new_request(self.world, "create"), requests=[], decided=set(), **fields)
        self.models.append(model)
        return model

    async def ask(self, payment: PaymentModel, request: Request, dies_at: int | None = None) -> None:
        """Ask for something under its key, for the first time or again."""
        self.world.operations += 1
        try:
            await until_death(ask(self.world, payment, request), dies_at)
        except Died:
            self.world.replies["died"] += 1
            request.hear(None)

    async def follow_up(self, payment: PaymentModel, name: str, dies_at: int | None = None, **asked: Any) -> None:
        """Do something about a payment, where there is one."""
        if name == "run_out":
            await self.run_out(dies_at)
        elif await asks.find_id(self.world, payment) is None:
            return
        elif name in ("capture", "void", "refund"):
            request = new_request(self.world, name, **asked)  # type: ignore[arg-type]
            payment.requests.append(request)
            await self.ask(payment, request, dies_at)
        else:
            await self._happen(payment, name, dies_at, **asked)

    async def _happen(self, payment: PaymentModel, name: str, dies_at: int | None, **asked: Any) -> None:
        try:
            counts = await until_death(getattr(asks, name)(self.world, payment, **asked), dies_at)
        except Died:
            self.world.replies["died"] += 1
            counts = True
        self.world.operations += counts

    async def together(self, payment: PaymentModel, *follow_ups: FollowUp) -> None:
        """Do several things about a payment at once."""
        await asyncio.gather(*[self.follow_up(payment, name, **asked) for name, asked in follow_ups])

    async def run_out(self, dies_at: int | None = None) -> None:
        """Time passes: every lease and window runs out, and recovery looks once."""
        self._rounds_held = self._rounds_held + 1 if self.world.held else 0
        if self._rounds_held > HELD_FOR:
            await self.world.end("slow")
        try:
            await self.world.run_out(await self._ids(), dies_at)
        except Died:
            self.world.replies["recovery died"] += 1

    async def end(self) -> None:
        """Come to rest without faults, and look at everything. Raises `AssertionError` for what does not hold."""
        await self.world.behave()
        await self._settle()
        for model in self.models:  # each answer once more, byte by byte
            for request in [model.create, *model.requests]:
                if request.answer is not None:
                    await ask(self.world, model, request)
        wrong = [*self.world.complaints, *await self._wrong()]
        assert not wrong, "\n".join(wrong)

    async def clear_up(self) -> None:
        """Leave nothing to later runs."""
        await self.world.behave()
        await self.world.forget(await self._ids())
        self.world.complaints.clear()
        self.world.ledger()

    async def _ids(self) -> list[str]:
        found = [await asks.find_id(self.world, model) for model in self.models]
        return [id for id in found if id is not None]

    async def _settle(self) -> None:
        """Decide what waits for somebody, void what is still held, and let recovery look until nothing is due."""
        for _ in range(ROUNDS_MAX):
            await self.run_out()
            waiting = [model for model in self.models if await self._let_go(model)]
            if not waiting and not await self.world.runtime.books.read(_is_any_due, await self._ids()):
                return

    async def _let_go(self, model: PaymentModel) -> bool:
        """Whether a payment still held money, which is now let go, or waits for somebody."""
        if model.id is None:
            return False
        if await self.world.runtime.books.read(open_tasks, model.id):  # a person has to release it
            return False
        row = await self.world.runtime.books.read(existing_payment, model.id)
        match row.state:
            case "in_review":
                await self.follow_up(model, "decide", decision="reject")
            case "authorized" | "partially_captured" if model.never_lets_go():
                await self.follow_up(model, "capture", amount=None, final=True)
            case "authorized" | "partially_captured":
                await self.follow_up(model, "void")
            case "processing" | "requires_action" | "unknown":
                pass
            case "captured" | "voided" | "declined" | "failed":
                return False
            case _:
                assert_never(row.state)
        return True

    async def _wrong(self) -> list[str]:
        ledger: dict[str, list[LedgerRow]] = defaultdict(list)
        for row in self.world.ledger():
            ledger[row.reference].append(row)
        wrong = []
        for model in self.models:
            if model.id is not None:
                found = await self.world.runtime.books.read(evidence_of, model.id, ledger)
                lines = [f"{model.id}: {line}" for line in complaints(model, found)]
                wrong += [*lines, *found.lines()] if lines else []
        return [*wrong, *_unknown(ledger)]


def _unknown(ledger: dict[str, list[LedgerRow]]) -> Iterator[str]:
    """What the twins did for nobody: whoever looked at a payment took its rows out."""
    for row in [row for rows in ledger.values() for row in rows]:
        yield f"{row.processor} has {row.operation} {row.request_id} of {row.reference}, and the books do not"


def _is_any_due(conn: Connection, payment_ids: list[str]) -> bool:
    found = [o for id in payment_ids for o in select_operations(conn, id)]
    return any(o.status in OPEN or o.lease_until is not None for o in found)
