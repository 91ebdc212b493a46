"""A login to the dashboards in a real browser, through the gateway: what one sees, decides, and loses."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.browser import PATIENCE_MS, log_in, log_out
from tests.end_to_end.shop import PASSWORD, Shop, number
from tests.end_to_end.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    yield page
    page.context.close()


def test_an_analyst_logs_in_decides_a_review_and_logs_out_everywhere(stack: Stack, shop: Shop, page: Page) -> None:
    with stack.frozen("fraud"):  # then the stand-in rules hold what is large
        paid = shop.pay(number("visa", 440_777), 60_000).json
    assert paid["state"] == "in_review"
    log_in(page, stack.settings.url("dashboard"), "analyst@example.com", PASSWORD, "reviews")
    page.get_by_role("button", name="600.00 EUR").first.click(timeout=PATIENCE_MS)
    page.get_by_label("In your words").fill("known to us")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("which is captured now")).to_be_visible(timeout=PATIENCE_MS)
    assert shop.payment(paid["id"])["state"] == "captured"
    before = {cookie["name"] for cookie in page.context.cookies()}
    assert {"_streamlit_user", "sluice_session"} <= before
    log_out(page)
    page.get_by_role("button", name="Log in").click()  # the gateway's own session is over, too: it asks
    expect(page.get_by_label("Password", exact=True)).to_be_visible(timeout=PATIENCE_MS)


def test_who_is_disabled_loses_a_page_that_refreshes(stack: Stack, shop: Shop, page: Page) -> None:
    """Within 30 s, by what `tests/dashboards/test_session_checks.py` holds.

    The account is one of its own: the seeded ones are everybody's in this folder.
    """
    email, password = "soon-disabled@people.example", "horse-battery-staple-lamp"
    made = shop.ask("POST", "/v1/accounts", {"email": email, "name": "Sid", "password": password}).json
    log_in(page, stack.settings.url("dashboard"), email, password)
    expect(page.get_by_text("No dashboards for you yet")).to_be_visible(timeout=PATIENCE_MS)
    assert shop.ask("PATCH", f"/v1/accounts/{made['id']}", {"disabled": True}, "admin").status == 200
    expect(page.get_by_label("Password", exact=True)).to_be_visible(timeout=PATIENCE_MS)
