"""Rules and lists: which of them decides, and that a change is in force at once."""

from datetime import timedelta

import msgspec
import pytest

from flows.fraud.rules import Controls, decide
from flows.fraud.scoring import StreamedPayment
from schemas.controls import DEFAULTS
from schemas.events import Tombstone
from schemas.fraud import ListEntry, Rule
from schemas.rules import FraudRule
from tests.flows.fraud.conftest import BEGIN, in_flight


def judged(score: float | None = None, live: bool = True, **features: float) -> StreamedPayment:
    item = in_flight()
    item.features, item.score, item.live = features, score, live
    item.drivers = ["amount_z"]
    return item


def entry(list: str, kind: str = "instrument", value: str = "fp_1", **fields: object) -> ListEntry:
    given = {"id": f"{list}-{kind}", "list": list, "kind": kind, "value": value, "reason": "told so"}
    return msgspec.convert(given | {"expires_at": None, "recorded_at": BEGIN} | fields, ListEntry)


def test_nothing_met_is_an_allow() -> None:
    assert decide(judged(0.01, count_1m=1), Controls(DEFAULTS)).outcome == "allow"
    assert decide(judged(0.01), Controls(DEFAULTS)).source == "model"
    assert decide(judged(0.01, live=False), Controls(DEFAULTS)).source == "rules"


def test_the_score_decides_by_its_limits_and_says_why() -> None:
    outcomes = [decide(judged(score), Controls(DEFAULTS)).outcome for score in (0.19, 0.2, 0.4, 0.9)]
    assert outcomes == ["allow", "flag", "review", "block"]
    assert decide(judged(0.95), Controls(DEFAULTS)).reasons == [
        "score_block",
        "score_review",
        "score_flag",
        "amount_z",
    ]


def test_a_model_with_few_labels_does_not_go_beyond_allow() -> None:
    decision = decide(judged(0.99, live=False), Controls(DEFAULTS))
    assert (decision.outcome, decision.reasons) == ("allow", [])


def test_the_most_severe_rule_decides() -> None:
    decision = decide(judged(0.25, count_1m=8, customer_tests=3), Controls(DEFAULTS))
    assert (decision.outcome, decision.source) == ("review", "rules")
    assert decision.reasons == decision.rules_met == ["cards_tested", "score_flag", "velocity_1m"]


def test_a_review_is_unsent_where_one_of_its_rules_says_so() -> None:
    assert decide(judged(0.5), Controls(DEFAULTS)).hold == "authorized"
    decision = decide(judged(0.5, customer_tests=3), Controls(DEFAULTS))
    assert (decision.outcome, decision.hold, decision.reasons[0]) == ("review", "unsent", "cards_tested")
    assert decide(judged(0.95, customer_tests=3), Controls(DEFAULTS)).hold == "authorized", "a block holds nothing"


@pytest.mark.parametrize(
    ("feature", "enough"),
    [
        ("customer_tests", 2.5),
        ("address_pressure", 2.5),
        ("bin_pressure", 2.5),
        ("merchant_failures", 30),
    ],
)
def test_what_looks_like_card_testing_is_held_before_an_issuer_is_asked(feature: str, enough: float) -> None:
    assert decide(judged(0.0, **{feature: enough - 0.1}), Controls(DEFAULTS)).outcome == "allow"
    decision = decide(judged(0.0, **{feature: enough}), Controls(DEFAULTS))
    assert (decision.outcome, decision.hold) == ("review", "unsent")


def test_who_goes_on_testing_is_refused_outright() -> None:
    assert decide(judged(0.0, customer_tests=5.6), Controls(DEFAULTS)).outcome == "block"


def test_an_error_is_never_an_allow() -> None:
    item = judged(None, live=False)
    item.fault = "scoring_error"
    decision = decide(item, Controls(DEFAULTS))
    assert (decision.outcome, decision.reasons) == ("review", ["scoring_error"])


def test_a_new_rule_is_in_force_and_a_default_can_be_disabled() -> None:
    controls = Controls(DEFAULTS)
    before = controls.version
    controls.apply(Rule("mine", "new_country", 2, "block", "abroad", True, BEGIN))
    assert decide(judged(0.0, new_country=2), controls).outcome == "block"
    assert controls.version != before
    controls.apply(msgspec.structs.replace(DEFAULTS[0], version=2, mode="off"))
    assert decide(judged(0.0, count_1m=20), controls).outcome == "allow"


def test_a_rule_set_while_a_clock_was_ahead_can_be_changed() -> None:
    controls, told = Controls(), Rule("mine", "count_1m", 2, "block", "mine", True, BEGIN + timedelta(hours=3))
    controls.apply(told)
    controls.apply(msgspec.structs.replace(told, enabled=False, recorded_at=BEGIN))
    assert controls.met({"count_1m": 9.0}).live == []


def test_a_rule_on_an_unknown_feature_is_never_met() -> None:
    controls = Controls(DEFAULTS)
    controls.apply(Rule("mine", "no_such_feature", -1e9, "block", "mine", True, BEGIN))
    assert decide(judged(0.0), controls).outcome == "allow"


