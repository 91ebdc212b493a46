"""The short form of `python -m benchmarks.analyst`, and a backtest beside a rule that runs in shadow."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser

from benchmarks.analyst import ENTRIES, REASON, worked
from connectors.warehouse import WarehouseReader
from gateway.backtest.statements import judged
from schemas.expressions import parse
from schemas.times import now
from tests.end_to_end.shop import PASSWORD, Shop, number
from tests.end_to_end.stack import Stack
from tests.patience import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

CONDITION = "count_1h >= 2 and amount_eur > 12 or bin_history > 3 and hour >= 0 and score > 0.999"


def test_a_rule_is_tried_and_saved_and_a_file_goes_on_the_lists(
    stack: Stack, shop: Shop, browser: Browser
) -> None:
    """Afterwards its rule is taken away, which would decide in other tests; nobody pays from its addresses."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    url = stack.settings.url
    try:
        assert worked(page, url("dashboard"), url("gateway"), PASSWORD).entries == ENTRIES
    finally:
        page.context.close()
        rules = shop.ask("GET", "/v1/rules?limit=100", who="analyst").json["data"]
        for rule in rules:
            if rule["reason"] == REASON:
                shop.ask("DELETE", f"/v1/rules/{rule['id']}", who="analyst")


def test_a_backtest_meets_what_its_rule_met_in_shadow_payment_by_payment(stack: Stack, shop: Shop) -> None:
    begin, rule_id = now() - timedelta(seconds=1), f"shadow_{uuid4().hex[:8]}"
    rule = {"id": rule_id, "expression": CONDITION, "outcome": "review", "mode": "shadow", "reason": "a test"}
    assert shop.ask("POST", "/v1/rules", rule, "analyst").status == 201
    reader = WarehouseReader(stack.settings, "backtest")
    paid = [_paid(shop, amount) for amount in (900, 1900, 2900) for _ in range(4)]
    until(lambda: _judged(reader, paid) == len(paid), 60, lambda: "verdicts do not come")
    end = now() + timedelta(seconds=1)
    in_shadow = _ids(reader, f"SELECT payment FROM verdicts WHERE list_contains(shadow_met, '{rule_id}')")
    tried = _ids(reader, f"SELECT payment_id FROM ({judged(parse(CONDITION), begin, end)}) WHERE met")
    assert set(tried) & set(paid) == set(in_shadow) & set(paid)
    assert 0 < len(in_shadow) < len(paid)
    body = {"expression": CONDITION, "outcome": "review", "from": begin.isoformat(), "to": end.isoformat()}
    answer = shop.ask("POST", "/v1/rules/backtest", body, "analyst")
    assert (answer.status, answer.json["hits"]) == (200, len(tried))
    shop.ask("DELETE", f"/v1/rules/{rule_id}", who="analyst")


def _paid(shop: Shop, amount: int) -> str:
    payment: dict[str, Any] = shop.pay(number("visa", 661_000 + amount), amount).json
    return str(payment["id"])


def _judged(reader: WarehouseReader, paid: list[str]) -> int:
    return len(_ids(reader, f"SELECT payment FROM verdicts WHERE payment IN {tuple(paid)}"))


def _ids(reader: WarehouseReader, sql: str) -> list[str]:
    return [str(id) for [id] in reader.query(sql).rows]
