"""Fraud rules: analysts see, make, change, snooze and remove them; each counts within a second of the answer."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.rules import RuleHits, list_rules, select_hits
from gateway.free_text import FREE, Reason, ShortText
from gateway.payments.fraud_rules import (
    RuleAsked,
    change_rule,
    checked,
    existing,
    findings_in,
    make_rule,
    remove_rule,
    snooze_rule,
)
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import write_once
from gateway.web.paging import Listing, Page, read_page
from schemas.expressions import LENGTH_MAX, Finding
from schemas.fraud import Hold, Outcome
from schemas.ids import new_id
from schemas.rules import FraudRule, RuleMode
from schemas.times import EPOCH

blueprint = Blueprint("rules", __name__)

RuleId = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z", extra=FREE)]
ExpressionText = Annotated[str, msgspec.Meta(max_length=LENGTH_MAX, extra=FREE)]
Version = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]


class ExpressionAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition to be looked at."""

    expression: ExpressionText


class NewRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule to be. `id` stands in `risk.reasons` of what meets it; one is made where there is none."""

    id: RuleId | None = None
    expression: ExpressionText
    outcome: Literal["flag", "review", "block"]
    hold: Hold = "authorized"
    reason: Reason
    mode: RuleMode


class RuleUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a rule is from here on. `version`: the one that is changed; where another stands, nothing is."""

    version: Version
    expression: ExpressionText
    outcome: Literal["flag", "review", "block"]
    hold: Hold = "authorized"
    reason: Reason
    mode: RuleMode


class SnoozeAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A customer whom the rule is to pass over before `until`; null: no more. `version` as in a change."""

    version: Version
    customer: ShortText
    until: datetime | None


class HitAmount(msgspec.Struct, frozen=True):
    """Payments that met a rule in one currency, and their sum in minor units."""

    currency: str
    payments: int
    amount: int


class HitsView(msgspec.Struct, frozen=True):
    """What a rule met `since` it decides as it does (null: ever), live or in shadow as it is."""

    payments: int
    amounts: list[HitAmount]
    since: datetime | None


class SnoozeView(msgspec.Struct, frozen=True):
    """A customer whom the rule passes over before `until`."""

    customer: str
    until: datetime


class FindingView(msgspec.Struct, frozen=True):
    """What is wrong (`error`) or odd (`warning`) in an expression; `position`: in characters from 0."""

    code: str
    message: str
    position: int
    severity: Literal["error", "warning"]


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule. `changed_by`: an account; empty: of those a stack starts with. `warnings`: of a change just made."""

    id: str
    expression: str
    outcome: Outcome
    hold: Hold
    reason: str
    mode: RuleMode
    version: int
    hits: HitsView
    snoozed: list[SnoozeView]
    changed_by: str
    changed_at: datetime
    warnings: list[FindingView] = []


class RuleList(Listing[RuleView], frozen=True):
    """A page of the rules, by id. `next_cursor` is null on the last one."""


class CheckView(msgspec.Struct, frozen=True):
    """What the check finds; with an `error` among it the expression is refused."""

    findings: list[FindingView]


@blueprint.get("/v1/rules")
@endpoint(scope="rules:read", query=Page, answers={200: RuleList})
async def list_all(call: Call[None, Page]) -> Reply:
    """List the rules by id, those that are off and those that the stack started with among them."""
    shown, cursor = await read_page(call, _shown, lambda rule: rule.id, str)
    return Reply(200, RuleList(list(shown), cursor))


@blueprint.post("/v1/rules")
@endpoint(
    scope="rules:write",
    body=NewRule,
    answers={201: RuleView},
    codes=("id_taken", "wrong_state"),
    idempotency="accepted",
)
async def create_rule(call: Call[NewRule, None]) -> Reply:
    """Make a rule: within a second it is in force. Its warnings say which part of it changes nothing."""
    _, warnings = await asyncio.to_thread(checked, call.body.expression)
    rule_id = call.body.id or new_id("rule")
    return await write_once(call, 201, _made, rule_id, _asked(call.body, call.caller.actor_id), warnings)


@blueprint.post("/v1/rules/check")
@endpoint(scope="rules:read", body=ExpressionAsked, answers={200: CheckView})
async def check_expression(call: Call[ExpressionAsked, None]) -> Reply:
    """Look at an expression while it is typed: what is wrong in it, and where."""
    found = await asyncio.to_thread(findings_in, call.body.expression)
    return Reply(200, CheckView(list(map(_finding, found))))


