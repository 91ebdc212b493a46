"""The five jobs of people who run payments, done in the pages alone; the CSV says what the books say."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.browser import log_in
from benchmarks.five_jobs import booked, do_all
from benchmarks.jobs_to_do import JobsToDo
from tests.end_to_end.shop import PASSWORD, Shop
from tests.end_to_end.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_page(viewport={"width": 1440, "height": 1000}) as page:
        yield page


def test_the_five_jobs_are_done_in_the_pages_and_the_month_is_that_of_the_books(
    stack: Stack, shop: Shop, page: Page
) -> None:
    books_url = f"sqlite:///{stack.settings.data / 'books.sqlite3'}"
    to_do = JobsToDo(stack.settings, PASSWORD, stack.pid("fraud"), books_url)
    clear_reviews(shop)
    to_do.prepare()
    log_in(page, stack.settings.url("dashboard"), "admin@example.com", PASSWORD)
    try:
        figures, month = do_all(page, to_do)
    finally:
        lift_stops(shop)
        to_do.mend_visa()
    print(figures)
    assert month == booked(books_url) != {}
    assert all(job.clicks <= 6 and job.typed <= 2 for job in figures), figures


def clear_reviews(shop: Shop) -> None:
    """Decide what other tests left."""
    while ids := [one["id"] for one in shop.ask("GET", "/v1/reviews?open=true", who="analyst").json["data"]]:
        body = {"ids": ids, "decision": "reject", "reason": "left over"}
        shop.ask("POST", "/v1/reviews/decisions", body, "analyst", uuid4().hex)


def lift_stops(shop: Shop) -> None:
    """The stack is everybody's in this folder."""
    for stop in shop.ask("GET", "/v1/stops", who="admin").json["data"]:
        shop.ask("DELETE", f"/v1/stops/{stop['id']}", who="admin")
