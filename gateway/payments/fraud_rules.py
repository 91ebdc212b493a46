"""Fraud rules as analysts set them: made, changed, snoozed and removed; each change is audited and a version."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from gateway.books import audit
from gateway.books.audit import Act
from gateway.books.rules import forget_hits, insert_rule, list_rules, select_rule, update_rule
from gateway.refusals import FieldError, InvalidFields, NoSuchObject, Refusal
from schemas.accounts import ActKind
from schemas.expressions import Expression, ExpressionError, Finding, check, parse
from schemas.features import FEATURES
from schemas.fraud import Hold, Outcome
from schemas.rules import SNOOZES_MAX, FraudRule, RuleMode, Snooze
from schemas.times import as_utc, from_micros, now_micros

RULES_MAX = 200  # each costs every payment a little
SNOOZE_MAX = timedelta(days=366)
DECIDING = ("expression", "outcome", "hold", "mode")  # of a rule: what it does, and not what is said about it


class StaleVersion(Refusal):
    """Somebody else changed it since that version."""


class IdTaken(Refusal):
    """There is another one with this id."""


class TooManyRules(Refusal):
    """There are as many rules as there may be."""


class RuleAsked(msgspec.Struct, frozen=True):
    """What a rule is to be, checked, and the account that asks for it."""

    expression: str
    outcome: Outcome
    hold: Hold
    reason: str
    mode: RuleMode
    by: str


def findings_in(expression: str) -> list[Finding]:
    """What is wrong or odd in a text; a text that is no expression has one finding, with the code of its fault."""
    return _parsed(expression)[1]


def checked(expression: str) -> tuple[Expression, list[Finding]]:
    """The expression of a text, and warnings about it. Raises `InvalidFields`, which says where, for errors."""
    tree, found = _parsed(expression)
    errors = [finding for finding in found if finding.severity == "error"]
    if tree is None or errors:
        raise InvalidFields(*map(_as_error, errors[:10]))
    return tree, found


def _parsed(expression: str) -> tuple[Expression | None, list[Finding]]:
    try:
        tree = parse(expression)
    except ExpressionError as fault:
        return None, [Finding(fault.code, fault.message, fault.position)]
    return tree, check(tree, FEATURES)


def make_rule(conn: Connection, rule_id: str, asked: RuleAsked) -> FraudRule:
    """Make a rule. Raises `IdTaken` and `TooManyRules`."""
    if sum(not rule.removed for rule in list_rules(conn, None, 10 * RULES_MAX)) >= RULES_MAX:
        raise TooManyRules(f"There may be {RULES_MAX} rules.")
    before = select_rule(conn, rule_id)
    if before is not None and not before.removed:
        raise IdTaken
    now = from_micros(now_micros())
    a = asked
    rule = FraudRule(
        id=rule_id,
        version=before.version + 1 if before else 1,
        expression=a.expression,
        outcome=a.outcome,
        reason=a.reason,
        mode=a.mode,
        recorded_at=now,
        hold=a.hold,
        changed_by=a.by,
        since=now,
    )
    if not (update_rule(conn, rule) if before else insert_rule(conn, rule)):
        raise IdTaken
    forget_hits(conn, rule_id)
    _audit(conn, "rule_created", rule)
    return rule


def change_rule(conn: Connection, rule_id: str, version: int, asked: RuleAsked) -> FraudRule:
    """Change the `version` of a rule that somebody saw. Raises `NoSuchObject` and `StaleVersion`."""
    before = existing(conn, rule_id)
    changed = {name: getattr(asked, name) for name in (*DECIDING, "reason")}
    return _write(conn, before, version, "rule_changed", asked.by, changed)


def snooze_rule(
    conn: Connection, rule_id: str, version: int, customer_id: str, until: datetime | None, by: str
) -> FraudRule:
    """Have a rule pass over a customer before `until`, or (None) no more. What has ended is dropped.

    Raises `InvalidFields` for an `until` that is past or over a year off, or too many customers.
    """
    before, now = existing(conn, rule_id), from_micros(now_micros())
    kept = [each for each in before.snoozed if each.customer != customer_id and as_utc(each.until) > now]
    if until is not None:
        if not now < as_utc(until) <= now + SNOOZE_MAX:
            raise InvalidFields(FieldError("$.until", "In the future, and within a year."))
        kept.append(Snooze(customer_id, as_utc(until)))
    if len(kept) > SNOOZES_MAX:
        raise InvalidFields(FieldError("$.customer", f"A rule is snoozed for at most {SNOOZES_MAX} customers."))
    return _write(conn, before, version, "rule_snoozed", by, {"snoozed": kept})


def remove_rule(conn: Connection, rule_id: str, by: str) -> None:
    """Remove a rule: it is off for good; its versions go on if another one gets its id. Raises `NoSuchObject`."""
    before = select_rule(conn, rule_id)
    if before is None:
        raise NoSuchObject
    if not before.removed:
        _write(conn, before, before.version, "rule_removed", by, {"mode": "off", "removed": True})


def existing(conn: Connection, rule_id: str) -> FraudRule:
    """A rule that is not removed. Raises `NoSuchObject`."""
    rule = select_rule(conn, rule_id)
    if rule is None or rule.removed:
        raise NoSuchObject
    return rule


def _write(
    conn: Connection, before: FraudRule, version: int, kind: ActKind, by: str, changed: dict[str, object]
) -> FraudRule:
    now = from_micros(now_micros())
    decides = any(changed.get(name, getattr(before, name)) != getattr(before, name) for name in DECIDING)
    after: FraudRule = msgspec.structs.replace(
        before,
        **changed,
        version=version + 1,
        recorded_at=now,
        changed_by=by,
        since=now if decides else before.since,
    )
    if before.version != version or not update_rule(conn, after):
        raise StaleVersion
    if decides:
        forget_hits(conn, before.id)
    _audit(conn, kind, after)
    return after


def _audit(conn: Connection, kind: ActKind, rule: FraudRule) -> None:
    detail = {
        "version": str(rule.version),
        "mode": rule.mode,
        "outcome": rule.outcome,
        "expression": rule.expression,
        "reason": rule.reason,
    }
    audit.record(conn, Act(kind, rule.changed_by, rule.id, detail))


def _as_error(finding: Finding) -> FieldError:
    return FieldError("$.expression", finding.message, finding.code, finding.position)