@blueprint.get("/v1/rules/<rule>")
@endpoint(scope="rules:read", answers={200: RuleView}, codes=("not_found",))
async def read_rule(call: Call[None, None], rule_id: str) -> Reply:
    """Show a rule."""
    return Reply(200, await call.runtime.books.read(_one, rule_id))


@blueprint.put("/v1/rules/<rule>")
@endpoint(scope="rules:write", body=RuleUpdate, answers={200: RuleView}, codes=("not_found", "stale_version"))
async def replace_rule(call: Call[RuleUpdate, None], rule_id: str) -> Reply:
    """Change a rule; what it met is counted anew where it decides otherwise. Its snoozes stay."""
    _, warnings = await asyncio.to_thread(checked, call.body.expression)
    asked = _asked(call.body, call.caller.actor_id)
    return Reply(200, await call.runtime.books.write(_changed, rule_id, call.body.version, asked, warnings))


@blueprint.delete("/v1/rules/<rule>")
@endpoint(scope="rules:write", answers={204: None}, codes=("not_found",))
async def delete_rule(call: Call[None, None], rule_id: str) -> Reply:
    """Remove a rule, one that the stack started with too: no start brings it back."""
    await call.runtime.books.write(remove_rule, rule_id, call.caller.actor_id)
    return Reply(204)


@blueprint.put("/v1/rules/<rule>/snoozes")
@endpoint(scope="rules:write", body=SnoozeAsked, answers={200: RuleView}, codes=("not_found", "stale_version"))
async def put_snooze(call: Call[SnoozeAsked, None], rule_id: str) -> Reply:
    """Have a rule pass over one customer until a date, at most a year off; `until: null` ends that."""
    body, by = call.body, call.caller.actor_id
    return Reply(
        200, await call.runtime.books.write(_snoozed, rule_id, body.version, body.customer, body.until, by)
    )


def _asked(body: NewRule | RuleUpdate, by: str) -> RuleAsked:
    return RuleAsked(body.expression, body.outcome, body.hold, body.reason, body.mode, by)


def _made(conn: Connection, rule_id: str, asked: RuleAsked, warnings: list[Finding]) -> RuleView:
    return _view(conn, make_rule(conn, rule_id, asked), warnings)


def _changed(conn: Connection, rule_id: str, version: int, asked: RuleAsked, warnings: list[Finding]) -> RuleView:
    return _view(conn, change_rule(conn, rule_id, version, asked), warnings)


def _snoozed(
    conn: Connection, rule_id: str, version: int, customer_id: str, until: datetime | None, by: str
) -> RuleView:
    return _view(conn, snooze_rule(conn, rule_id, version, customer_id, until, by))


def _one(conn: Connection, rule_id: str) -> RuleView:
    return _view(conn, existing(conn, rule_id))


def _shown(conn: Connection, after_id: str | None, most: int) -> list[RuleView]:
    """Those that are not removed; as many as asked for, so that a page that is not full is the last one."""
    shown: list[RuleView] = []
    while len(shown) < most and (found := list_rules(conn, after_id, most)):
        shown += [_view(conn, rule) for rule in found if not rule.removed]
        after_id = found[-1].id
    return shown[:most]


def _view(conn: Connection, rule: FraudRule, warnings: list[Finding] | None = None) -> RuleView:
    return RuleView(
        id=rule.id,
        expression=rule.expression,
        outcome=rule.outcome,
        hold=rule.hold,
        reason=rule.reason,
        mode=rule.mode,
        version=rule.version,
        hits=_hits(rule, select_hits(conn, rule.id)),
        snoozed=[SnoozeView(snooze.customer, snooze.until) for snooze in rule.snoozed],
        changed_by=rule.changed_by,
        changed_at=rule.recorded_at,
        warnings=list(map(_finding, warnings or [])),
    )


def _hits(rule: FraudRule, counted: list[RuleHits]) -> HitsView:
    of_mode = [row for row in counted if row.mode == rule.mode]
    amounts = [HitAmount(row.currency, row.payments, row.amount) for row in of_mode]
    since = None if rule.since == EPOCH else rule.since
    return HitsView(sum(each.payments for each in amounts), amounts, since)


def _finding(finding: Finding) -> FindingView:
    return FindingView(finding.code, finding.message, finding.position, finding.severity)
