"""How rules and lists decide. What is in force stands on `controls.v1`, which changes it without a restart."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from flows.fraud.inputs import Features
from flows.fraud.scoring import ScoredPayment, StreamedPayment
from schemas.controls import SCORE, ToldControl, deciding_entry, id_of, replaces
from schemas.fraud import OUTCOMES, Hold, ListEntry, Outcome, Rule, Source


class RiskDecision(msgspec.Struct, frozen=True):
    """An outcome, what decided it and for which reasons; `hold` is that of a review."""

    outcome: Outcome
    source: Source
    reasons: list[str]
    hold: Hold = "authorized"


class Controls:
    """The rules and lists in force. `version` is a hash of them: equal controls have the same version."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._told: dict[str, ToldControl] = {rule.id: rule for rule in rules}
        self._index()

    def apply(self, *controls: ToldControl) -> None:
        """Put rules and list entries in force; each replaces the one with its id, unless that was set later.

        A tombstone takes it away. All that are known are indexed anew, once.
        """
        changed = [control for control in controls if self._put(control)]
        if changed:
            self._index()

    def met(self, features: Features) -> list[Rule]:
        """The rules in force whose thresholds `features` (the score among them) reach, the most severe first."""
        return [rule for rule in self._in_force if features.get(rule.feature, float("-inf")) >= rule.threshold]

    def listed(self, instrument_id: str, merchant_id: str, moment: datetime) -> ListEntry | None:
        """The list entry that decides about a payment at `moment`: a block entry before an allow entry."""
        found = [
            *self._listed.get(("instrument", instrument_id), ()),
            *self._listed.get(("merchant", merchant_id), ()),
        ]
        return deciding_entry(found, instrument_id, merchant_id, moment)

    def _put(self, control: ToldControl) -> bool:
        """Whether that changed anything."""
        before = self._told.get(id_of(control))
        if before == control or not replaces(control, before):
            return False
        self._told[id_of(control)] = control
        return True

    def _index(self) -> None:
        told = self._told.values()
        enabled = [rule for rule in told if isinstance(rule, Rule) and rule.enabled]
        entries = [entry for entry in told if isinstance(entry, ListEntry)]
        self._in_force = sorted(enabled, key=lambda rule: (-OUTCOMES.index(rule.outcome), rule.id))
        self._listed: dict[tuple[str, str], list[ListEntry]] = {}
        for entry in entries:
            self._listed.setdefault((entry.kind, entry.value), []).append(entry)
        controls = [self._in_force, sorted(entries, key=lambda entry: entry.id)]
        self.version = "rules-" + hashlib.sha256(msgspec.json.encode(controls)).hexdigest()[:8]


def rules_met(payment: ScoredPayment, controls: Controls) -> list[Rule]:
    """The rules that a payment meets, the most severe first; its score counts only where it is live."""
    if payment.live and payment.score is not None:
        return controls.met(payment.features | {SCORE: payment.score})
    return controls.met(payment.features)


def decide(payment: StreamedPayment, controls: Controls) -> RiskDecision:
    """The decision about a scored payment: lists first, then a fault, then the most severe of the rules it meets.

    A list entry is named by its id and not by its reason: that is free text, and the decision goes on a topic.
    """
    entry = controls.listed(payment.instrument_id, payment.merchant_id, payment.recorded_at)
    if entry is not None:
        return RiskDecision(entry.list, "rules", [f"{entry.list}_list", entry.id])
    if payment.fault is not None:
        return RiskDecision("review", "rules", [payment.fault])
    met = rules_met(payment, controls)
    if not met:
        return RiskDecision("allow", "model" if payment.live else "rules", [])
    return _most_severe(met, payment.drivers)


def _most_severe(met: list[Rule], drivers: list[str]) -> RiskDecision:
    """The decision of the most severe of the rules met; `drivers` are reasons too where the score met one.

    A review is `unsent` where one of its rules says so.
    """
    outcome = met[0].outcome
    deciding = [rule for rule in met if rule.outcome == outcome]
    by_model = any(rule.feature == SCORE for rule in deciding)
    reasons = list(dict.fromkeys(rule.reason for rule in deciding)) + (drivers if by_model else [])
    unsent = outcome == "review" and any(rule.hold == "unsent" for rule in deciding)
    return RiskDecision(outcome, "model" if by_model else "rules", reasons, "unsent" if unsent else "authorized")
