"""The page Rules: what stands there, the editor, colleagues who are faster, and what the rules met."""

from datetime import timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from connectors.warehouse import WarehouseReader
from dashboards import rule_tiles
from dashboards.look import Look
from dashboards.tables import Cell
from schemas.times import now
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble
from tests.dashboards.test_fraud_tiles import judged, learned, verdict

COUNT_1H = {"name": "count_1h", "type": "number", "unit": "payments", "key": ["instrument"], "window": "1h"}
COUNT_1H |= {"low": 1, "high": 65, "meaning": "Payments, this one included.", "source": "feature"}


def rule(rule_id: str = "card_testing", **changes: Any) -> dict[str, Any]:
    made = {"id": rule_id, "expression": "count_1h > 5", "outcome": "review", "hold": "unsent", "reason": "bursts"}
    hits = {"payments": 3, "amounts": [{"currency": "EUR", "payments": 3, "amount": 34000}], "since": AT}
    made |= {"mode": "live", "version": 4, "hits": hits, "snoozed": [], "changed_by": "acc_other"}
    return made | {"changed_at": AT, "warnings": []} | changes


@pytest.fixture
def rules(gateway: GatewayDouble, around: None) -> GatewayDouble:
    """A gateway with one rule and one name, that finds nothing wrong."""
    gateway.say("GET", "/v1/rules", [rule()])
    gateway.say("GET", "/v1/features", [COUNT_1H])
    gateway.say("POST", "/v1/rules/check", {"findings": []})
    return gateway


def expression(page: AppTest) -> Any:
    (field,) = [field for field in page.text_input if field.label == "Where this holds"]
    return field


def saved(gateway: GatewayDouble) -> list[tuple[str, str, Any]]:
    return [act for act in gateway.acts() if not act[1].endswith("/check")]


def test_rules_stand_by_outcome_with_what_they_met(rules: GatewayDouble) -> None:
    tried = rule("tried", outcome="block", mode="shadow", changed_by="", hits={"payments": 0, "amounts": []})
    rules.say("GET", "/v1/rules", [rule(), tried, rule("stop", outcome="block")])
    said = words(opened("analyst", "rules", tz="UTC"))
    assert said.index("rules?rule=stop") < said.index("rules?rule=tried") < said.index("rules?rule=card_testing")
    assert all(word in said for word in ("340.00 EUR", "27 Nov 07:00 by acc_other", "as a stack starts", "shadow"))


def test_what_is_wrong_is_pointed_at(rules: GatewayDouble) -> None:
    finding = {"code": "unknown_name", "message": "no such name", "position": 9, "severity": "error"}
    page = opened("analyst", "rules", rule="card_testing")
    rules.say("POST", "/v1/rules/check", {"findings": [finding]})
    page = expression(page).set_value("1 > 2 or cuont_1h > 5").run()
    assert "no such name" in words(page)
    assert "1 &gt; 2 or <mark>cuont_1h</mark> &gt; 5" in words(page)
    assert [button.disabled for button in page.button if button.label == "Save"] == [True]
    rules.say("POST", "/v1/rules/check", {"findings": [finding | {"severity": "warning", "position": 99}]})
    page = expression(page).set_value("count_1h > 5").run()
    assert "Odd: no such name" in words(page)
    assert "<mark>end</mark>" in words(page)
    assert [button.disabled for button in page.button if button.label == "Save"] == [False]


def test_names_are_completed(rules: GatewayDouble) -> None:
    page = expression(opened("analyst", "rules", rule="card_testing")).set_value("not count").run()
    page = press(page, "count\\_1h")
    assert expression(page).value == "not count_1h "


def test_a_rule_is_saved_with_the_version_that_it_changes(rules: GatewayDouble) -> None:
    rules.say("PUT", "/v1/rules/card_testing", rule(version=5))
    page = expression(opened("analyst", "rules", rule="card_testing")).set_value("count_1h > 9").run()
    page = press(page, "Save")
    [(method, path, body)] = saved(rules)
    assert (method, path) == ("PUT", "/v1/rules/card_testing")
    said = {"expression": "count_1h > 9", "outcome": "review", "hold": "unsent", "reason": "bursts"}
    assert body == said | {"mode": "live", "version": 4}
    assert "card_testing is saved" in words(page)


