"""Fraud rules as the gateway lists them, and the names that they may use."""

from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

import msgspec

from dashboards import chooser, formats, staff
from dashboards.gateway_calls import Api
from dashboards.look import Look
from schemas.expressions import ExpressionError, names_of, parse
from schemas.features import Feature
from schemas.fraud import OUTCOMES, Hold, Outcome
from schemas.rules import RuleMode

RULES_MAX = 200  # as many as the gateway keeps
NAMES_MAX = 500
MODES: dict[RuleMode, str] = {"live": "live", "shadow": "shadow: only noted", "off": "off"}
HOLDS: dict[Hold, str] = {
    "authorized": "after the issuer reserved the money",
    "unsent": "before the issuer is asked",
}


class MetAmount(msgspec.Struct, frozen=True):
    """Payments in one currency that met a rule, and their sum in minor units."""

    currency: str
    payments: int
    amount: int


class Hits(msgspec.Struct, frozen=True):
    """What a rule met `since` it decides as it does (null: ever)."""

    payments: int = 0
    amounts: list[MetAmount] = []
    since: datetime | None = None


class SnoozedCustomer(msgspec.Struct, frozen=True):
    """A customer whom a rule passes over before `until`."""

    customer: str
    until: datetime


class ShownFinding(msgspec.Struct, frozen=True):
    """What is wrong (`error`) or odd (`warning`) in an expression; `position`: in characters from 0."""

    message: str
    position: int
    severity: str = "error"


class ShownRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule. `changed_by`: an account's id; empty: of those that a stack starts with."""

    id: str
    expression: str
    outcome: Outcome
    hold: Hold = "authorized"
    reason: str
    mode: RuleMode
    version: int
    hits: Hits = Hits()
    snoozed: list[SnoozedCustomer] = []
    changed_by: str = ""
    changed_at: datetime
    warnings: list[ShownFinding] = []


def rules(api: Api) -> list[ShownRule]:
    """All rules: the most severe outcome first, of one outcome live ones first. Raises as `Api.get`."""
    found, _ = chooser.first(api, "/v1/rules", ShownRule, RULES_MAX)
    modes = list(MODES)
    return sorted(found, key=lambda rule: (-OUTCOMES.index(rule.outcome), modes.index(rule.mode), rule.id))


def names(api: Api) -> list[Feature]:
    """The names that rules may use, in the order of the documentation. Raises as `Api.get`."""
    return chooser.first(api, "/v1/features", Feature, NAMES_MAX)[0]


@lru_cache(maxsize=1_000)
def used_names(expression: str) -> frozenset[str]:
    """The names that an expression reads; none of one that cannot be parsed."""
    try:
        return names_of(parse(expression))
    except ExpressionError:
        return frozenset()


def rule_href(rule_id: str) -> str:
    """The address of a rule, relative to any page."""
    return f"rules?rule={quote(rule_id, safe='')}"


def in_money(hits: Hits) -> str:
    """`340.00 EUR, 12 JPY`; a dash where nothing was met."""
    return ", ".join(formats.money(each.amount, each.currency) for each in hits.amounts) or formats.NONE


def changed(rule: ShownRule, person_id: str, look: Look) -> str:
    """Who changed it last, and when."""
    if not rule.changed_by:
        return "as a stack starts"
    return f"{look.shown(rule.changed_at, seconds=False)} by {staff.named(rule.changed_by, person_id)}"
