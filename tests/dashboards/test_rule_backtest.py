"""A backtest in the editor of a rule: what it would have caught and cost, how far it is, and giving it up."""

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards import backtests
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import GatewayDouble, Lines
from tests.dashboards.test_rules_page import expression, rules  # noqa: F401 - a fixture

PATIENCE_S = 60.0
PATH = "/v1/rules/backtest"
SUMS = [
    {
        "currency": "EUR",
        "caught": 34000,
        "lost": 1250,
        "caught_interval": [15546, 64544],
        "lost_interval": [32, 6965],
    },
    {"currency": "JPY", "caught": 0, "lost": 700, "caught_interval": None, "lost_interval": [84, 2529]},
]
WEEK = {"week": "2026-11-23", "payments": 1200, "hits": 30, "frauds_caught": 9, "good_lost": 3, "amounts": SUMS}
TRIED = {"payments": 1200, "hits": 30, "frauds_caught": 9, "good_lost": 3, "amounts": SUMS, "precision": 0.75}
TRIED |= {"interval": [0.468, 0.911], "by_week": [WEEK], "coverage": {"count_1h": 0.9, "amount": 1.0}}
BEGUN = {"progress": 0.0, "payments": 0}


def answering(gateway: GatewayDouble, *steps: Any) -> None:
    gateway.does["POST", PATH] = lambda _body: (200, Lines(steps))


def tried(page: AppTest) -> AppTest:
    """The page once the backtest has ended."""
    page = press(page, "Try it")
    by = time.monotonic() + PATIENCE_S
    while any(button.label == "Give up" for button in page.button):
        assert time.monotonic() < by
        page = page.run()
    return page


def test_what_a_rule_would_have_done_is_told_in_money_and_by_week(rules: GatewayDouble) -> None:  # noqa: F811
    answering(rules, BEGUN, {"progress": 1.0, "payments": 1200}, TRIED)
    page = expression(opened("analyst", "rules", rule="card_testing")).set_value("count_1h > 9").run()
    said = words(tried(page))
    for told in ("30 of 1,200 payments (2.5%)", "9 · 340.00 EUR", "3 · 12.50 EUR, 700 JPY", "count_1h of 90.0%"):
        assert told in said
    assert "340.00 EUR (95% interval: 155.46 EUR to 645.44 EUR)" in said
    assert "(95% interval: 0.32 EUR to 69.65 EUR, 84 JPY to 2,529 JPY)" in said
    assert "75.0% (95% interval: 46.8% to 91.1%)" in said
    assert "2026-11-23" in said
    [(_, _, body)] = [act for act in rules.acts() if act[1] == PATH]
    assert (body["expression"], body["outcome"]) == ("count_1h > 9", "review")
    assert body["from"] < body["to"]


def test_nothing_is_tried_that_is_wrong(rules: GatewayDouble) -> None:  # noqa: F811
    finding = {"code": "unknown_name", "message": "no such name", "position": 0, "severity": "error"}
    rules.say("POST", "/v1/rules/check", {"findings": [finding]})
    page = expression(opened("analyst", "rules")).set_value("cuont > 9").run()
    assert [button.disabled for button in page.button if button.label == "Try it"] == [True]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([BEGUN, {"status": 503, "code": "unavailable", "detail": "It took too long."}], "It took too long."),
        ([BEGUN, {"strange": 1}], "The gateway does not answer."),
    ],
)
def test_why_there_is_no_answer_is_told(rules: GatewayDouble, steps: list[Any], told: str) -> None:  # noqa: F811
    answering(rules, *steps)
    assert told in words(tried(opened("analyst", "rules", rule="card_testing")))


def test_a_refusal_is_told(rules: GatewayDouble) -> None:  # noqa: F811
    rules.refuse("POST", PATH, 503, "unavailable", detail="Another backtest is running.")
    assert "Another backtest is running." in words(tried(opened("analyst", "rules", rule="card_testing")))


@pytest.fixture
def slow(rules: GatewayDouble) -> Iterator[tuple[GatewayDouble, Event, Event]]:  # noqa: F811
    """A gateway that tells half of the way, and the rest once it may; whether its client hung up before."""
    may_end, hung_up = Event(), Event()

    def steps() -> Iterator[Any]:
        yield BEGUN
        yield {"progress": 0.5, "payments": 100_000}
        try:
            while not may_end.wait(0.02):
                yield {"progress": 0.5, "payments": 100_000}
            yield TRIED
        except GeneratorExit:
            hung_up.set()
            raise

    rules.does["POST", PATH] = lambda _body: (200, Lines(steps()))
    yield rules, may_end, hung_up
    may_end.set()


def test_how_far_it_is_is_shown_and_it_is_given_up(slow: tuple[GatewayDouble, Event, Event]) -> None:
    _, _, hung_up = slow
    page = press(opened("analyst", "rules", rule="card_testing"), "Try it")
    page = _until(page, lambda page: "100,000 payments" in _course(page))
    page = press(page, "Give up")
    assert [button.label for button in page.button if button.label == "Give up"] == []
    assert hung_up.wait(PATIENCE_S)


def test_who_leaves_the_page_has_given_it_up(
    slow: tuple[GatewayDouble, Event, Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, hung_up = slow
    monkeypatch.setattr(backtests, "LOOKED_AT_S", 0.2)
    press(opened("analyst", "rules", rule="card_testing"), "Try it")
    assert hung_up.wait(PATIENCE_S)


def _course(page: AppTest) -> str:
    return " ".join(str(element.proto.text) for element in page.get("progress"))


def _until(page: AppTest, holds: Callable[[AppTest], bool]) -> AppTest:
    by = time.monotonic() + PATIENCE_S
    while not holds(page):
        assert time.monotonic() < by
        page = page.run()
    return page
