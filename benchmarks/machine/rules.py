"""What the machine may do at any moment, drawn by hypothesis.

No draw depends on what the gateway did so far: a run can be made again, and shrinks, whatever the clock does.
"""

from collections.abc import Coroutine
from typing import Any, ClassVar, Literal, get_args

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule

from benchmarks.machine.model import PaymentModel
from benchmarks.machine.opening import CARDS
from benchmarks.machine.runs import FollowUp, Run
from benchmarks.machine.world import Judgement, World
from connectors.sandbox.faults import Fault, FaultName, FaultTarget
from schemas.payments import PROCESSORS, ProcessorName

Moving = Literal["capture", "void", "refund"]

CLOSED_FOR = 2  # steps
PAYMENTS_MAX = 4  # of a run: few, so that much happens to each

# Some of them make PayPal refuse (`connectors/sandbox/magic.py`).
AMOUNTS = st.sampled_from([1000, 1000, 1000, 5140, 5144, 6143])
PARTS = st.sampled_from([300, 500, 300, 100, 1, None, 500, 5140, 5141, 5142, 5144])
WELL = ["visa"] * 6 + ["mastercard"] * 5 + [None] * 6
HELD = ["visa", "mastercard", None, "visa_no_void", "mastercard_no_void"]
SELDOM = st.sampled_from([False, False, True])
METHODS = st.sampled_from([*WELL, *CARDS])  # None: PayPal
VERDICTS = st.sampled_from(["allow", "allow", "allow", "flag", "review", "review unsent", "block", None])
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
    st.builds(lambda amount, final: ("capture", {"amount": amount, "final": final}), PARTS, SELDOM),
    st.just(("void", {})),
    st.builds(lambda amount: ("refund", {"amount": amount}), PARTS),
    st.builds(lambda decision: ("decide", {"decision": decision}), st.sampled_from(["approve", "reject"])),
    st.builds(lambda cancelled: ("come_back", {"cancelled": cancelled}), st.booleans()),
    st.builds(lambda which: ("hear_late", {"which": which}), st.integers(0, 5)),
    st.just(("run_out", {})),
)


class Misfortune(msgspec.Struct, frozen=True):
    """What befalls a call: its processor errs, its worker dies at an await, time passes before anybody asks."""

    mishap: FaultName | None
    dies_at: int | None
    time_passes: bool


MISFORTUNES = st.builds(Misfortune, mishap=MISHAPS, dies_at=DEATHS, time_passes=SELDOM)


