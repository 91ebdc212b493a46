"""axe-core over every page of the dashboards, in both themes: nothing grave, whoever draws it."""

import pytest
from playwright.sync_api import Browser

from benchmarks.accessibility import PAGES, Visit, all_flaws, flaws_of
from dashboards.navigation import ENTRIES
from tests.end_to_end.shop import PASSWORD, Shop, number
from tests.end_to_end.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def test_nothing_on_any_page_is_gravely_hard_to_use(stack: Stack, shop: Shop, browser: Browser) -> None:
    assert shop.pay(number("visa", 551_100)).status == 201
    flaws = all_flaws(Visit(stack.settings.url("dashboard"), PASSWORD), browser)
    assert [flaw for flaw in flaws if flaw.is_grave] == []


def test_flaws_are_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><p style='color: #ccc; background: #fff'>Hardly legible</p><input></html>")
    found = list(flaws_of(page, "flawed", "light"))
    assert {"color-contrast", "label", "document-title"} <= {flaw.rule for flaw in found if flaw.is_grave}
    page.context.close()


def test_every_page_is_looked_at() -> None:
    assert set(PAGES) == {entry.path for entry in ENTRIES if entry.group != "linked"}
