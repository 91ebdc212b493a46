"""A real browser for the proofs, and a person's login to the dashboards in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000  # Streamlit's first page takes seconds where everything starts at once


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with nothing in it."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    assert executable, "the package `chromium` is missing"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


def log_in(page: Page, dashboards: str, email: str, password: str, path: str = "") -> None:
    """Log in to the dashboards, and come back to the page at `path`: by a password, and no second factor."""
    page.goto(f"{dashboards}/{path}")
    page.get_by_role("button", name="Log in").click(timeout=PATIENCE_MS)
    type_login(page, email, password)


def type_login(page: Page, email: str, password: str) -> None:
    """Fill in the gateway's login page."""
    page.get_by_label("E-mail address").fill(email, timeout=PATIENCE_MS)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()


def log_out(page: Page) -> None:
    """Log out by the menu, and wait until the dashboards ask for a login."""
    page.locator(".st-key-person button").first.click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=PATIENCE_MS)
