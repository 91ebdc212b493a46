"""How rules and lists decide. What is in force stands on `controls.v1`, which changes it without a restart."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from itertools import compress
from typing import NamedTuple

import msgspec

from flows.fraud.decisions import RiskDecision
from flows.fraud.lists import Lists
from flows.fraud.rule_values import values_of
from flows.fraud.scoring import StreamedPayment
from schemas.controls import SCORE, ToldControl, id_of, is_of_list, replaces
from schemas.events import Tombstone
from schemas.expressions import Expression, compiled_together, names_of, parse
from schemas.expressions.compiler import Values
from schemas.fraud import OUTCOMES, Hold, ListEntry, Outcome, Rule
from schemas.lists import Listable
from schemas.rules import FraudRule, RuleMode, as_fraud_rule, snoozed_for
from schemas.times import EPOCH


class RuleInForce(msgspec.Struct, frozen=True):
    """A rule as it is obeyed: `told` is what a verdict names it by; its condition reads `names`."""

    id: str
    told: str
    outcome: Outcome
    hold: Hold
    mode: RuleMode
    names: frozenset[str]
    snoozed: dict[str, datetime]


class RulesMet(NamedTuple):
    """The rules that a payment meets, the most severe first; those in `shadow` decide nothing."""

    live: list[RuleInForce]
    shadow: list[RuleInForce]


class Controls:
    """The rules and lists in force. `version` is a hash of them: equal controls have the same version."""

    def __init__(self, rules: Iterable[FraudRule] = ()) -> None:
        self._told: dict[str, ToldControl] = {rule.id: rule for rule in rules}  # all but listings: few
        self.lists = Lists()
        self._index()

    def apply(self, *controls: ToldControl) -> None:
        """Put rules and list entries in force; each replaces the one with its id, unless that was set later.

        A tombstone takes it away. Rules are indexed anew, once; what an entry costs does not depend on the others.
        """
        changed = [control for control in controls if self._put(control)]
        if not all(isinstance(control, ListEntry) or is_of_list(control) for control in changed):
            self._index()
        elif changed:
            self._version = ""

    def met(self, values: Values, customer_id: str = "", moment: datetime = EPOCH) -> RulesMet:
        """The rules in force that hold for `values`, but for those snoozed for the customer at `moment`."""
        found = RulesMet([], [])
        for rule in compress(self._in_force, self._which_hold(values)):
            if not (rule.snoozed and _sleeps(rule, customer_id, moment)):
                (found.live if rule.mode == "live" else found.shadow).append(rule)
        return found

    def met_by(self, payment: StreamedPayment) -> RulesMet:
        """The rules in force that a scored payment meets."""
        return self.met(values_of(payment), payment.payment.customer, payment.recorded_at)

    @property
    def version(self) -> str:
        """A hash of all that are in force."""
        if not self._version:  # once after many changes, by the next payment
            controls = msgspec.json.encode([self._obeyed, self.lists.digest])
            self._version = "rules-" + hashlib.sha256(controls).hexdigest()[:8]
        return self._version

    def _put(self, control: ToldControl) -> bool:
        """Whether that changed anything."""
        if is_of_list(control):
            return self.lists.remove(control.key) if isinstance(control, Tombstone) else self.lists.put(control)
        before = self._told.get(id_of(control))
        if before == control or not replaces(control, before):
            return False
        self._told[id_of(control)] = control
        self.lists.remove(id_of(control))
        if isinstance(control, ListEntry):
            self.lists.put(control)
        return True

    def _index(self) -> None:
        told = self._told.values()
        rules = sorted((rule for rule in told if isinstance(rule, Rule | FraudRule)), key=lambda rule: rule.id)
        self._obeyed = [rule for rule in rules if as_fraud_rule(rule).mode != "off"]
        obeyed = sorted(self._obeyed, key=lambda rule: (-OUTCOMES.index(as_fraud_rule(rule).outcome), rule.id))
        self._in_force = list(map(_in_force, obeyed))
        # One function: of many rules few hold, and each payment asks all of them.
        self._which_hold = compiled_together(_tree(as_fraud_rule(rule).expression) for rule in obeyed)
        self._version = ""


@lru_cache(1000)
def _tree(expression: str) -> Expression:
    return parse(expression)


def _in_force(told: Rule | FraudRule) -> RuleInForce:
    """A rule of the former type is named by its reason, as it was; the reason of the new one is free text."""
    rule = as_fraud_rule(told)
    name = told.reason if isinstance(told, Rule) else told.id
    names, snoozed = names_of(_tree(rule.expression)), snoozed_for(rule.snoozed)
    return RuleInForce(rule.id, name, rule.outcome, rule.hold, rule.mode, names, snoozed)


def _sleeps(rule: RuleInForce, customer_id: str, moment: datetime) -> bool:
    until = rule.snoozed.get(customer_id)
    return until is not None and moment < until


def decide(payment: StreamedPayment, controls: Controls) -> RiskDecision:
    """The decision about a scored payment: lists first, then a fault, then the most severe of the rules it meets.

    A list entry is named by its id and not by its reason: that is free text, and the decision goes on a topic.
    """
    if payment.fault is not None:
        faulty = _listed(payment, controls) or RiskDecision("review", "rules", [payment.fault])
        return msgspec.structs.replace(faulty, version=controls.version)
    met = controls.met_by(payment)
    decision = _listed(payment, controls) or _by_rules(met.live, payment)
    live, shadow = [rule.id for rule in met.live], [rule.id for rule in met.shadow]
    return msgspec.structs.replace(decision, rules_met=live, shadow_met=shadow, version=controls.version)


def _listed(payment: StreamedPayment, controls: Controls) -> RiskDecision | None:
    entry = controls.lists.deciding(listable(payment), payment.recorded_at)
    if entry is None:
        return None
    return RiskDecision(entry.list, "rules", [f"{entry.list}_list", entry.id], listed=entry.id)


def listable(payment: StreamedPayment) -> Listable:
    """What a payment of the stream names that may stand on a list."""
    return Listable(
        payment.instrument_id,
        payment.payment.customer,
        payment.merchant_id,
        payment.payment.method.bin,
        payment.payment.country,
        payment.payment.ip_hash,
        payment.payment.ip_network_hash,
        payment.payment.device_hash,
    )


def _by_rules(met: list[RuleInForce], payment: StreamedPayment) -> RiskDecision:
    """The decision of the most severe of the rules met: the score's drivers are reasons too where it met one.

    All of them are named. A review is `unsent` where one of its rules says so.
    """
    if not met:
        return RiskDecision("allow", "model" if payment.live else "rules", [])
    outcome = met[0].outcome
    deciding = [rule for rule in met if rule.outcome == outcome]
    by_model = any(SCORE in rule.names for rule in deciding)
    reasons = list(dict.fromkeys(rule.told for rule in met)) + (payment.drivers if by_model else [])
    unsent = outcome == "review" and any(rule.hold == "unsent" for rule in deciding)
    return RiskDecision(outcome, "model" if by_model else "rules", reasons, "unsent" if unsent else "authorized")