def made(expression: str, outcome: str = "block", **fields: object) -> FraudRule:
    given = {"id": "mine", "version": 1, "expression": expression, "outcome": outcome, "reason": "a secret"}
    return msgspec.convert(given | {"mode": "live", "recorded_at": BEGIN} | fields, FraudRule)


def test_a_rule_is_named_by_its_id_for_its_reason_is_free_text() -> None:
    controls = Controls()
    controls.apply(made("amount >= 1 and currency == 'EUR' and merchant == 'acc_merchant' and hour < 24"))
    decision = decide(judged(), controls)
    assert (decision.outcome, decision.reasons, decision.rules_met) == ("block", ["mine"], ["mine"])


def test_a_rule_in_shadow_decides_nothing_and_is_told_also_where_a_list_decides() -> None:
    controls = Controls()
    controls.apply(made("amount > 0", mode="shadow"), entry("allow"))
    decision = decide(judged(), controls)
    assert (decision.outcome, decision.reasons[0], decision.shadow_met) == ("allow", "allow_list", ["mine"])
    controls.apply(made("amount > 0", mode="off", version=2))
    assert decide(judged(), controls).shadow_met == []


def test_a_rule_passes_over_a_customer_until_its_snooze_ends() -> None:
    future = BEGIN.replace(year=2999)
    for until, outcome in ((future, "allow"), (BEGIN.replace(year=1999), "block")):
        controls, item = Controls(), judged()
        controls.apply(made("amount > 0", snoozed=[{"customer": item.payment.customer, "until": until}]))
        assert decide(item, controls).outcome == outcome
    controls.apply(made("amount > 0", version=2, snoozed=[{"customer": "acc_other", "until": future}]))
    assert decide(item, controls).outcome == "block"


def test_a_version_that_comes_late_changes_nothing() -> None:
    controls = Controls()
    controls.apply(made("amount > 0", version=3))
    controls.apply(made("amount > 0", version=2, mode="off"))
    assert decide(judged(), controls).outcome == "block"


def test_the_score_has_no_value_where_the_model_is_not_live() -> None:
    controls = Controls()
    controls.apply(made("has(score) or score > 0.1"))
    assert decide(judged(0.9, live=False), controls).outcome == "allow"
    assert decide(judged(0.9), controls).outcome == "block"


def test_a_tombstone_takes_a_rule_or_an_entry_away_until_it_is_set_again() -> None:
    controls, blocks = Controls(DEFAULTS), entry("block")
    before = controls.version
    controls.apply(blocks)
    assert decide(judged(), controls).outcome == "block"
    gone = Tombstone("controls.v1", blocks.id, BEGIN)
    controls.apply(gone, gone, Tombstone("controls.v1", "unknown", BEGIN))
    assert (decide(judged(), controls).outcome, controls.version) == ("allow", before)
    controls.apply(Tombstone("controls.v1", "score_block", BEGIN))
    assert decide(judged(0.95), controls).outcome == "review"
    controls.apply(*DEFAULTS)  # a stack that starts brings back nothing that somebody took away
    assert decide(judged(0.95), controls).outcome == "review"
    controls.apply(blocks)
    assert decide(judged(), controls).outcome == "block"


def test_the_same_controls_have_the_same_version() -> None:
    one, other = Controls(DEFAULTS), Controls(DEFAULTS)
    for controls, order in ((one, ("block", "allow")), (other, ("allow", "block"))):
        for list in order:
            controls.apply(entry(list))
    assert one.version == other.version != Controls(DEFAULTS).version


def test_rules_are_indexed_once_for_all_that_are_applied_and_not_for_a_list_entry_or_where_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    indexed, index = list[Controls](), Controls._index
    monkeypatch.setattr(Controls, "_index", lambda controls: (indexed.append(controls), index(controls)))
    controls = Controls(DEFAULTS)
    entries = [entry("block", id=f"le_{number}", value=f"fp_{number}") for number in range(1000)]
    controls.apply(*entries)
    controls.apply(entries[1])
    controls.apply(DEFAULTS[0])
    assert decide(judged(), controls).outcome == "block"
    assert len(indexed) == 1
    controls.apply(*[msgspec.structs.replace(rule, mode="off") for rule in DEFAULTS])
    assert len(indexed) == 2


def test_the_block_list_comes_before_everything() -> None:
    controls = Controls(DEFAULTS)
    controls.apply(entry("allow"))
    assert decide(judged(0.99), controls).outcome == "allow"
    controls.apply(entry("block", "merchant", "acc_merchant"))
    decision = decide(judged(0.0), controls)
    assert (decision.outcome, decision.source, decision.reasons) == (
        "block",
        "rules",
        ["block_list", "block-merchant"],
    )


def test_an_entry_ends_when_it_expires() -> None:
    controls, item = Controls(DEFAULTS), judged(0.0)
    controls.apply(entry("block", expires_at=item.recorded_at + timedelta(seconds=1)))
    assert decide(item, controls).outcome == "block"
    controls.apply(entry("block", expires_at=item.recorded_at))
    assert decide(item, controls).outcome == "allow"
