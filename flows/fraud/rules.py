"""How rules and lists decide. What is in force stands on `controls.v1`, which changes it without a restart."""

import hashlib
from collections.abc import Iterable

import msgspec

from flows.fraud.inputs import Features
from flows.fraud.lists import Lists
from flows.fraud.scoring import ScoredPayment, StreamedPayment
from schemas.controls import SCORE, ToldControl, id_of, is_of_list, replaces
from schemas.events import Tombstone
from schemas.fraud import OUTCOMES, Hold, ListEntry, Outcome, Rule, Source
from schemas.lists import Listable


class RiskDecision(msgspec.Struct, frozen=True):
    """An outcome, what decided it and for which reasons; `hold` is that of a review.

    `listed`: the id of the list entry that decided.
    """

    outcome: Outcome
    source: Source
    reasons: list[str]
    hold: Hold = "authorized"
    listed: str | None = None


class Controls:
    """The rules and lists in force. `version` is a hash of them: equal controls have the same version."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
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

    def met(self, features: Features) -> list[Rule]:
        """The rules in force whose thresholds `features` (the score among them) reach, the most severe first."""
        return [rule for rule in self._in_force if features.get(rule.feature, float("-inf")) >= rule.threshold]

    @property
    def version(self) -> str:
        """A hash of all that are in force."""
        if not self._version:  # once after many changes, by the next payment
            controls = msgspec.json.encode([self._in_force, self.lists.digest])
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
        enabled = [rule for rule in self._told.values() if isinstance(rule, Rule) and rule.enabled]
        self._in_force = sorted(enabled, key=lambda rule: (-OUTCOMES.index(rule.outcome), rule.id))
        self._version = ""


def rules_met(payment: ScoredPayment, controls: Controls) -> list[Rule]:
    """The rules that a payment meets, the most severe first; its score counts only where it is live."""
    if payment.live and payment.score is not None:
        return controls.met(payment.features | {SCORE: payment.score})
    return controls.met(payment.features)


def decide(payment: StreamedPayment, controls: Controls) -> RiskDecision:
    """The decision about a scored payment: lists first, then a fault, then the most severe of the rules it meets.

    A list entry is named by its id and not by its reason: that is free text, and the decision goes on a topic.
    """
    entry = controls.lists.deciding(listable(payment), payment.recorded_at)
    if entry is not None:
        return RiskDecision(entry.list, "rules", [f"{entry.list}_list", entry.id], listed=entry.id)
    if payment.fault is not None:
        return RiskDecision("review", "rules", [payment.fault])
    met = rules_met(payment, controls)
    if not met:
        return RiskDecision("allow", "model" if payment.live else "rules", [])
    return _most_severe(met, payment.drivers)


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
