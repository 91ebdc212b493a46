"""What is held and what is due for each payment: by the books' postings, and by the processors' own records."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

import msgspec

from connectors.processors.registry import CAPABILITIES
from gateway.books.operations import Operation
from sluice.reconcile.ledger import TAKING_BACK, ProcessorRecord, lapses


class HeldAndDue(msgspec.Struct, frozen=True):
    """Of one payment, or of all in a currency, in minor units.

    `held`: reserved and not captured; `due`: captured and not refunded.
    """

    held: int = 0
    due: int = 0

    def plus(self, other: "HeldAndDue") -> "HeldAndDue":
        """The sums of both."""
        return HeldAndDue(self.held + other.held, self.due + other.due)


NOTHING = HeldAndDue()


def by_processors(
    operations: Iterable[Operation], rows: Iterable[ProcessorRecord], lapsed: Collection[str] = ()
) -> dict[str, HeldAndDue]:
    """The money of each payment id as the processors' records have it; what the books do not know is left out.

    `lapsed`: the operations whose hold has run out, as a person said.
    """
    ours = {operation.id: operation for operation in operations}
    applied = [row for row in rows if row.status == "applied"]
    undone = {row.of for row in applied if row.operation in TAKING_BACK}
    standing = [row for row in applied if row.id not in undone]
    captured: Counter[int | None] = Counter()
    for row in standing:
        captured[row.of] += row.amount if row.operation == "capture" else 0
    requests = {row.id: row.request_id for row in applied}
    let_go = _let_go(ours.values()) | set(lapsed)
    found: defaultdict[str, HeldAndDue] = defaultdict(HeldAndDue)
    for row in standing:
        # What was given back past us counts for the capture that it follows.
        if operation := ours.get(row.request_id) or ours.get(requests.get(row.of or 0, "")):
            left = 0 if operation.id in let_go else row.amount - captured[row.id]
            found[operation.payment_id] = found[operation.payment_id].plus(_money(row, left))
    return dict(found)


def _money(row: ProcessorRecord, left: int) -> HeldAndDue:
    match row.operation:
        case "authorize":
            return HeldAndDue(held=left)
        case "sale" | "capture":
            return HeldAndDue(due=row.amount)
        case "refund":
            return HeldAndDue(due=-row.amount)
        case _:
            return NOTHING


def _let_go(operations: Iterable[Operation]) -> set[str | None]:
    """The authorizations whose rest is released and no row tells.

    A final capture does it by itself, or the processor has no call for it and the rest lapses with the hold.
    """
    done = {operation.id: operation for operation in operations if operation.status == "succeeded"}
    return {o.parent_id for o in done.values() if _releases_by_itself(o) or lapses(o, done)}


def _releases_by_itself(operation: Operation) -> bool:
    last = operation.kind == "capture" and operation.final
    return last and CAPABILITIES[operation.processor].final_capture_releases
