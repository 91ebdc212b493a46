"""Compares the processors' own records with our operations: each must have its counterpart."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from connectors.processors.registry import CAPABILITIES
from gateway.books.operations import Operation

TAKING_BACK = ("void", "reversal")


class ProcessorRecord(msgspec.Struct, frozen=True):
    """A row of the sandbox's ledger. `amount` in minor units; `of`: the id of the row that it follows."""

    id: int
    processor: str
    operation: str
    reference: str
    request_id: str
    amount: int
    currency: str
    status: str
    at: str
    of: int | None = None


class LedgerPage(msgspec.Struct, frozen=True):
    """A page of the ledger; `next_cursor` is null on the last one."""

    data: list[ProcessorRecord]
    next_cursor: str | int | None


def read_ledger(url: str, after: int = 0) -> Iterator[ProcessorRecord]:
    """The rows of the sandbox's ledger past an id, the oldest first. Raises `ConnectionError` where it is away."""
    place: str | int | None = after or ""
    while place is not None:
        try:
            with urlopen(f"{url}/_sandbox/ledger?limit=1000&after={place}", timeout=10) as response:  # noqa: S310
                page = msgspec.json.decode(response.read(), type=LedgerPage)
        except URLError as error:
            raise ConnectionError(f"the processors' ledger at {url} does not answer: {error.reason}") from error
        yield from page.data
        place = page.next_cursor


def landed(operations: Iterable[Operation], rows: Iterable[ProcessorRecord]) -> list[str]:
    """The ids of failed operations that a processor applied all the same and that are still looked up."""
    applied = {row.request_id for row in rows if row.status == "applied"}
    return [operation.id for operation in operations if _is_watched(operation) and operation.id in applied]


def differences(
    operations: list[Operation],
    rows: list[ProcessorRecord],
    cut: int,
    told: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """The differences, one line each. `cut` in microseconds UTC: operations that finished after it are left out.

    An operation that has `landed` is no difference yet. `told`: what a person said became of the
    money that some operation is about, or that it is theirs to find out: neither is a difference.
    """
    ours = {operation.id: operation for operation in operations}
    applied = [row for row in rows if row.status == "applied"]
    theirs = {row.request_id: row for row in applied}
    by_hand = released_by_hand(ours, applied)
    for row in applied:
        if row.id not in by_hand and row.request_id not in told:
            yield from _unexplained(row, ours.get(row.request_id), ours.values(), cut)
    if len(theirs) != len(applied):
        yield f"{len(applied) - len(theirs)} request ids were applied twice by a processor"
    for operation in operations:
        done = operation.finished_at is not None and operation.finished_at <= cut
        elsewhere = operation.parent_id in by_hand.values() or operation.parent_id in told
        recorded = operation.kind != "order" and not lapses(operation, ours) and not elsewhere
        if done and operation.status == "succeeded" and recorded:
            yield from _missing(operation, theirs.get(operation.id))


def not_in_the_books(row: ProcessorRecord) -> str:
    """The difference that a row makes of which the books have no operation."""
    return f"{row.processor} applied {row.operation} {row.request_id}, which the books do not know"


def released_by_hand(ours: Mapping[str, Operation], applied: Iterable[ProcessorRecord]) -> dict[int, str]:
    """The rows by which somebody released or gave back, past us, what a call of ours found, or a person said.

    Each with the id of the operation that it took back.
    """
    requests = {row.id: row.request_id for row in applied}
    happened = [o for o in ours.values() if o.status == "succeeded"]
    released = {o.parent_id for o in happened if o.kind in TAKING_BACK}
    released |= {o.parent_id for o in happened if o.kind == "refund" and o.id not in requests.values()}
    unknown = [row for row in applied if row.request_id not in ours and row.operation in (*TAKING_BACK, "refund")]
    found = {row.id: requests.get(row.of or 0, "") for row in unknown}
    return {id: request_id for id, request_id in found.items() if request_id in released}


def lapses(operation: Operation, ours: Mapping[str, Operation]) -> bool:
    """Whether an operation released the rest of an authorization at a processor that has no call for it.

    The rest lapses with the hold, and the processor's records do not tell. `ours`: the operations by id.
    """
    authorization = ours.get(operation.parent_id or "")
    of_rest = operation.kind == "void" and authorization is not None and operation.amount < authorization.amount
    return of_rest and not CAPABILITIES[operation.processor].releases_rest


def _unexplained(
    row: ProcessorRecord, operation: Operation | None, ours: Iterable[Operation], cut: int
) -> Iterator[str]:
    if operation is None:
        yield not_in_the_books(row)
    elif operation.finished_at is None or operation.finished_at > cut or _is_watched(operation):
        return
    elif operation.status != "succeeded" and not _reversed(operation, ours):
        yield f"{row.processor} applied {row.operation} {operation.id}, which the books call {operation.status}"


def _is_watched(operation: Operation) -> bool:
    """Whether recovery still looks this failed operation up: it keeps a lease until its last look."""
    return operation.status == "failed" and operation.lease_until is not None


def _reversed(operation: Operation, ours: Iterable[Operation]) -> bool:
    """Whether a reversal freed the money: the bank approved, and the operation was declined afterwards."""
    return any(o.parent_id == operation.id and o.kind == "reversal" and o.status == "succeeded" for o in ours)


def _missing(operation: Operation, row: ProcessorRecord | None) -> Iterator[str]:
    if row is None:
        yield f"the books have {operation.kind} {operation.id}, which {operation.processor} does not know"
    elif (row.amount, row.currency) != (operation.amount, operation.currency):
        yield f"{operation.id}: {operation.amount} {operation.currency} here, {row.amount} {row.currency} there"
