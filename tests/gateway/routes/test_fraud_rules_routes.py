"""Fraud rules as analysts make, change, snooze and remove them: versions, faults with their place, the audit."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.books.outbox import list_history
from gateway.books.rules import count_hits
from schemas.controls import DEFAULTS
from schemas.times import now
from tests.gateway.conftest import Answer, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
RULE = {"expression": "amount > 100", "outcome": "review", "reason": "large", "mode": "live"}


async def post(gateway: Gateway, rule_id: str, **fields: Any) -> Answer:
    return await gateway.ask("POST", "/v1/rules", RULE | {"id": rule_id} | fields, "analyst")


async def put(gateway: Gateway, rule_id: str, version: int, **fields: Any) -> Answer:
    return await gateway.ask("PUT", f"/v1/rules/{rule_id}", RULE | {"version": version} | fields, "analyst")


async def test_the_rules_a_stack_starts_with_are_listed_a_page_at_a_time(gateway: Gateway) -> None:
    first = (await gateway.ask("GET", "/v1/rules?limit=8", who="analyst")).json
    rest = await gateway.ask("GET", f"/v1/rules?limit=100&cursor={first['next_cursor']}", who="analyst")
    ids = [rule["id"] for rule in [*first["data"], *rest.json["data"]]]
    assert ids == sorted(ids)
    assert {rule.id for rule in DEFAULTS} <= set(ids)
    shown = next(rule for rule in [*first["data"], *rest.json["data"]] if rule["id"] == "bin_tested")
    assert (shown["expression"], shown["hold"], shown["version"]) == ("bin_pressure >= 2.5", "unsent", 1)


async def test_a_rule_is_made_changed_and_removed_and_each_version_is_told_and_audited(gateway: Gateway) -> None:
    analyst_id = (await gateway.ask("GET", "/v1/me", who="analyst")).json["id"]
    made = await post(gateway, "mine", hold="unsent")
    assert (made.status, made.json["version"], made.json["changed_by"]) == (201, 1, analyst_id)
    changed = await put(gateway, "mine", 1, expression="amount > 200", mode="shadow")
    assert (changed.status, changed.json["version"], changed.json["mode"]) == (200, 2, "shadow")
    assert (await gateway.ask("GET", "/v1/rules/mine", who="analyst")).json == changed.json
    assert (await gateway.ask("DELETE", "/v1/rules/mine", who="analyst")).status == 204
    assert (await gateway.ask("GET", "/v1/rules/mine", who="analyst")).code == "not_found"
    assert (await put(gateway, "mine", 3)).code == "not_found"
    again = await post(gateway, "mine")
    assert (again.status, again.json["version"]) == (201, 4), "a late version of the one before changes nothing"
    told = await gateway.runtime.books.read(list_history, "mine", 0, 100)
    assert [(event.topic, event.key, event.type) for event in told] == [
        ("controls.v1", "mine", "control.fraud_rule")
    ] * 4
    acts = (await gateway.ask("GET", "/v1/audit?subject=mine", who="admin")).json["data"]
    kinds = ["rule_created", "rule_removed", "rule_changed", "rule_created"]
    assert [(act["kind"], act["actor"]) for act in acts] == [(kind, analyst_id) for kind in kinds]
    assert acts[2]["detail"]["expression"] == "amount > 200"


async def test_of_two_editors_the_second_is_told(gateway: Gateway) -> None:
    await post(gateway, "shared")
    assert (await put(gateway, "shared", 1, reason="mine")).status == 200
    late = await put(gateway, "shared", 1, reason="yours")
    assert (late.status, late.code) == (409, "stale_version")
    assert (await put(gateway, "shared", 3)).code == "stale_version"
    assert (await gateway.ask("GET", "/v1/rules/shared", who="analyst")).json["reason"] == "mine"
    assert (await post(gateway, "shared")).code == "id_taken"


@pytest.mark.parametrize(
    ("expression", "code", "position"),
    [
        ("amount", "not_a_condition", 0),
        ("amount > 1 and cuont_1h > 3", "unknown_name", 15),
        ("currency > 3", "wrong_type", 0),
        ("count_1h > 100", "never_true", 0),
        ("amount > 5 and amount < 3", "contradiction", 15),
        ("amount >= 0", "always_true", 0),
        ("1 < amount < 3", "chained_comparison", 0),
        ("amount > 1e999", "bad_number", 9),
        ("(" * 400 + "amount > 1", "too_deep", 64),
    ],
)
async def test_a_bad_expression_is_refused_with_its_place(
    gateway: Gateway, expression: str, code: str, position: int
) -> None:
    refused = await post(gateway, "bad", expression=expression)
    assert (refused.status, refused.code) == (422, "invalid_request")
    (error,) = refused.json["errors"]
    assert (error["path"], error["code"], error["position"]) == ("$.expression", code, position)
    checked = await gateway.ask("POST", "/v1/rules/check", {"expression": expression}, "analyst")
    assert [(each["code"], each["position"]) for each in checked.json["findings"]] == [(code, position)]
    assert (await put(gateway, DEFAULTS[0].id, 1, expression=expression)).status == 422


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "Mine"},
        {"id": "x" * 65},
        {"outcome": "allow"},
        {"mode": "on"},
        {"reason": "4111111111111111"},
        {"expression": "amount > 1 and bin == '4111111111111111'"},
        {"expression": "amount > 1" + " " * 2000},
        {"version": 1},
    ],
)
async def test_what_cannot_be_meant_makes_no_rule(gateway: Gateway, fields: dict[str, Any]) -> None:
    assert (await post(gateway, fields.pop("id", "odd"), **fields)).status == 422


async def test_a_part_that_changes_nothing_is_a_warning(gateway: Gateway) -> None:
    made = await post(gateway, "odd_one", expression="amount > 10 and amount > 5")
    assert made.status == 201
    (warning,) = made.json["warnings"]
    assert (warning["code"], warning["position"], warning["severity"]) == ("redundant", 16, "warning")


async def test_a_rule_is_snoozed_for_one_customer_until_a_date(gateway: Gateway) -> None:
    await post(gateway, "dozing")
    until = (now() + timedelta(days=7)).isoformat()

    async def snooze(version: int, until: str | None, customer: str = "acc_1") -> Answer:
        body = {"version": version, "customer": customer, "until": until}
        return await gateway.ask("PUT", "/v1/rules/dozing/snoozes", body, "analyst")

    snoozed = await snooze(1, until)
    assert [each["customer"] for each in snoozed.json["snoozed"]] == ["acc_1"]
    assert (await snooze(1, until)).code == "stale_version"
    assert (await put(gateway, "dozing", 2, reason="other")).json["snoozed"] == snoozed.json["snoozed"]
    for wrong in (now() - timedelta(seconds=1), now() + timedelta(days=400)):
        assert (await snooze(3, wrong.isoformat())).code == "invalid_request"
    assert (await snooze(3, None)).json["snoozed"] == []


async def test_hits_are_in_money_per_currency_and_begin_anew_where_a_rule_decides_otherwise(
    gateway: Gateway,
) -> None:
    await post(gateway, "counted")
    for amount, currency in ((100, "EUR"), (50, "EUR"), (7, "JPY")):
        await gateway.runtime.books.write(count_hits, ["counted", "counted"], "live", amount, currency)
    await gateway.runtime.books.write(count_hits, ["counted"], "shadow", 1, "EUR")
    hits = (await put(gateway, "counted", 1, reason="other")).json["hits"]
    assert (hits["payments"], hits["amounts"]) == (
        3,
        [{"currency": "EUR", "payments": 2, "amount": 150}, {"currency": "JPY", "payments": 1, "amount": 7}],
    )
    assert (await put(gateway, "counted", 2, outcome="block")).json["hits"]["amounts"] == []
