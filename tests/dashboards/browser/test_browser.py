"""The page in a real browser: it refreshes itself, fits a desktop and a phone, and loads from no other host."""

import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.dashboards.pages import await_drawn
from dashboards.review_desk import LOOK_FIRST_S
from tests.dashboards.gateway_double import GatewayDouble
from tests.dashboards.served import enter, serving

pytestmark = pytest.mark.stack


def open_page(
    browser: Browser, url: str, width: int, height: int, locale: str = "en-GB"
) -> tuple[Page, list[str]]:
    """The overview once its figures are shown, and the addresses it requests from then on."""
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale)
    enter(context, url, "analyst")
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    expect(page.get_by_text("Data age")).to_be_visible(timeout=60_000)
    expect(page.locator("table.latest tbody tr")).to_have_count(12, timeout=60_000)
    return page, asked


def test_the_page_renews_itself_and_asks_nobody_else(
    shop: Any, url: str, browser: Browser, tmp_path: Path
) -> None:
    shop.sell(600, timedelta(minutes=5))
    page, asked = open_page(browser, url, 1280, 800)
    newest = page.locator("td.id").first
    before = newest.inner_text()
    selling = threading.Thread(target=shop.sell, args=(20, timedelta(seconds=1)))
    selling.start()
    expect(newest).not_to_have_text(before, timeout=60_000)
    selling.join()
    picture = page.screenshot(path=tmp_path / "dashboard.png")
    assert len(picture) > 30_000  # charts and figures, not a blank page
    assert all(address.startswith((url, "data:", "blob:")) for address in asked)
    page.context.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_nothing_is_cut_off(
    shop: Any, gateway: GatewayDouble, url: str, browser: Browser, width: int, height: int
) -> None:
    shop.sell(600, timedelta(minutes=5))
    much = {"amount": 999_999_999_999, "currency": "BHD", "state": "captured"}
    shop.take(shop.payment(shop.now(), id="pay_1", **much))
    gateway.show_payment(**much, amount_captured=much["amount"], amount_refunded=much["amount"] - 1)
    page, _ = open_page(browser, url, width, height)
    wider = """(width) => [...document.querySelectorAll('[data-testid=stMain] *')]
        .filter(e => e.getBoundingClientRect().right > width + 1 && !e.closest('.scrolls, .st-key-links'))
        .map(e => e.className || e.tagName)"""
    assert page.evaluate(wider, width) == []
    page.get_by_role("radio", name="7 days").click()  # nothing lies over it
    page.wait_for_url("**/?period=7d")
    page.goto(f"{url}/payments?payment=pay_1")
    expect(page.locator(".timeline li")).to_have_count(1, timeout=60_000)
    expect(page.locator(".foot")).to_have_count(5, timeout=60_000)
    assert page.evaluate(wider, width) == []
    page.goto(f"{url}/fraud")
    expect(page.get_by_role("heading", name="Late verdicts")).to_be_visible(timeout=60_000)
    assert page.evaluate(wider, width) == []
    page.context.close()


def test_money_is_written_as_where_the_reader_is_at_home(shop: Any, url: str, browser: Browser) -> None:
    shop.sell(600, timedelta(minutes=5))
    shop.take(shop.payment(shop.now(), id="pay_1", amount=123_456_789, currency="EUR"))
    page, _ = open_page(browser, url, 1280, 800, locale="de-DE")
    expect(page.locator("table.latest")).to_contain_text("1.234.567,89", timeout=60_000)
    page.context.close()


def test_no_element_fades_while_the_figures_are_renewed(shop: Any, url: str, browser: Browser) -> None:
    shop.sell(600, timedelta(minutes=5))
    page, _ = open_page(browser, url, 1280, 800)
    watch = """async () => {
        let least = 1;
        for (const end = performance.now() + 3000; performance.now() < end;) {
            for (const e of document.querySelectorAll('[data-testid=stElementContainer]'))
                least = Math.min(least, +getComputedStyle(e).opacity);
            await new Promise(requestAnimationFrame);
        }
        return least;
    }"""
    assert page.evaluate(watch) == 1
    page.context.close()


def test_a_page_that_gets_no_news_says_so(
    shop: Any, gateway: GatewayDouble, browser: Browser, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    shop.sell(20, timedelta(seconds=10))
    (port,) = free_ports(1)
    shutil.copytree(shop.settings.secrets(), tmp_path / "secrets")
    with serving(tmp_path, port, gateway.url, SLUICE_WAREHOUSE=shop.settings.url("warehouse")) as dashboard:
        page, _ = open_page(browser, dashboard.url, 1280, 800)
        lost = page.get_by_text("This page gets no news")
        expect(lost).to_be_hidden()
        dashboard.process.kill()
        expect(lost).to_be_visible(timeout=60_000)
        page.context.close()


def test_a_payment_of_the_list_can_be_looked_into(
    shop: Any, gateway: GatewayDouble, url: str, browser: Browser
) -> None:
    shop.sell(20, timedelta(seconds=10))
    shop.take(shop.payment(shop.now(), id="pay_1"))
    gateway.show_payment()
    page, _ = open_page(browser, url, 390, 844)
    page.locator("table.latest a").first.click()
    expect(page.locator("dl.facts").first).to_be_visible(timeout=60_000)
    expect(page.locator(".timeline")).to_be_visible(timeout=60_000)
    page.get_by_text("All payments").click()
    expect(page.get_by_role("heading", name="Payments", level=1)).to_be_visible(timeout=60_000)
    page.context.close()


def test_ten_reviews_are_cleared_together_and_by_keys_alone(
    gateway: GatewayDouble, url: str, browser: Browser
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    enter(context, url, "analyst")
    page = context.new_page()
    for how, clear in (("together", clear_together), ("by keys", clear_by_keys)):
        gateway.open_queue(10)
        page.goto(f"{url}/reviews")
        expect(page.get_by_role("button", name="Start with the first")).to_be_visible(timeout=60_000)
        began = time.monotonic()
        steps = clear(page)
        expect(page.get_by_text("No payment waits for a person.")).to_be_visible(timeout=60_000)
        print(f"ten reviews {how}: {steps} steps, {time.monotonic() - began:.1f} s")
    context.close()


def clear_together(page: Page) -> int:
    """Three clicks and a reason; how many steps of a person that is."""
    page.get_by_role("button", name="Pick all 10").click()
    page.get_by_label("One reason for all").fill("one thief, many cards")
    page.get_by_role("button", name="Reject 10").click()
    expect(page.get_by_text("Rejected 10 of 10.")).to_be_visible(timeout=60_000)
    return 4


def clear_by_keys(page: Page) -> int:
    """One after the other: a key to begin, the reason once, and the key that rejects for each."""
    page.keyboard.press("Alt+n")
    for number in range(1, 11):
        expect(page.locator(".title span", has_text=f"rev_{number}").first).to_be_visible(timeout=60_000)
        expect(page.get_by_text("Yours")).to_be_visible(timeout=60_000)
        if number == 1:
            page.get_by_text("Stolen card", exact=True).click()
        reject_by_key(page, f"Rejected: 283.{44 + number}")
    return 2 + 10


def reject_by_key(page: Page, done: str) -> None:
    """Once the case is there whole, and after as long as a person must have looked at it: sooner is refused."""
    await_drawn(page)
    page.wait_for_timeout(LOOK_FIRST_S * 1_000)
    page.keyboard.press("Alt+x")
    expect(page.get_by_text(done)).to_be_visible(timeout=60_000)
