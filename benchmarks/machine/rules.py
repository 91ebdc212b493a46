"""The machine: what it may do at any moment, how a run comes to rest, and what is checked then.

No rule depends on what the gateway did so far: an example replays, and shrinks, whatever the clock does.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, ClassVar, get_args

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import Connection

from benchmarks.machine import asks
from benchmarks.machine.asks import ask, new_request
from benchmarks.machine.audit import complaints, evidence_of
from benchmarks.machine.death import Died, until_death
from benchmarks.machine.model import PaymentModel, Request
from benchmarks.machine.world import CARDS, World
from connectors.sandbox.faults import Fault, FaultName, FaultTarget
from connectors.sandbox.ledger import LedgerRow
from gateway.books.operations import OPEN, select_operations
from gateway.books.payments import existing_payment
from schemas.payments import PROCESSORS, ProcessorName

ROUNDS_MAX = 12  # of leases and windows that run out, until a run must have come to rest
CLOSED_FOR = 2  # steps
HELD_FOR = 2  # such rounds that a call is held back: recovery looks for one it gave up only so often

PAYMENTS_MAX = 4  # of a run: few, so that much happens to each

# Some of them make PayPal refuse (`connectors/sandbox/magic.py`).
AMOUNTS = st.sampled_from([1000, 1000, 5140, 6143])
PARTS = st.sampled_from([300, 500, 300, 100, 1, None, 500, 5140, 5141, 5142])
WELL = ["visa"] * 6 + ["mastercard"] * 5 + [None] * 6
FINAL = st.sampled_from([False, False, True])
METHODS = st.sampled_from([*WELL, *CARDS])  # None: PayPal
VERDICTS = st.sampled_from(["allow", "allow", "allow", "flag", "review", "review", "block", None])
DEATHS = st.none() | st.none() | st.integers(1, 16)
ANSWERED_BADLY: list[FaultName] = [name for name in get_args(FaultName) if name != "refuse"]
MISHAPS = st.none() | st.sampled_from([*ANSWERED_BADLY, "slow", "slow", "slow"])
FAULTS = st.builds(
    Fault,
    processor=st.sampled_from(PROCESSORS),
    fault=st.sampled_from(ANSWERED_BADLY),
    operation=st.sampled_from([None, "authorize", "capture", "void", "reversal", "refund", "lookup", "lookup"]),
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
        self.closed_for = 0

    @initialize(target=payments, amount=AMOUNTS, card=st.sampled_from(WELL))
    def reserve(self, amount: int, card: str | None) -> PaymentModel:
        """A payment that goes well, so that there is something to capture and to void."""
        return self._pay_well(amount, card, automatic=False)

    @initialize(target=payments, amount=AMOUNTS, card=st.sampled_from(WELL))
    def take(self, amount: int, card: str | None) -> PaymentModel:
        """A payment that goes well, so that there is something to give back."""
        return self._pay_well(amount, card, automatic=True)

    def _pay_well(self, amount: int, card: str | None, *, automatic: bool) -> PaymentModel:
        model = self._new(amount, automatic, card, None, "allow")
        self._do(self._asked(model, model.create, None))
        if card is None:
            self.press_and_come_back(model, "approve", None)
        return model

    @precondition(lambda self: len(self.models) < PAYMENTS_MAX)
    @rule(
        target=payments,
        amount=AMOUNTS,
        automatic=st.sampled_from([False, False, True]),
        card=METHODS,
        verdict=VERDICTS,
        wanted=st.sampled_from([None, None, None, "visa", "mastercard"]),
        mishap=MISHAPS,
        dies_at=DEATHS,
    )
    def authorize(
        self,
        amount: int,
        automatic: bool,
        card: str | None,
        verdict: Any,
        wanted: ProcessorName | None,
        mishap: FaultName | None,
        dies_at: int | None,
    ) -> PaymentModel:
        """A customer pays."""
        model = self._new(amount, automatic, card, wanted if card else None, verdict)
        self._meet(model, mishap, "authorize")
        self._do(self._asked(model, model.create, dies_at))
        return model

    def _new(
        self, amount: int, automatic: bool, card: str | None, wanted: ProcessorName | None, verdict: Any
    ) -> PaymentModel:
        model = PaymentModel(
            create=new_request(self.world, "create"),
            amount=amount,
            automatic=automatic,
            card=card,
            wanted=wanted,
            verdict=verdict,
            requests=[],
            decided=set(),
        )
        if model.never_lets_go():  # what we must release ourselves would be asked for without end
            model.automatic, model.verdict = False, "allow"
        self.models.append(model)
        return model

    @rule(payment=payments, amount=PARTS, final=FINAL, mishap=MISHAPS, dies_at=DEATHS)
    def capture(
        self, payment: PaymentModel, amount: int | None, final: bool, mishap: FaultName | None, dies_at: int | None
    ) -> None:
        """The merchant takes what is held, or a part of it."""
        self._meet(payment, mishap, "capture")
        self._do(self._follow_up(payment, "capture", dies_at, amount=amount, final=final))

    @rule(payment=payments, amount=PARTS, mishap=MISHAPS, dies_at=DEATHS)
    def refund(
        self, payment: PaymentModel, amount: int | None, mishap: FaultName | None, dies_at: int | None
    ) -> None:
        """The merchant gives back all or a part."""
        self._meet(payment, mishap, "refund")
        self._do(self._follow_up(payment, "refund", dies_at, amount=amount))

    @rule(payment=payments, mishap=MISHAPS, dies_at=DEATHS)
    def void(self, payment: PaymentModel, mishap: FaultName | None, dies_at: int | None) -> None:
        """The merchant lets go of what is held."""
        self._meet(payment, mishap, "void")
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
        self.world.misbehave(fault)

    @rule(processor=st.sampled_from(PROCESSORS))
    def refuse(self, processor: Any) -> None:
        """A processor closes its port for the next steps."""
        self.world.misbehave(Fault(processor=processor, fault="refuse"))
        self.closed_for = CLOSED_FOR

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
        try:
            if not self.failed:
                self._do(self._end())
        finally:
            self.world.do(self._clear_up())

    def _meet(self, payment: PaymentModel, mishap: FaultName | None, operation: FaultTarget) -> None:
        """Let the next such call to the payment's processor go wrong."""
        if mishap is not None:
            self.world.misbehave(Fault(processor=payment.processor(), fault=mishap, operation=operation, times=1))

    def _do(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            self.world.do(work)
            self.closed_for -= 1
            if not self.closed_for:
                self.world.do(self.world.end("refuse"))
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
            done = await until_death(getattr(asks, name)(self.world, payment, **asked), dies_at)
        except Died:
            self.world.replies["died"], done = self.world.replies["died"] + 1, True
        self.world.operations += done
        return None

    async def _asked(self, payment: PaymentModel, request: Request, dies_at: int | None) -> None:
        self.world.operations += 1
        try:
            await until_death(ask(self.world, payment, request), dies_at)
        except Died:
            self.world.replies["died"] += 1
            request.hear(None)

    async def _run_out(self) -> None:
        self.rounds_held = self.rounds_held + 1 if self.world.held else 0
        if self.rounds_held > HELD_FOR:
            await self.world.end("slow")
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

    async def _clear_up(self) -> None:
        await self.world.behave()
        await self.world.forget(await self._ids())
        self.world.ledger()

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
                found = await self.world.runtime.books.read(evidence_of, model.id, ledger)
                lines = [f"{model.id}: {line}" for line in complaints(model, found)]
                wrong += [*lines, *found.lines()] if lines else []
        return wrong


async def _together(work: list[Coroutine[Any, Any, Any]]) -> None:
    await asyncio.gather(*work)


def _due(conn: Connection, payment_ids: list[str]) -> bool:
    found = [o for id in payment_ids for o in select_operations(conn, id)]
    return any(o.status in OPEN or o.lease_until is not None for o in found)
