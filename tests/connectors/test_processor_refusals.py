"""All processors: a capture, void or refund that is refused says so; a look-up tells what is kept of it."""

import pytest

from connectors.processors.contract import CallResult, CardDetails
from connectors.sandbox.faults import FaultName
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.states import DeclineCode
from tests.connectors.desk import REFUSALS, Desk, FollowUpKind, query, send

refusals = pytest.mark.parametrize(("name", "kind", "card", "amount", "result", "code", "kept"), REFUSALS)


@refusals
async def test_a_refusal_is_explicit_and_found_where_it_is_kept(
    desks: dict[ProcessorName, Desk],
    name: ProcessorName,
    kind: FollowUpKind,
    card: CardDetails | None,
    amount: Money,
    result: CallResult,
    code: DeclineCode | None,
    kept: bool,
) -> None:
    desk = desks[name]
    call = await desk.ready(kind, amount, card)
    answer = await send(desk.processor, kind, call)
    assert (answer.result, answer.decline_code, answer.must_reverse, answer.sent) == (result, code, False, True)
    found = await desk.processor.lookup(query(call, kind))
    assert (found.result, found.decline_code) == ((result, code) if kept else ("not_found", None))
    refused = [row for row in desk.rows() if row.status == "declined"]
    assert [(row.request_id, row.of is not None) for row in refused] == ([(call.request_id, True)] if kept else [])


@refusals
@pytest.mark.parametrize("fault", ["apply_then_reset", "garbage"])
async def test_a_refusal_nobody_heard_is_found_or_said_again(
    desks: dict[ProcessorName, Desk],
    name: ProcessorName,
    kind: FollowUpKind,
    card: CardDetails | None,
    amount: Money,
    result: CallResult,
    code: DeclineCode | None,
    kept: bool,
    fault: FaultName,
) -> None:
    desk = desks[name]
    call = await desk.ready(kind, amount, card)
    desk.order(fault)
    assert (await send(desk.processor, kind, call)).result == "unknown"
    found = await desk.processor.lookup(query(call, kind))
    assert found.result == (result if kept else "not_found")
    if desk.processor.capabilities.deduplicates:
        again = await send(desk.processor, kind, call)
        assert (again.result, again.decline_code) == (result, code)
    assert sum(row.status == "declined" for row in desk.rows()) == kept


@refusals
async def test_a_refusal_moves_nothing(
    desks: dict[ProcessorName, Desk],
    name: ProcessorName,
    kind: FollowUpKind,
    card: CardDetails | None,
    amount: Money,
    result: CallResult,
    code: DeclineCode | None,
    kept: bool,
) -> None:
    desk = desks[name]
    call = await desk.ready(kind, amount, card)
    await send(desk.processor, kind, call)
    applied = [row.operation for row in desk.rows() if row.status == "applied"]
    assert applied == (["authorize", "capture"] if kind == "refund" else ["authorize"])
