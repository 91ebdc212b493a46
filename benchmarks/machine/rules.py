"""The machine: what it may do at any moment, how a run comes to rest, and what is checked then.

No rule depends on what the gateway did so far: an example replays, and shrinks, whatever the clock does.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, ClassVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule
from sqlalchemy import Connection

from benchmarks.machine import asks
from benchmarks.machine.asks import ask, new_request
from benchmarks.machine.audit import account_of, complaints
from benchmarks.machine.death import Died, until_death
from benchmarks.machine.model import PaymentModel, Request
from benchmarks.machine.world import CARDS, World
from connectors.sandbox.faults import Fault
from connectors.sandbox.ledger import LedgerRow
from gateway.books.operations import OPEN, select_operations
from gateway.books.payments import existing_payment

ROUNDS_MAX = 12  # of leases and windows that run out, until a run must have come to rest
HELD_FOR = 2  # such rounds that a call is held back: recovery looks for one it gave up only so often

# Some of them make PayPal refuse (`connectors/sandbox/magic.py`).
AMOUNTS = st.sampled_from([1000, 100, 5140, 6143])
PARTS = st.sampled_from([None, 1, 100, 300, 500, 1000, 5140, 5141, 5142])
METHODS = st.sampled_from([*CARDS, "visa", "visa", "visa", "mastercard", "mastercard", None, None, None])
VERDICTS = st.sampled_from(["allow", "allow", "flag", "review", "block", None])
DEATHS = st.none() | st.integers(1, 24)
FAULTS = st.builds(
    Fault,
    processor=st.sampled_from(["visa", "mastercard", "paypal"]),
    fault=st.sampled_from(
        ["silence", "apply_then_silence", "apply_then_reset", "apply_then_500", "slow", "half_body", "garbage"]
    ),
    operation=st.sampled_from([None, None, "authorize", "capture", "void", "reversal", "refund", "lookup"]),
    seconds=st.none(),
    times=st.integers(1, 3),
)
FOLLOW_UPS = st.one_of(
    st.builds(lambda amount, final: ("capture", {"amount": amount, "final": final}), PARTS, st.booleans()),
    st.just(("void", {})),
    st.builds(lambda amount: ("refund", {"amount": amount}), PARTS),
    st.builds(lambda decision: ("decide", {"decision": decision}), st.sampled_from(["approve", "reject"])),
    st.builds(lambda cancelled: ("come_back", {"cancelled": cancelled}), st.booleans()),
    st.builds(lambda which: ("hear_late", {"which": which}), st.integers(0, 5)),
    st.just(("run_out", {})),
)


class GatewayMachine(RuleBasedStateMachine):
    """One run. `world` serves all of them."""

    world: ClassVar[World]
    payments = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.models: list[PaymentModel] = []
        self.failed = False
        self.rounds_held = 0

    @rule(
        target=payments,
        amount=AMOUNTS,
        automatic=st.booleans(),
        card=METHODS,
        verdict=VERDICTS,
        wanted=st.sampled_from([None, None, "visa", "mastercard"]),
        dies_at=DEATHS,
    )
    def authorize(
        self,
        amount: int,
        automatic: bool,
        card: str | None,
        verdict: Any,
        wanted: str | None,
        dies_at: int | None,
    ) -> PaymentModel:
        """A customer pays."""
        model = PaymentModel(
            create=new_request(self.world, "create"),
            amount=amount,
            automatic=automatic,
            card=card,
            wanted=wanted if card else None,
            verdict=verdict,
            requests=[],
            decided=set(),
        )
        if model.never_lets_go():  # what we must release ourselves would be asked for without end
            model.automatic, model.verdict = False, "allow"
        self.models.append(model)
        self._do(self._asked(model, model.create, dies_at))
        return model

    @rule(payment=payments, amount=PARTS, final=st.booleans(), dies_at=DEATHS)
    def capture(self, payment: PaymentModel, amount: int | None, final: bool, dies_at: int | None) -> None:
        """The merchant takes what is held, or a part of it."""
        self._do(self._follow_up(payment, "capture", dies_at, amount=amount, final=final))

    @rule(payment=payments, amount=PARTS, dies_at=DEATHS)
    def refund(self, payment: PaymentModel, amount: int | None, dies_at: int | None) -> None:
        """The merchant gives back all or a part."""
        self._do(self._follow_up(payment, "refund", dies_at, amount=amount))

    @rule(payment=payments, dies_at=DEATHS)
    def void(self, payment: PaymentModel, dies_at: int | None) -> None:
        """The merchant lets go of what is held."""
        self._do(self._follow_up(payment, "void", dies_at))

    @rule(payment=payments, decision=st.sampled_from(["approve", "reject"]), dies_at=DEATHS)
    def decide(self, payment: PaymentModel, decision: str, dies_at: int | None) -> None:
        """An analyst decides."""
        self._do(self._follow_up(payment, "decide", dies_at, decision=decision))

    @rule(payment=payments, button=st.sampled_from(["approve", "cancel"]), dies_at=DEATHS)
    def press_and_come_back(self, payment: PaymentModel, button: str, dies_at: int | None) -> None:
        """The payer approves or cancels at PayPal, and comes back."""
        self._do(self._follow_up(payment, "press", None, button=button))
        self._do(self._follow_up(payment, "come_back", dies_at, cancelled=button == "cancel"))

    @rule(payment=payments, which=st.integers(0, 5), dies_at=DEATHS)
    def hear_late(self, payment: PaymentModel, which: int, dies_at: int | None) -> None:
        """A processor tells of an earlier call by itself."""
        self._do(self._follow_up(payment, "hear_late", dies_at, which=which))

    @rule(payment=payments, which=st.integers(0, 5), dies_at=DEATHS)
    def repeat(self, payment: PaymentModel, which: int, dies_at: int | None) -> None:
        """A client asks again under its key."""
        asked = [payment.create, *payment.requests]
        self._do(self._asked(payment, asked[which % len(asked)], dies_at))

    @rule(payment=payments, first=FOLLOW_UPS, second=FOLLOW_UPS)
    def race(self, payment: PaymentModel, first: Any, second: Any) -> None:
        """Two things at once."""
        both = [self._follow_up(payment, name, None, **asked) for name, asked in (first, second)]
        self._do(_together(both))

    @rule(fault=FAULTS)
    def misbehave(self, fault: Fault) -> None:
        """A processor will answer badly, or not at all, some of the next calls."""
        slow = fault.fault == "slow"
        self.world.misbehave(msgspec.structs.replace(fault, seconds=3600.0 if slow else None))

    @rule(processor=st.sampled_from(["visa", "mastercard", "paypal"]))
    def refuse(self, processor: Any) -> None:
        """A processor closes its port, until all behave."""
        self.world.misbehave(Fault(processor=processor, fault="refuse"))

    @rule()
    def behave(self) -> None:
        """All faults end, and calls that were held back are applied."""
        self._do(self.world.behave())

    @rule()
    def run_out(self) -> None:
        """Time passes, and recovery looks."""
        self._do(self._run_out())

    def teardown(self) -> None:
        """Bring the run to rest, and look at everything."""
        self.world.runs += 1
        if self.failed:
            self.world.do(self.world.behave())
            self.world.ledger()
        else:
            self._do(self._end())

    def _do(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            self.world.do(work)
        except BaseException as error:
            self.failed = True
            self.world.note(error)
            raise

    async def _follow_up(self, payment: PaymentModel, name: str, dies_at: int | None, **asked: Any) -> None:
        """Do something about a payment, where there is one."""
        if name == "run_out":
            return await self._run_out()
        if await asks.find_id(self.world, payment) is None:
            return None
        if name in ("capture", "void", "refund"):
            request = new_request(self.world, name, **asked)  # type: ignore[arg-type]
            payment.requests.append(request)
            return await self._asked(payment, request, dies_at)
        try:
            await until_death(getattr(asks, name)(self.world, payment, **asked), dies_at)
        except Died:
            pass
        self.world.operations += 1
        return None

    async def _asked(self, payment: PaymentModel, request: Request, dies_at: int | None) -> None:
        self.world.operations += 1
        try:
            await until_death(ask(self.world, payment, request), dies_at)
        except Died:
            request.hear(None)

    async def _run_out(self) -> None:
        self.rounds_held = self.rounds_held + 1 if self.world.held else 0
        if self.rounds_held > HELD_FOR:
            await self.world.land()
        await self.world.run_out(await self._ids())

    async def _ids(self) -> list[str]:
        found = [await asks.find_id(self.world, model) for model in self.models]
        return [id for id in found if id is not None]

    async def _end(self) -> None:
        await self.world.behave()
        await self._settle()
        for model in self.models:  # each answer once more, byte by byte
            for request in [model.create, *model.requests]:
                if request.answer is not None:
                    await ask(self.world, model, request)
        wrong = await self._wrong()
        assert not wrong, "\n".join(wrong)

    async def _settle(self) -> None:
        """Run out every lease, decide what waits for somebody, and void what is still held."""
        for _ in range(ROUNDS_MAX):
            await self.world.run_out(await self._ids())
            waiting = [model for model in self.models if await self._let_go(model)]
            if not waiting and not await self.world.runtime.books.read(_due, await self._ids()):
                return

    async def _let_go(self, model: PaymentModel) -> bool:
        """Whether a payment still held money, which is now let go, or waits for somebody."""
        if model.id is None:
            return False
        row = await self.world.runtime.books.read(existing_payment, model.id)
        match row.state:
            case "in_review":
                await self._follow_up(model, "decide", None, decision="reject")
            case "authorized" | "partially_captured" if model.never_lets_go():
                await self._follow_up(model, "capture", None, amount=None, final=True)
                return False
            case "authorized" | "partially_captured":
                await self._follow_up(model, "void", None)
            case "processing" | "requires_action" | "unknown":
                pass
            case "captured" | "voided" | "declined" | "failed":
                return False
        return True

    async def _wrong(self) -> list[str]:
        ledger: dict[str, list[LedgerRow]] = defaultdict(list)
        for row in self.world.ledger():
            ledger[row.reference].append(row)
        wrong, self.world.complaints = self.world.complaints, []
        for model in self.models:
            if model.id is not None:
                found = await self.world.runtime.books.read(account_of, model.id, ledger)
                lines = [f"{model.id}: {line}" for line in complaints(model, found)]
                wrong += [*lines, *found.lines()] if lines else []
        return wrong


async def _together(work: list[Coroutine[Any, Any, Any]]) -> None:
    await asyncio.gather(*work)


def _due(conn: Connection, payment_ids: list[str]) -> bool:
    found = [o for id in payment_ids for o in select_operations(conn, id)]
    return any(o.status in OPEN or o.lease_until is not None for o in found)
