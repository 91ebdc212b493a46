"""`POST /v1/rules/backtest` over HTTP: the answer at once, or lines that tell how far it is."""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.warehouse import QueryFailed, WarehouseAway
from schemas.times import now
from tests.gateway.conftest import Gateway

PATH = "/v1/rules/backtest"
ASKED = {"expression": "amount_eur > 500 and count_1h >= 3", "outcome": "review"}
FIGURES: dict[str, Any] = {
    "payments": 50,
    "hits": 10,
    "frauds_caught": 3,
    "good_lost": 1,
    "caught": 900,
    "lost": 70,
    "caught_squares": 3 * 300.0**2,
    "lost_squares": 70.0**2,
}
ROW = {"week": date(2026, 11, 23), "currency": "EUR", **FIGURES, "known_amount_eur": 40, "known_count_1h": 50}
EXACT: dict[str, Any] = {"payments": 100, "hits": 20, "frauds_caught": 6, "good_lost": 2, "precision": 0.75}
SUMS = {"currency": "EUR", "caught": 1800, "lost": 140, "caught_interval": [657, 3918], "lost_interval": [16, 505]}
EXACT |= {"amounts": [SUMS]}
LINES = "application/x-ndjson"


class Sql:
    """Stands for the process `sql`: a span of two parts; `fails` are raised one after the other."""

    def __init__(self) -> None:
        self.fails: list[Exception | None] = []
        self.asked: list[str] = []

    def query(self, sql: str) -> "Sql":
        self.asked.append(sql)
        if self.fails and (failure := self.fails.pop(0)):
            raise failure
        return self

    def by_name(self) -> list[dict[str, Any]]:
        cut: datetime = now().replace(tzinfo=None) - timedelta(days=1)
        return [{"minute": cut}] if "SELECT minute" in self.asked[-1] else [ROW]


@pytest.fixture
def sql(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Sql:
    sql = Sql()
    monkeypatch.setattr(gateway.runtime.backtests, "_reader", sql)
    return sql


async def test_what_it_would_have_done_is_answered_at_once(gateway: Gateway, sql: Sql) -> None:
    answer = await gateway.ask("POST", PATH, ASKED, "analyst")
    assert answer.status == 200
    assert {name: answer.json[name] for name in EXACT} == EXACT
    assert answer.json["coverage"] == {"amount_eur": 0.8, "count_1h": 1.0}
    [week] = answer.json["by_week"]
    assert (week["week"], week["hits"], week["amounts"]) == ("2026-11-23", 20, EXACT["amounts"])
    assert len(sql.asked) == 3


async def test_lines_tell_how_far_it_is(gateway: Gateway, sql: Sql) -> None:
    answer = await gateway.ask("POST", PATH, ASKED, "analyst", accept=LINES)
    assert (answer.status, answer.headers["Content-Type"]) == (200, LINES)
    *steps, last = map(msgspec.json.decode, answer.body.splitlines())
    told = [(0.0, 0), (0.5, 50), (1.0, 100)]
    assert steps == [{"progress": done, "payments": payments} for done, payments in told]
    assert last == (await gateway.ask("POST", PATH, ASKED, "analyst")).json


async def test_a_statement_that_was_ended_is_asked_once_more(gateway: Gateway, sql: Sql) -> None:
    sql.fails = [None, QueryFailed("out of memory")]
    assert (await gateway.ask("POST", PATH, ASKED, "analyst")).status == 200
    sql.fails = [None, *[QueryFailed("out of memory")] * 2]
    answer = await gateway.ask("POST", PATH, ASKED, "analyst")
    assert (answer.status, answer.code) == (503, "unavailable")


async def test_a_warehouse_that_goes_away_is_a_problem_at_the_end_of_the_lines(gateway: Gateway, sql: Sql) -> None:
    sql.fails = [None, None, WarehouseAway("away")]
    answer = await gateway.ask("POST", PATH, ASKED, "analyst", accept=LINES)
    last = msgspec.json.decode(answer.body.splitlines()[-1])
    assert (answer.status, last["status"], last["code"]) == (200, 503, "unavailable")
    assert last["request_id"] == answer.headers["Request-Id"]
    sql.fails = [WarehouseAway("away")]
    answer = await gateway.ask("POST", PATH, ASKED, "analyst", accept=LINES)
    assert (answer.status, answer.code) == (503, "unavailable"), "and the next one may run"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"expression": "amount_eur >"}, "$.expression"),
        ({"expression": "cuont_1h > 1"}, "$.expression"),
        ({"outcome": "allow"}, "$.outcome"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "$.from"),
        ({"from": "2024-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "$.from"),
        ({"to": "0001-01-02T00:00:00Z"}, "$.to"),
        ({"from": "9999-12-31T00:00:00-12:00", "to": "9999-12-31T23:00:00-12:00"}, "$.to"),
        ({"from": "9999-12-02T00:00:00Z", "to": "9999-12-01T00:00:00Z"}, "$.from"),
    ],
)
async def test_what_cannot_be_tried_says_where(gateway: Gateway, sql: Sql, changes: Any, path: str) -> None:
    answer = await gateway.ask("POST", PATH, ASKED | changes, "analyst")
    assert (answer.status, [error["path"] for error in answer.json["errors"]]) == (422, [path])
    assert sql.asked == []
