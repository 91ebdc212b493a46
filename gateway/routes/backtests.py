"""Backtests: what a rule would have done, before it is saved."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from quart import Blueprint

from gateway.backtest.desk import Backtest
from gateway.free_text import FREE
from gateway.payments.fraud_rules import checked
from gateway.refusals import FieldError, InvalidFields
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from schemas.expressions import LENGTH_MAX, parse
from schemas.times import as_utc, now

blueprint = Blueprint("backtests", __name__)

SPAN = timedelta(days=90)  # where it does not say from when
SPAN_MAX = timedelta(days=400)


class BacktestAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule to try on the payments that were judged `from` (90 days before `to`) to before `to` (now)."""

    expression: Annotated[str, msgspec.Meta(max_length=LENGTH_MAX, extra=FREE)]
    outcome: Literal["flag", "review", "block"]
    begin: datetime | None = msgspec.field(default=None, name="from")
    end: datetime | None = msgspec.field(default=None, name="to")


@blueprint.post("/v1/rules/backtest")
@endpoint(scope="rules:read", body=BacktestAsked, answers={200: Backtest}, codes=("unavailable",))
async def run_backtest(call: Call[BacktestAsked, None]) -> Reply:
    """Say what a rule would have met, and what of it was fraud. Whoever hangs up gives it up."""
    await asyncio.to_thread(checked, call.body.expression)
    begin, end = _span(call.body)
    return Reply(200, await call.runtime.backtests.run(parse(call.body.expression), begin, end))


def _span(body: BacktestAsked) -> tuple[datetime, datetime]:
    end = as_utc(body.end) if body.end else now()
    try:
        begin = as_utc(body.begin) if body.begin else end - SPAN
    except OverflowError:
        raise InvalidFields(FieldError("$.to", "Too early.")) from None
    if not begin < end <= begin + SPAN_MAX:
        raise InvalidFields(FieldError("$.from", f"Before `to`, and at most {SPAN_MAX.days} days."))
    return begin, end
