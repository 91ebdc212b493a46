"""The rules a stack starts with, and how rules and lists decide. `controls.v1` changes them without a restart."""

import hashlib
from datetime import datetime
from typing import Literal, assert_never

import msgspec

from flows.fraud.inputs import Features
from flows.fraud.scoring import ScoredPayment, StreamedPayment
from schemas.fraud import OUTCOMES, Hold, ListEntry, Outcome, Rule, Source
from schemas.times import EPOCH

SCORE = "score"  # as a rule's feature: the model's probability of fraud


def _rule(rule_id: str, feature: str, threshold: float, outcome: Outcome, hold: Hold = "authorized") -> Rule:
    return Rule(rule_id, feature, threshold, outcome, rule_id, True, EPOCH, hold)


# Card testing: nothing is sent to an issuer, who would tell which cards are alive. The counts fade, so 2.5 is met
# by the third new card of one customer, by the second where three such were around, and by a newcomer where there
# were 15 (address) or 30 (BIN, merchant) more than speaks against it. Of 1,000 cards of one BIN by ten accounts 14
# reach an issuer (`tests/flows/fraud/test_card_testing.py`; on a stack: `python -m benchmarks.card_testing`).
CARD_TESTING = (
    _rule("cards_tested", "customer_tests", 2.5, "review", "unsent"),
    _rule("cards_tested_block", "customer_tests", 5.5, "block"),
    _rule("address_tested", "address_pressure", 2.5, "review", "unsent"),
    _rule("bin_tested", "bin_pressure", 2.5, "review", "unsent"),
    _rule("merchant_tested", "merchant_failures", 30, "review", "unsent"),
)

# In the test weeks of the public benchmark (`sluice evaluate`) the score blocks 0.56 % of the payments, 97 % of
# these frauds, holds 0.14 % for a person and flags 0.08 %; the other rules meet none of them.
DEFAULTS = (
    _rule("velocity_1m", "count_1m", 6, "flag"),
    _rule("velocity_10m", "count_10m", 60, "review"),
    _rule("amount_jump", "amount_jump", 8, "flag"),
    _rule("card_testing", "merchant_tests", 10, "flag"),
    _rule("score_flag", SCORE, 0.2, "flag"),
    _rule("score_review", SCORE, 0.4, "review"),
    _rule("score_block", SCORE, 0.9, "block"),
    *CARD_TESTING,
)


class RiskDecision(msgspec.Struct, frozen=True):
    """An outcome, what decided it and for which reasons; `hold` is that of a review."""

    outcome: Outcome
    source: Source
    reasons: list[str]
    hold: Hold = "authorized"


class Controls:
    """The rules and lists in force. `version` is a hash of them: equal controls have the same version."""

    def __init__(self) -> None:
        self._rules = {rule.id: rule for rule in DEFAULTS}
        self._entries: dict[str, ListEntry] = {}
        self._index()

    def apply(self, control: Rule | ListEntry) -> None:
        """Put a rule or list entry in force; it replaces the one with the same id."""
        match control:
            case Rule():
                self._rules[control.id] = control
            case ListEntry():
                self._entries[control.id] = control
            case _:
                assert_never(control)
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
        valid = [entry for entry in found if entry.expires_at is None or entry.expires_at > moment]
        return min(valid, key=lambda entry: _precedence(entry.list), default=None)

    def _index(self) -> None:
        enabled = [rule for rule in self._rules.values() if rule.enabled]
        self._in_force = sorted(enabled, key=lambda rule: (-OUTCOMES.index(rule.outcome), rule.id))
        self._listed: dict[tuple[str, str], list[ListEntry]] = {}
        for entry in self._entries.values():
            self._listed.setdefault((entry.kind, entry.value), []).append(entry)
        controls = [self._in_force, sorted(self._entries.values(), key=lambda entry: entry.id)]
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


def _precedence(list_kind: Literal["block", "allow"]) -> int:
    match list_kind:
        case "block":
            return 0
        case "allow":
            return 1
        case _:
            assert_never(list_kind)
