"""Backtests: what a rule would have done, before it is saved."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from quart import Blueprint, g, request

from gateway.backtest.desk import BacktestProgress, WarehouseSilent
from gateway.backtest.results import Backtest
from gateway.free_text import FREE
from gateway.payments.fraud_rules import checked
from gateway.refusals import FieldError, InvalidFields
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.errors import problem_of
from schemas.expressions import LENGTH_MAX
from schemas.times import as_utc, now

blueprint = Blueprint("backtests", __name__)

SPAN = timedelta(days=90)  # where it does not say from when
SPAN_MAX = timedelta(days=400)
LINES = "application/x-ndjson"

Step = BacktestProgress | Backtest


class BacktestAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule to try on the payments that were judged `from` (90 days before `to`) to before `to` (now)."""

    expression: Annotated[str, msgspec.Meta(max_length=LENGTH_MAX, extra=FREE)]
    outcome: Literal["flag", "review", "block"]
    begin: datetime | None = msgspec.field(default=None, name="from")
    end: datetime | None = msgspec.field(default=None, name="to")


@blueprint.post("/v1/rules/backtest")
@endpoint(scope="rules:read", body=BacktestAsked, answers={200: Backtest}, codes=("unavailable",))
async def run_backtest(call: Call[BacktestAsked, None]) -> Reply:
    """Say what a rule would have met, and what of it was fraud. Whoever hangs up gives it up.

    With `Accept: application/x-ndjson` a line says how far it is (`progress`, `payments`) after each part of the
    span; the last line is the answer, or a problem.
    """
    expression, _ = await asyncio.to_thread(checked, call.body.expression)
    (begin, end), desk = _span(call.body), call.runtime.backtests
    if request.accept_mimetypes.best != LINES:
        return Reply(200, await desk.run(expression, begin, end))
    steps = desk.steps(expression, begin, end)
    return Reply(200, _lines(await anext(steps), steps, g.get("request_id")), {"Content-Type": LINES})


async def _lines(first: Step, steps: AsyncGenerator[Step, None], request_id: str | None) -> AsyncIterator[bytes]:
    yield _line(first)
    async with aclosing(steps):
        try:
            async for step in steps:
                yield _line(step)
        except WarehouseSilent as silent:
            yield problem_of(silent).body(request_id) + b"\n"


def _line(step: Any) -> bytes:
    return msgspec.json.encode(step) + b"\n"


def _span(body: BacktestAsked) -> tuple[datetime, datetime]:
    """The moments in UTC. Raises `InvalidFields`."""
    try:
        end = as_utc(body.end).astimezone(UTC) if body.end else now()
        begin = as_utc(body.begin).astimezone(UTC) if body.begin else end - SPAN
    except OverflowError:
        raise InvalidFields(FieldError("$.to", "No time that there is in UTC.")) from None
    if not timedelta() < end - begin <= SPAN_MAX:
        raise InvalidFields(FieldError("$.from", f"Before `to`, and at most {SPAN_MAX.days} days."))
    return begin, end
