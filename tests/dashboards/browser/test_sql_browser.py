"""SQL and Pipeline in a real browser: asked by keyboard, and nothing is cut off on a phone."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from schemas.times import now
from tests.dashboards.conftest import Shop
from tests.dashboards.served import enter

pytestmark = pytest.mark.stack

STATEMENT = "SELECT state, count(*) AS payments FROM payments GROUP BY ALL ORDER BY ALL"
PATIENCE_MS = 60_000
# What a person would have to scroll the whole page for; tables scroll by themselves.
WIDER = """() => [...document.querySelectorAll('[data-testid=stMain] *')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .filter(e => !e.closest('.scrolls, .st-key-links, .st-key-look'))
    .map(e => e.className || e.tagName)"""


def test_a_statement_is_asked_by_keyboard_and_the_pages_fit_a_phone(
    shop: Shop, own: Shop, url: str, browser: Browser
) -> None:
    shop.sell(20, timedelta(minutes=5))
    own.take_all(own.payment(now(), state=state) for state in ("captured", "declined"))
    context = browser.new_context(viewport={"width": 390, "height": 844})
    enter(context, url, "analyst")
    page = context.new_page()
    page.goto(f"{url}/sql")
    editor = page.get_by_label("Statement")
    editor.fill(STATEMENT, timeout=PATIENCE_MS)
    editor.press("Control+Enter")
    expect(page.locator("table.answer tbody tr")).to_have_count(2, timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile("q=SELECT"), timeout=PATIENCE_MS)
    assert page.evaluate(WIDER) == []
    with page.expect_download(timeout=PATIENCE_MS) as taken:
        page.get_by_role("button", name="CSV").click()
    assert Path(taken.value.path()).read_text().splitlines()[0] == "state,payments"
    page.goto(f"{url}/pipeline?period=1h")
    expect(page.get_by_text("Warehouse age")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("table.rows").first).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate(WIDER) == []
    context.close()
