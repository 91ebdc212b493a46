"""The page Features: names, which rules read them, their course, and whether their values drift."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.warehouse import WarehouseReader
from dashboards import feature_tiles
from dashboards.look import Look
from schemas.times import now
from tests.dashboards.driven import opened, words
from tests.dashboards.gateway_double import GatewayDouble
from tests.dashboards.test_fraud_tiles import judged, verdict
from tests.dashboards.test_rules_page import COUNT_1H, rule

AMOUNT = COUNT_1H | {
    "name": "amount",
    "key": ["payment"],
    "window": "",
    "low": 0,
    "high": None,
    "source": "payment",
}
AMOUNT |= {"source": "payment", "unit": "minor units", "meaning": "What is asked."}


@pytest.fixture
def features(gateway: GatewayDouble, around: None) -> GatewayDouble:
    """A gateway with two names, one of which a rule reads."""
    gateway.say("GET", "/v1/features", [AMOUNT, COUNT_1H])
    gateway.say("GET", "/v1/rules", [rule()])
    return gateway


def test_names_are_found_by_what_they_are_of_and_mean(features: GatewayDouble) -> None:
    page = opened("analyst", "features")
    said = words(page)
    assert all(word in said for word in ("name=amount", "name=count_1h", "1 to 65", "from 0", "minor units"))
    page.text_input(key="like").set_value("included PAYMENTS")
    said = words(page.run())
    assert "name=count_1h" in said
    assert "name=amount" not in said
    page.selectbox(key="of").set_value("payment")
    assert "No name is like that" in words(page.run())


def test_a_name_says_which_rules_read_it(features: GatewayDouble) -> None:
    said = words(opened("analyst", "features", name="count_1h"))
    assert "rules?rule=card_testing" in said
    assert "<h2>Course</h2>" in said
    said = words(opened("analyst", "features", name="amount"))
    assert "No rule reads it" in said
    assert "<h2>Course</h2>" not in said
    assert "<h2>Names</h2>" in words(opened("analyst", "features", name="'; DROP TABLE x"))


def test_the_course_is_that_of_its_values(shop: Any, reader: WarehouseReader) -> None:
    moment = now() - timedelta(minutes=10)
    for value in range(1, 12):
        verdict(shop, judged(shop, moment, "allow"), "allow", features={"count_1h": value}, score=value / 20)
    verdict(shop, judged(shop, moment, "allow"), "allow", features={"other": 1}, score=None)
    statement = feature_tiles.COURSE.statement(Look("1h"), "count_1h")
    [(_, median, decile_9, count)] = reader.query(statement).rows
    assert (median, decile_9, count) == (6, 10, 11)
    [(_, median, _, count)] = reader.query(feature_tiles.COURSE.statement(Look("1h"), "score")).rows
    assert (median, count) == (0.3, 11)


def test_a_shift_of_its_values_is_told(shop: Any, reader: WarehouseReader) -> None:
    for days, shift in ((14, 0), (1, 5)):
        for value in range(10):
            made = judged(shop, now() - timedelta(days=days, seconds=value), "allow")
            verdict(shop, made, "allow", features={"moved": value + shift, "kept": value % 2})
    moved, kept = (
        reader.query(feature_tiles.DRIFT.statement(Look("1h"), name)).by_name() for name in ("moved", "kept")
    )
    assert sum(row["before"] for row in moved) == sum(row["this_week"] for row in moved) == 10
    assert max(row["high"] for row in moved) == 14
    assert [(row["low"], row["high"], row["before"], row["this_week"]) for row in kept] == [
        (0, 0, 5, 5),
        (1, 1, 5, 5),
    ]
    said = [
        feature_tiles.said_of(
            feature_tiles.stability_index([row["before"] for row in rows], [row["this_week"] for row in rows])
        )
        for rows in (moved, kept)
    ]
    assert "shifted much" in said[0]
    assert "those of before" in said[1]


def test_the_index_is_that_of_the_books() -> None:
    assert feature_tiles.stability_index([50, 50], [60, 40]) == pytest.approx(0.0405, abs=1e-4)
    assert feature_tiles.stability_index([], []) is None
    assert feature_tiles.stability_index([1], [0]) is None