class GatewayMachine(RuleBasedStateMachine):
    """One run. `world` serves all of them."""

    world: ClassVar[World]
    payments = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.started = Run(self.world)
        self.failed = False
        self.closed_for = 0

    @initialize(target=payments, amount=AMOUNTS, card=st.sampled_from(WELL))
    def reserve(self, amount: int, card: str | None) -> PaymentModel:
        """A payment that goes well, so that there is something to capture and to void."""
        return self._pay_well(amount, card, automatic=False)

    @initialize(target=payments, amount=AMOUNTS, card=st.sampled_from(WELL))
    def take(self, amount: int, card: str | None) -> PaymentModel:
        """A payment that goes well, so that there is something to give back."""
        return self._pay_well(amount, card, automatic=True)

    @initialize(target=payments, amount=AMOUNTS, card=st.sampled_from(HELD), is_rejected=st.booleans())
    def hold(self, amount: int, card: str | None, is_rejected: bool) -> PaymentModel:
        """A payment that is held for a person, perhaps where nobody releases what is held."""
        model = self._pay_well(amount, card, automatic=True, verdict="review")
        if is_rejected:
            self.decide(model, "reject", None)
        return model

    def _pay_well(
        self, amount: int, card: str | None, *, automatic: bool, verdict: Judgement = "allow"
    ) -> PaymentModel:
        run = self.started
        model = run.new(amount=amount, automatic=automatic, card=card, wanted=None, verdict=verdict)
        self._do(run.ask(model, model.create))
        if card is None:
            self.press_and_come_back(model, "approve", None)
        return model

    @precondition(lambda self: len(self.started.models) < PAYMENTS_MAX)
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
        verdict: Judgement | None,
        wanted: ProcessorName | None,
        mishap: FaultName | None,
        dies_at: int | None,
    ) -> PaymentModel:
        """A customer pays."""
        run, wanted = self.started, wanted if card else None
        model = run.new(amount=amount, automatic=automatic, card=card, wanted=wanted, verdict=verdict)
        self._meet(model, mishap, "authorize")
        self._do(run.ask(model, model.create, dies_at))
        return model

    @rule(payment=payments, amount=PARTS, final=SELDOM, misfortune=MISFORTUNES)
    def capture(self, payment: PaymentModel, amount: int | None, final: bool, misfortune: Misfortune) -> None:
        """The merchant takes what is held, or a part of it."""
        self._move(payment, "capture", misfortune, amount=amount, final=final)

    @rule(payment=payments, amount=PARTS, misfortune=MISFORTUNES)
    def refund(self, payment: PaymentModel, amount: int | None, misfortune: Misfortune) -> None:
        """The merchant gives back all or a part."""
        self._move(payment, "refund", misfortune, amount=amount)

    @rule(payment=payments, is_sure=SELDOM, misfortune=MISFORTUNES)
    def void(self, payment: PaymentModel, is_sure: bool, misfortune: Misfortune) -> None:
        """The merchant lets go of what is held; seldom, for little can happen to the payment after it."""
        if is_sure:
            self._move(payment, "void", misfortune)

    @rule(payment=payments, decision=st.sampled_from(["approve", "reject"]), dies_at=DEATHS)
    def decide(self, payment: PaymentModel, decision: str, dies_at: int | None) -> None:
        """An analyst decides."""
        self._do(self.started.follow_up(payment, "decide", dies_at, decision=decision))

    @rule(payment=payments, button=st.sampled_from(["approve", "cancel"]), dies_at=DEATHS)
    def press_and_come_back(self, payment: PaymentModel, button: str, dies_at: int | None) -> None:
        """The payer approves or cancels at PayPal, and comes back."""
        self._do(self.started.follow_up(payment, "press", None, button=button))
        self._do(self.started.follow_up(payment, "come_back", dies_at, cancelled=button == "cancel"))

    @rule(payment=payments, which=st.integers(0, 5), dies_at=DEATHS)
    def hear_late(self, payment: PaymentModel, which: int, dies_at: int | None) -> None:
        """A processor tells of an earlier call by itself."""
        self._do(self.started.follow_up(payment, "hear_late", dies_at, which=which))

    @rule(payment=payments, outcome=st.sampled_from(["retry", "lapsed"]), dies_at=DEATHS)
    def resolve_task(self, payment: PaymentModel, outcome: str, dies_at: int | None) -> None:
        """A person ends what no machine can: time has passed until then."""
        for _ in self.world.runtime.policy.release_us:
            self._do(self.started.run_out())
        self._do(self.started.follow_up(payment, "resolve_task", dies_at, outcome=outcome))

    @rule(completed=st.booleans())
    def decide_pending(self, completed: bool) -> None:
        """PayPal decides what it has left pending."""
        self._do(self.world.sandbox.end_pending(completed=completed))

    @rule(payment=payments, which=st.integers(0, 5), dies_at=DEATHS)
    def repeat(self, payment: PaymentModel, which: int, dies_at: int | None) -> None:
        """A client asks again under its key."""
        asked = [payment.create, *payment.requests]
        self._do(self.started.ask(payment, asked[which % len(asked)], dies_at))

    @rule(payment=payments, first=FOLLOW_UPS, second=FOLLOW_UPS)
    def race(self, payment: PaymentModel, first: FollowUp, second: FollowUp) -> None:
        """Two things at once."""
        self._do(self.started.together(payment, first, second))

    @rule(fault=FAULTS)
    def misbehave(self, fault: Fault) -> None:
        """A processor will answer badly, or not at all, some of the next calls."""
        self.world.misbehave(fault)

    @rule(processor=st.sampled_from(PROCESSORS))
    def refuse(self, processor: ProcessorName) -> None:
        """A processor closes its port for the next steps."""
        self.world.misbehave(Fault(processor=processor, fault="refuse"))
        self.closed_for = CLOSED_FOR

    @rule()
    def behave(self) -> None:
        """All faults end, and calls that were held back are applied."""
        self._do(self.world.behave())

    @rule(dies_at=DEATHS)
    def run_out(self, dies_at: int | None) -> None:
        """Time passes, and recovery looks."""
        self._do(self.started.run_out(dies_at))

    def teardown(self) -> None:
        """Bring the run to rest, and look at everything."""
        self.world.runs += 1
        try:
            if not self.failed:
                self._do(self.started.end())
        finally:
            self.world.do(self.started.clear_up())

    def _move(self, payment: PaymentModel, verb: Moving, misfortune: Misfortune, **asked: Any) -> None:
        """Ask for a call that moves money."""
        self._meet(payment, misfortune.mishap, verb)
        self._do(self.started.follow_up(payment, verb, misfortune.dies_at, **asked))
        if misfortune.time_passes:
            self._do(self.started.run_out())

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
