"""A processor fails: it is found on the page Processors and stopped, payments go by another, and it is resumed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.browser import PATIENCE_MS, log_in
from tests.end_to_end.shop import PASSWORD, Shop, number
from tests.end_to_end.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CARD = number("visa", 551_000)  # one for all: a customer with many new cards is held


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_page(viewport={"width": 1440, "height": 1000}) as page:
        yield page


def test_the_failing_processor_is_found_stopped_and_resumed(stack: Stack, shop: Shop, page: Page) -> None:
    shop.fault("visa", "refuse")
    failed_over = [pay(shop) for _ in range(3)]
    assert {payment["processor"] for payment in failed_over} == {"mastercard"}
    log_in(page, stack.settings.url("dashboard"), "admin@example.com", PASSWORD, "processors")
    visa = page.locator(".conditions li", has_text="Visa")
    expect(visa).to_contain_text("Refuses our calls since", timeout=PATIENCE_MS)
    page.locator(".st-key-switch-visa").get_by_role("button").click()
    page.get_by_label("Why", exact=True).fill("refuses our calls")
    page.get_by_role("button", name="Stop Visa now").click()
    expect(page.locator(".halted")).to_contain_text("Stopped: Visa", timeout=PATIENCE_MS)
    expect(visa).to_contain_text("Stopped by us", timeout=PATIENCE_MS)
    passed_over = pay(shop)
    assert (passed_over["processor"], passed_over["attempts"]) == ("mastercard", 1)
    shop.clear_faults()
    page.locator(".st-key-switch-visa").get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Resume now").click()
    expect(page.locator(".halted")).to_have_count(0, timeout=PATIENCE_MS)
    assert pay(shop)["processor"] == "visa"


def pay(shop: Shop) -> dict[str, object]:
    """A payment by Visa card."""
    paid: dict[str, object] = shop.pay(CARD, 1_000).json
    return paid
