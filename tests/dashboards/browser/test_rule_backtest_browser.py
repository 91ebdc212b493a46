"""A backtest in a real browser: typed, watched, given up, and its figures fit a desktop and a phone."""

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.browser.test_sql_browser import WIDER
from tests.dashboards.conftest import Shop
from tests.dashboards.gateway_double import GatewayDouble, Lines
from tests.dashboards.served import enter
from tests.dashboards.test_rule_backtest import BEGUN, PATH, TRIED
from tests.dashboards.test_rules_page import COUNT_1H, rule

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

PATIENCE_MS = 60_000


@pytest.fixture
def may_end(gateway: GatewayDouble) -> Iterator[Event]:
    """A gateway with a rule, whose backtests are half done until they may end."""
    may_end = Event()

    def steps() -> Iterator[Any]:
        yield BEGUN
        while not may_end.wait(0.05):
            yield {"progress": 0.5, "payments": 123_456}
        yield TRIED

    gateway.say("GET", "/v1/rules", [rule()])
    gateway.say("GET", "/v1/features", [COUNT_1H])
    gateway.say("POST", "/v1/rules/check", {"findings": []})
    gateway.does["POST", PATH] = lambda _body: (200, Lines(steps()))
    yield may_end
    may_end.set()


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_a_condition_is_tried_given_up_and_tried_again(
    gateway: GatewayDouble, may_end: Event, shop: Shop, url: str, browser: Browser, width: int, theme: Any
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    enter(context, url, "analyst")
    page = context.new_page()
    page.goto(f"{url}/rules?rule=card_testing")
    page.get_by_label("Where this holds").fill("count_1h > 9", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Try it").click(timeout=PATIENCE_MS)
    expect(page.get_by_text("123,456 payments")).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate(WIDER) == []
    page.get_by_role("button", name="Give up").click()
    expect(page.get_by_role("button", name="Give up")).to_have_count(0, timeout=PATIENCE_MS)
    may_end.set()
    page.get_by_role("button", name="Try it").click(timeout=PATIENCE_MS)
    expect(page.get_by_text("9 · 340.00 EUR")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Try it")).to_be_enabled(timeout=PATIENCE_MS)
    assert page.evaluate(WIDER) == []
    assert [body["expression"] for _, path, body in gateway.acts() if path == PATH] == ["count_1h > 9"] * 2
    context.close()
