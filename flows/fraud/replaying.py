"""The flow's verdicts made again from what stands on the topics, in the recorded order: are the scores the same?

A flow that was killed goes on from its last snapshot, so its runs are a tree: what a run judged after the snapshot
that the next one resumed was judged by a state that is gone. It is judged again here by a copy of the state,
before the next run goes on with the state itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from flows.fraud.codec import verdict_of
from flows.fraud.counterfactual import judge
from flows.fraud.intake import StreamItem
from flows.fraud.key_shard import SHARDS, place_of
from flows.fraud.keys import KEYS
from flows.fraud.model import Model, ModelParameters
from flows.fraud.operators import InstrumentOperator, Operator, key_operator
from flows.fraud.rules import Controls
from flows.fraud.scoring import ModelStage, StreamedPayment
from flows.fraud.settings import FraudSettings
from schemas.fraud import Stretch, Verdict

# What makes the operator of each step of the flow, in its order, and whose history an item goes to there.
STEPS: tuple[tuple[Any, Callable[[Any], str | None]], ...] = (
    (InstrumentOperator, attrgetter("instrument_id")),
    *((key_operator(key), key.id_of) for key in KEYS),
)
SHOWN = 20  # differences that are kept
SCORED = ("score", "features", "model")
DECIDED = ("outcome", "source", "reasons", "hold")
EXPLAINED = ("counterfactual",)  # compared where it is recorded: earlier releases did not tell it


class OrderUnknown(Exception):
    """What stands on the topics does not say in which order the flow took it in; the message says where."""


class VerdictMissing(OrderUnknown):
    """A verdict that would tell of inputs does not stand on the topic."""


class RecordedRun(msgspec.Struct, frozen=True):
    """A life of the flow, as its verdicts name it. `sequence`: the `flow_sequence` of the first of them."""

    id: str
    resumed_run: str
    resumed_at: int
    sequence: int


class Recorded(Protocol):
    """What stands on the topics."""

    def runs(self) -> list[RecordedRun]:
        """All runs that wrote a verdict."""

    def verdicts(self, run_id: str, above: int) -> Iterable[Verdict]:
        """The verdicts of a run on payments at a position `above` that, in order."""

    def items(self, stretch: Stretch) -> Iterator[StreamItem]:
        """The inputs of a stretch, made anew. Raises `OrderUnknown` where they are gone."""


class Difference(msgspec.Struct, frozen=True):
    """A verdict that came out otherwise: which fields, with what was recorded and what it is now."""

    payment: str
    run: str
    position: int
    fields: dict[str, tuple[Any, Any]]


class ReplayedState:
    """The state of all steps. `copy` shares what neither changes: each shard is copied when it is first used.

    `secret` decides which ids share a shard. None: it is not known, and no history is evicted.
    """

    def __init__(
        self, settings: FraudSettings, secret: bytes | None, original: "ReplayedState | None" = None
    ) -> None:
        self._settings, self._secret, self._original = settings, secret, original
        self._roomy = msgspec.structs.replace(settings, fraud_keys_max=SHARDS * settings.fraud_keys_max)
        self._operators: dict[tuple[int, str], Operator[StreamItem]] = {}
        parameters = original.parameters() if original else None
        self._model = ModelStage(settings.fraud_min_labels, parameters)
        self.count: int = original.count if original else 0

    def process(self, item: StreamItem, position: int) -> bool:
        """Take in the item that had this position. True for a payment that is now scored."""
        self.count = item.position = position
        for step, (_, key_of) in enumerate(STEPS):
            self._operator(step, key_of(item)).process([item])
        return not item.dropped and self._model.process(item)

    @property
    def model(self) -> Model:
        """The model as it is after the last item."""
        return self._model.model

    def copy(self) -> "ReplayedState":
        """A state that goes another way. This one must not change before the copy is done with."""
        return ReplayedState(self._settings, self._secret, self)

    def parameters(self) -> ModelParameters:
        """A copy of what the model learned."""
        packed = msgspec.msgpack.encode(self._model.model.parameters())
        return msgspec.msgpack.decode(packed, type=ModelParameters)

    def find(self, place: tuple[int, str]) -> Operator[StreamItem] | None:
        """The operator of a step and shard, here or in what this is a copy of."""
        return self._operators.get(place) or (self._original.find(place) if self._original else None)

    def _operator(self, step: int, key: str | None) -> Operator[StreamItem]:
        place = (step, place_of(key, self._secret or b""))
        found = self._operators.get(place)
        if found is None:
            before = self._original.find(place) if self._original else None
            settings = self._roomy if self._secret is None else self._settings
            found = STEPS[step][0](settings, before.snapshot() if before else None)
            self._operators[place] = found
        return found


class FlowReplay:
    """All recorded verdicts, judged once more. Counts what it finds; `differences` are the first ones.

    `by_version`: the controls that can be known, by their version. Without those of a verdict its score is
    compared, and not what the rules made of it (`other_rules`). `untold`: verdicts that are not compared, for one
    before them never reached Kafka, as their run was killed.
    """

    def __init__(
        self,
        recorded: Recorded,
        fresh: Callable[[], ReplayedState],
        by_version: Mapping[str, Controls],
        on_verdict: Callable[[], None] = lambda: None,
    ) -> None:
        self._recorded, self._fresh, self._by_version, self._on_verdict = recorded, fresh, by_version, on_verdict
        self._children: dict[str, list[RecordedRun]] = defaultdict(list)
        self.compared = self.other_rules = self.differing = self.untold = 0
        self.differences: list[Difference] = []

    def judge_all(self) -> None:
        """Judge the verdicts of all runs. Raises `OrderUnknown`."""
        runs = self._recorded.runs()
        known = {run.id for run in runs}
        for run in runs:
            self._children[run.resumed_run].append(run)
            if run.resumed_run and run.resumed_run not in known:
                raise OrderUnknown(f"run {run.id} resumed {run.resumed_run}, of which there is no verdict")
        firsts = sorted(self._children[""], key=_age)
        for first in firsts:
            if first.sequence != 1:
                raise OrderUnknown(f"run {first.id} went on from a state of before such orders were recorded")
            self._follow(first, self._fresh(), killed=first is not firsts[-1])

    def _follow(self, run: RecordedRun, state: ReplayedState, *, killed: bool) -> None:
        """Take in a run and those that went on from its state. `killed`: another came after their last one."""
        while children := sorted(self._children[run.id], key=_age):
            heir = children.pop()
            for child in children:
                self._walk(run, state, child.resumed_at)
                self._follow(child, state.copy(), killed=True)
            self._walk(run, state, heir.resumed_at)
            self._walk_killed(run, state.copy())
            run = heir
        if killed:
            self._walk_killed(run, state)
        else:
            self._walk(run, state)

    def _walk_killed(self, run: RecordedRun, state: ReplayedState) -> None:
        """Take in the rest of a run that ended by a kill: what nobody resumed."""
        try:
            self._walk(run, state)
        except VerdictMissing:  # verdicts go to several partitions: of the last ones any may be lost
            self.untold += sum(1 for _ in self._recorded.verdicts(run.id, state.count))

    def _walk(self, run: RecordedRun, state: ReplayedState, until: int | None = None) -> None:
        """Take in what a run did after the state's last item: all of it, or up to its position `until`."""
        for verdict in self._recorded.verdicts(run.id, state.count):
            for position, item in self._told(verdict):
                if position <= state.count:
                    continue
                if until is not None and position > until:
                    return
                if position != state.count + 1:
                    raise VerdictMissing(f"run {run.id}: nothing tells of its inputs after {state.count}")
                if state.process(item, position) and isinstance(item, StreamedPayment):
                    self._compare(verdict, item, state.model)

    def _told(self, verdict: Verdict) -> Iterator[tuple[int, StreamItem]]:
        """What a verdict tells of, each with its position; the payment itself comes last."""
        intake = verdict.intake
        assert intake is not None, "only such verdicts are recorded"
        if intake.lost:
            raise OrderUnknown(f"{verdict.payment}: more came before it than a verdict tells of")
        own = Stretch(f"payments.v1/{verdict.input_partition}", verdict.input_offset, 1)
        position = intake.position - sum(stretch.count for stretch in intake.since)
        for stretch in [*intake.since, own]:
            for item in self._recorded.items(stretch):
                yield position, item
                position += 1

    def _compare(self, verdict: Verdict, item: StreamedPayment, model: Model) -> None:
        controls = self._by_version.get(verdict.rules)
        self.compared += 1
        self.other_rules += controls is None
        if controls is not None:
            judge(item, model, controls)
        again = verdict_of(item, controls or Controls(), verdict.recorded_at)
        names: tuple[str, ...] = SCORED if controls is None else SCORED + DECIDED
        if controls is not None and verdict.counterfactual is not None:
            names += EXPLAINED
        changed = {
            name: (getattr(verdict, name), getattr(again, name))
            for name in ("payment", *names)
            if getattr(verdict, name) != getattr(again, name)
        }
        if changed:
            assert verdict.intake
            self.differing += 1
            if self.differing <= SHOWN:
                found = Difference(verdict.payment, verdict.intake.run, verdict.intake.position, changed)
                self.differences.append(found)
        self._on_verdict()


def _age(run: RecordedRun) -> tuple[int, str]:
    """Runs that went on from one state, in the order of their ends: a later one resumes no earlier snapshot."""
    return run.resumed_at, run.id
