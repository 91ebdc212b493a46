"""The order in which the flow takes in what it learns from, and how a verdict tells of it.

Events of one partition come in their order, but nothing says in which order those of several come: it depends on
the machine. Here each gets a position, and each step takes what it is given in the order of those. A verdict
names all that came since the verdict before it, so that the order stands on `risk.v1` (`sluice fraud replay`).
"""

from typing import TypeAlias

import msgspec

from flows.fraud.inputs import LabelInput, OutcomeInput
from flows.fraud.route import Predecessors
from flows.fraud.scoring import StreamedPayment
from schemas.fraud import Intake, Stretch
from schemas.ids import new_id

STRETCHES_KEPT = 5_000  # about 150 KB of JSON; more come only of a flood of labels without any payment

StreamItem: TypeAlias = StreamedPayment | OutcomeInput | LabelInput


class PlacedItem(msgspec.Struct, gc=False):
    """An item and where its event stands: the partition, as `topic/number`, and the offset."""

    item: StreamItem
    place: str
    offset: int


class IntakeState(msgspec.Struct):
    """How many items were taken in. `since`: those after the last payment, at `paid_at` of `run`.

    `lost`: how many stretches were too many to keep. The names of the fields are part of the recovery state.
    """

    count: int = 0
    run: str = ""
    paid_at: int = 0
    since: list[Stretch] = []
    lost: int = 0


class IntakeOperator:
    """Gives all items their positions. A run is the life of one process; it counts on from its snapshot."""

    def __init__(self, snapshot: bytes | None = None) -> None:
        self._state = msgspec.msgpack.decode(snapshot, type=IntakeState) if snapshot else IntakeState()
        self._run, self._resumed_run, self._resumed_at = new_id("run"), self._state.run, self._state.paid_at
        self._predecessors = Predecessors()

    def process(self, placed: list[PlacedItem]) -> list[StreamItem]:
        """The items, each with its position: the order they come in."""
        for each in placed:
            self._take(each)
        return [each.item for each in placed]

    def snapshot(self) -> bytes:
        """The state to resume from."""
        return msgspec.msgpack.encode(self._state)

    def _take(self, placed: PlacedItem) -> None:
        state, item = self._state, placed.item
        state.count += 1
        item.position = state.count
        self._predecessors.follow(item)
        if not isinstance(item, StreamedPayment):
            self._note(placed)
            return
        item.intake = Intake(self._run, state.count, self._resumed_run, self._resumed_at, state.since, state.lost)
        state.run, state.paid_at, state.since, state.lost = self._run, state.count, [], 0

    def _note(self, placed: PlacedItem) -> None:
        """Keep what is no payment until the next one tells of it."""
        since = self._state.since
        if since and since[-1].place == placed.place:
            since[-1] = Stretch(placed.place, since[-1].offset, since[-1].count + 1)
            return
        since.append(Stretch(placed.place, placed.offset, 1))
        if len(since) > STRETCHES_KEPT:
            since.pop(0)
            self._state.lost += 1


class Untold(msgspec.Struct):
    """What payments without a verdict, which were repeats, would have told: the next verdict tells of it."""

    since: list[Stretch] = []
    lost: int = 0

    def add(self, repeat: StreamedPayment) -> None:
        """Keep what a repeat knows, and itself."""
        if repeat.intake is None:
            return
        place = Stretch(f"payments.v1/{repeat.partition}", repeat.offset, 1)
        self.since = [*self.since, *repeat.intake.since, place][-STRETCHES_KEPT:]
        self.lost += repeat.intake.lost

    def tell_with(self, payment: StreamedPayment) -> None:
        """Add all of it to the intake of a payment that gets a verdict."""
        if self.since and payment.intake is not None:
            since, lost = [*self.since, *payment.intake.since], payment.intake.lost + self.lost
            payment.intake = msgspec.structs.replace(payment.intake, since=since, lost=lost)
            self.since, self.lost = [], 0
