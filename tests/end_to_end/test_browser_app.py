"""The example of a browser app, in a real browser and from another origin: log in, pay, log out."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.shop import PASSWORD, Shop, number
from tests.end_to_end.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
SCOPES = ["account", "cards:write", "payments:read", "payments:write"]
WITHIN_MS = 30_000

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


class Quiet(SimpleHTTPRequestHandler):
    """A web server that writes no log."""

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Where the page is served, by another web server than ours."""
    with ThreadingHTTPServer(("localhost", 0), partial(Quiet, directory=EXAMPLES)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/browser_app.html"
        server.shutdown()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a real browser, on a phone."""
    with browser.new_page(viewport={"width": 390, "height": 844}, locale="en-GB") as page:
        yield page


def test_a_page_of_another_origin_logs_in_pays_and_logs_out(
    stack: Stack, shop: Shop, address: str, page: Page
) -> None:
    registered = {"redirect_uris": [address], "post_logout_redirect_uris": [address]}
    client = {"name": "Corner Shop", "type": "public", "scopes": SCOPES} | registered
    made = shop.ask("POST", "/v1/clients", client, who="merchant")
    gateway = stack.settings.url("gateway")
    page.goto(f"{address}?gateway={gateway}&client={made.json['id']}&merchant={shop.account('merchant')}")
    page.get_by_role("button", name="Log in").click()
    page.locator("input[name=email]").fill("customer@example.com")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_role("button", name="Pay")).to_be_visible(timeout=WITHIN_MS)
    assert page.url == address  # the code is not in it any more
    page.reload()  # the refresh token is exchanged
    page.get_by_label("Card number").fill(number("visa", 470_001))
    page.get_by_label("Expires").fill("01/39")
    page.get_by_label("Security code").fill("123")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("status")).to_contain_text("€12.50 paid", timeout=WITHIN_MS)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=WITHIN_MS)
    assert page.url == address