def test_what_a_colleague_changed_is_told_and_nothing_typed_is_lost(rules: GatewayDouble) -> None:
    page = expression(opened("analyst", "rules", rule="card_testing")).set_value("count_1h > 9").run()
    rules.refuse("PUT", "/v1/rules/card_testing", 409, "stale_version")
    rules.say("GET", "/v1/rules", [rule(version=5, expression="count_1h > 7")])
    page = press(page, "Save")
    assert "a colleague changed this rule" in words(page)
    assert "count_1h &gt; 7" in words(page)
    assert expression(page).value == "count_1h > 9"
    rules.say("PUT", "/v1/rules/card_testing", rule(version=6))
    press(press(page, "Keep what I typed"), "Save")
    assert [(body["version"], body["expression"]) for _, _, body in saved(rules)] == [
        (4, "count_1h > 9"),
        (5, "count_1h > 9"),
    ]


def test_what_a_colleague_made_of_it_is_taken(rules: GatewayDouble) -> None:
    page = expression(opened("analyst", "rules", rule="card_testing")).set_value("count_1h > 9").run()
    rules.say("GET", "/v1/rules", [rule(version=5, expression="count_1h > 7")])
    page = press(page.run(), "Take theirs")
    assert expression(page).value == "count_1h > 7"
    assert "A colleague" not in words(page)


def test_a_rule_is_made_in_shadow(rules: GatewayDouble) -> None:
    rules.say("POST", "/v1/rules", rule("bursts"), 201)
    page = expression(opened("analyst", "rules")).set_value("count_1h > 9").run()
    (why,) = [field for field in page.text_input if field.label == "Why"]
    why.set_value("a burst")
    page = press(page, "Make the rule")
    [(_, _, body)] = saved(rules)
    said = {"expression": "count_1h > 9", "outcome": "flag", "hold": "authorized", "reason": "a burst"}
    assert body == said | {"mode": "shadow"}
    assert page.query_params["rule"] == "bursts"


def test_a_customer_is_passed_over_and_what_is_typed_stays(rules: GatewayDouble) -> None:
    def snooze(_body: Any) -> tuple[int, Any]:
        after = rule(version=5, snoozed=[{"customer": "acc_casey", "until": AT}])
        rules.say("GET", "/v1/rules", [after])
        return 200, after

    rules.does["PUT", "/v1/rules/card_testing/snoozes"] = snooze
    page = expression(opened("analyst", "rules", rule="card_testing")).set_value("count_1h > 9").run()
    (customer,) = [field for field in page.text_input if field.label.startswith("Customer")]
    customer.set_value("acc_casey")
    page = press(page, "Pass over")
    [(_, _, body)] = saved(rules)
    assert (body["version"], body["customer"], body["until"][10:]) == (4, "acc_casey", "T23:59:59+00:00")
    assert "A colleague" not in words(page)
    assert expression(page).value == "count_1h > 9"
    press(page, "End")
    assert saved(rules)[-1][2] == {"version": 5, "customer": "acc_casey", "until": None}


def test_a_rule_is_removed_after_a_second_look(rules: GatewayDouble) -> None:
    rules.say("DELETE", "/v1/rules/card_testing", None, 204)
    page = press(opened("analyst", "rules", rule="card_testing"), "Remove now")
    assert [act[:2] for act in saved(rules)] == [("DELETE", "/v1/rules/card_testing")]
    assert "card_testing is removed" in words(page)
    assert "rule" not in page.query_params


def test_administrators_see_the_history_of_a_rule(rules: GatewayDouble) -> None:
    detail = {
        "version": "4",
        "mode": "live",
        "outcome": "review",
        "expression": "count_1h > 5",
        "reason": "bursts",
    }
    entry = {"id": 7, "kind": "rule_changed", "at": AT, "actor": "acc_admin", "subject": "card_testing"}
    rules.say("GET", "/v1/audit", [entry | {"detail": detail}])
    said = words(opened("admin", "rules", rule="card_testing"))
    assert "review · live · bursts" in said
    assert "Administrators see all changes" in words(opened("analyst", "rules", rule="card_testing"))


def test_what_the_rules_met_is_counted_live_and_in_shadow(shop: Any, reader: WarehouseReader) -> None:
    moment = now() - timedelta(minutes=10)
    both, live = judged(shop, moment, "block"), judged(shop, moment, "block", amount=250)
    verdict(shop, both, "block", rules_met=["bursts"], shadow_met=["tried"])
    verdict(shop, live, "block", rules_met=["bursts"])
    learned(shop, "fraud", both.id, moment)
    lines = rule_tiles.met(reader.query(rule_tiles.MET.statement(Look("1h"))))
    none, ten = Cell("–"), Cell("10.00 EUR", note="1")
    assert lines == [
        [Cell("bursts", href="rules?rule=bursts"), Cell("12.50 EUR", note="2"), none, ten, none],
        [Cell("tried", href="rules?rule=tried"), none, ten, ten, none],
    ]
