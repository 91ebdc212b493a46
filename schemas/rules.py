"""Fraud rules: conditions on a payment with what is done where they hold, as people set them on `controls.v1`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from schemas.expressions import Expression, ExpressionError, parse, text_of
from schemas.expressions.findings import type_findings
from schemas.expressions.tree import Comparison, Minus, Name, Number
from schemas.features import FEATURES
from schemas.fraud import Hold, Outcome, Rule
from schemas.times import EPOCH, as_utc

RuleMode = Literal["live", "shadow", "off"]
SNOOZES_MAX = 100  # customers of one rule


class Snooze(msgspec.Struct, frozen=True):
    """A customer whom a rule passes over before `until`."""

    customer: str
    until: datetime


class FraudRule(msgspec.Struct, frozen=True):
    """`control.fraud_rule`: where `expression` holds, the outcome is at least `outcome`.

    `version` counts its changes from 1: a lower one is late. `shadow`: it is only noted where it would be met.
    `hold` says how a rule of outcome `review` holds a payment. `changed_by`: the account that did. `since`: from
    when on it decides as it does; its text may be newer. One that is `removed` is `off` for good.
    """

    id: str
    version: int
    expression: str
    outcome: Outcome
    reason: str
    mode: RuleMode
    recorded_at: datetime
    hold: Hold = "authorized"
    snoozed: list[Snooze] = []
    changed_by: str = ""
    since: datetime = EPOCH
    removed: bool = False


def as_fraud_rule(rule: Rule | FraudRule, version: int = 1) -> FraudRule:
    """A rule; one of the former type as the rule it means: its feature at or above its threshold."""
    if isinstance(rule, FraudRule):
        return rule
    size = Number(abs(rule.threshold))
    expression = Comparison(">=", Name(rule.feature), Minus(size) if rule.threshold < 0 else size)
    mode: RuleMode = "live" if rule.enabled else "off"
    return FraudRule(
        rule.id, version, text_of(expression), rule.outcome, rule.reason, mode, rule.recorded_at, rule.hold
    )


def default_rule(rule_id: str, expression: str, outcome: Outcome, hold: Hold = "authorized") -> FraudRule:
    """A rule that a stack starts with; it is of 1970: by that it is known that nobody set it."""
    return FraudRule(rule_id, 1, expression, outcome, rule_id, "live", EPOCH, hold)


def usable(expression: str) -> Expression | None:
    """The tree of an expression whose names and types are right; None where there is none."""
    try:
        tree = parse(expression)
    except ExpressionError:
        return None
    return None if type_findings(tree, FEATURES) else tree


def impossible_in(rule: FraudRule) -> str | None:
    """The first field of a rule that cannot be meant; None where it can be obeyed. Nothing here knows a clock."""
    if not 1 <= rule.version < 2**31:
        return "version"
    if rule.outcome == "allow":
        return "outcome"
    if rule.removed and rule.mode != "off":
        return "mode"
    if len(rule.snoozed) > SNOOZES_MAX:
        return "snoozed"
    return None if usable(rule.expression) else "expression"


def field_values(
    *,
    amount: int,
    amount_eur_cents: int | None,
    currency: str,
    brand: str | None,
    bin: str | None,
    country: str | None,
    method: str,
    merchant: str,
    customer: str,
    occurred_at: datetime,
) -> dict[str, float | str]:
    """The fields of a payment by the names that rules have for them; `weekday` counts from 1, Monday.

    What is not known has no value. Amounts are in minor units, of the payment's currency and of euro.
    """
    moment = as_utc(occurred_at)
    values: dict[str, float | str | None] = {
        "amount": float(amount),
        "amount_eur": None if amount_eur_cents is None else amount_eur_cents / 100,
        "currency": currency,
        "brand": brand,
        "bin": bin,
        "country": country,
        "method": method,
        "merchant": merchant,
        "customer": customer,
        "hour": float(moment.hour),
        "weekday": float(moment.isoweekday()),
    }
    return {name: value for name, value in values.items() if value is not None}


def snoozed_for(snoozed: Iterable[Snooze]) -> dict[str, datetime]:
    """Until when a rule passes over each customer."""
    return {snooze.customer: as_utc(snooze.until) for snooze in snoozed}
