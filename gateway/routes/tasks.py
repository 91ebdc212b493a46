"""Tasks: what no machine can end, seen and resolved by staff."""

from datetime import datetime

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.idempotency import JSON, Answered, IdempotentAnswer, KeyedRequest, run_once
from gateway.books.tasks import Resolution, TaskKind, TaskOutcome, TaskRow, TaskStatus, list_tasks
from gateway.free_text import Reason
from gateway.payments.commit import Committed
from gateway.payments.lifecycle import execute
from gateway.payments.tasks import resolve
from gateway.policy import Policy
from gateway.web.call import Call, Reply, replied
from gateway.web.endpoint import endpoint
from gateway.web.paging import Listing, Page, read_page
from schemas.times import from_micros, steady_micros

blueprint = Blueprint("tasks", __name__)


class TaskView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task. `operation`: the call that found no end; `tried`: how often. From `outcome` on absent while open.

    `kind`: a void, reversal or refund that we owe is refused for good, or the processor tells of other money or
    ids than were asked (`mismatch`). `outcome`: a person's; `settled` where its word ended it after all.
    """

    id: str
    kind: TaskKind
    payment: str
    operation: str
    tried: int
    opened_at: datetime
    outcome: TaskOutcome | None = None
    reason: str | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None


class TaskList(Listing[TaskView], frozen=True):
    """A page of tasks, the newest first. `next_cursor` is null on the last one."""


class TaskQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Which tasks: those that are `open`, or those that are `resolved`."""

    status: TaskStatus = "open"


class TaskResolution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person found out at the processor.

    `released`: its records show that nothing is held or taken any more. `lapsed`: the hold runs out by itself, and
    no record tells; what was to be given back stays taken. `retry`: ask for it again.
    """

    outcome: Resolution
    reason: Reason


@blueprint.get("/v1/tasks")
@endpoint(scope="tasks:read", query=TaskQuery, answers={200: TaskList})
async def list_all(call: Call[None, TaskQuery]) -> Reply:
    """List what no machine can end, the newest first."""

    def page(conn: Connection, after_id: str | None, most: int) -> list[TaskRow]:
        return list_tasks(conn, call.query.status, after_id, most)

    shown, cursor = await read_page(call, page, lambda task: task.id, str)
    return Reply(200, TaskList([task_view(task) for task in shown], cursor))


@blueprint.post("/v1/tasks/<task>/resolve")
@endpoint(
    scope="tasks:write",
    body=TaskResolution,
    answers={200: TaskView},
    codes=("not_found", "wrong_state", "operation_in_progress"),
    idempotency="accepted",
)
async def resolve_task(call: Call[TaskResolution, None], task_id: str) -> Reply:
    """Resolve a task: say what became of its money, or have it asked for again."""
    return await call.runtime.shielded(_resolve(call, task_id))


async def _resolve(call: Call[TaskResolution, None], task_id: str) -> Reply:
    runtime, request = call.runtime, call.keyed_or_not()
    answered, step = await runtime.books.write(
        _begin, runtime.policy, request, task_id, call.body, call.caller.actor_id
    )
    if step is not None:
        await execute(runtime, step)
    return replied(answered.answer, replayed=answered.replayed)


def _begin(
    conn: Connection, policy: Policy, request: KeyedRequest | None, task_id: str, given: TaskResolution, by: str
) -> tuple[Answered, Committed | None]:
    """The answer, which waits for no processor, and what is to be sent; None where a repeat is answered."""
    step: Committed | None = None

    def resolving(conn: Connection) -> IdempotentAnswer:
        nonlocal step
        resolved, step = resolve(conn, policy, task_id, given.outcome, given.reason, by)
        return IdempotentAnswer(200, msgspec.json.encode(task_view(resolved)), JSON)

    answered = run_once(conn, request, steady_micros(), resolving)
    return answered, step


def task_view(task: TaskRow) -> TaskView:
    """A task as staff see it."""
    return TaskView(
        id=task.id,
        kind=task.kind,
        payment=task.payment_id,
        operation=task.operation_id,
        tried=task.tried,
        opened_at=from_micros(task.opened_at),
        outcome=task.outcome,
        reason=task.reason,
        resolved_by=task.resolved_by,
        resolved_at=from_micros(task.resolved_at) if task.resolved_at is not None else None,
    )
