"""`python -m benchmarks.five_jobs`: five jobs of people who run payments, done in the pages alone; prints JSON.

A stack of its own and a real browser, with nothing of the gateway but its pages: a customer's declined payment and
its reason; half a refund; a queue of ten reviews; a processor that fails, found and stopped; the month's captures
and refunds as CSV, which must be what the books say. Of each job the clicks, what was typed, and the seconds are
counted. `--shots DIR`: a picture of the end of each.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from playwright.sync_api import Download, Locator, Page, expect
from sqlalchemy import Connection, text

from benchmarks import stack
from benchmarks.browser import PATIENCE_MS, chromium, log_in
from benchmarks.jobs_to_do import CAPTURED, HELD, NOTHING_LEFT, JobsToDo
from benchmarks.stack import Stack
from gateway.books.opening import run_once

THINKS_MS = 500  # before and after typing
REASON = "Not enough money on the account"
# By processor and currency, in minor units: what merchants are owed of captures, and how much was refunded of it.
BOOKED = """
SELECT o.processor, p.currency,
       -sum(CASE WHEN o.kind IN ('sale', 'capture') THEN p.amount ELSE 0 END) AS captured,
       sum(CASE WHEN o.kind = 'refund' THEN p.amount ELSE 0 END) AS refunded
FROM postings p JOIN operations o ON o.id = p.source_id
WHERE p.account LIKE 'due:acc%' GROUP BY o.processor, p.currency
HAVING sum(CASE WHEN o.kind IN ('sale', 'capture', 'refund') THEN 1 ELSE 0 END) > 0
ORDER BY o.processor, p.currency
"""

Sums = dict[str, tuple[int, int]]  # by `processor currency`: captured, refunded


class JobFigures(msgspec.Struct, frozen=True):
    """What a job took of a person: `typed` are fields that were filled in."""

    job: str
    clicks: int
    typed: int
    seconds: float


class Hands:
    """Does on a page what a person can, and counts it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = self.typed = 0

    def click(self, on: Locator) -> None:
        """Click once it can be seen."""
        on.click(timeout=PATIENCE_MS)
        self.clicks += 1

    def fill(self, field: Locator, words: str, *, enter: bool = False) -> None:
        """Type into a field, as slowly as a person, and go on by Enter or to the next field.

        A page that is just being drawn anew may drop what is typed at once.
        """
        field.click(timeout=PATIENCE_MS)
        self.page.wait_for_timeout(THINKS_MS)
        field.fill(words)
        field.press("Enter" if enter else "Tab")
        self.page.wait_for_timeout(THINKS_MS)
        self.typed += 1

    def download(self, by: Locator) -> Download:
        """Click, and wait for the file that comes of it."""
        with self.page.expect_download(timeout=PATIENCE_MS) as coming:
            self.click(by)
        return coming.value

    def sees(self, what: Locator, words: str = "") -> None:
        """Wait until it is there, with these words."""
        expect(what).to_be_visible(timeout=PATIENCE_MS)
        if words:
            expect(what).to_contain_text(words, timeout=PATIENCE_MS)

    def go(self, title: str) -> None:
        """To a page, by the bar."""
        self.click(self.page.locator(".st-key-links").get_by_text(title, exact=True))
        self.sees(self.page.get_by_role("heading", name=title, level=1))


def find_why(hands: Hands, to_do: JobsToDo) -> None:
    """A customer writes: my payment did not go through."""
    page = hands.page
    hands.go("Payments")
    hands.fill(page.get_by_label("Find a payment"), to_do.customer, enter=True)
    hands.sees(page.locator(".took"), "is taken for")
    hands.click(page.locator(".st-key-payments-list tr", has_text="Declined").locator("td:first-child a").first)
    hands.sees(page.locator(".lead .why"), REASON)


def refund_half(hands: Hands, to_do: JobsToDo) -> None:
    """One of two things of an order came back."""
    page = hands.page
    hands.go("Payments")
    hands.fill(page.get_by_label("Find a payment"), to_do.order, enter=True)
    hands.sees(page.locator(".took"), "is taken for")  # else the list of before is clicked
    hands.click(page.locator(".st-key-payments-list td:first-child a").first)
    hands.click(page.get_by_role("button", name="Refund…"))
    hands.fill(page.get_by_label("Amount in EUR"), f"{CAPTURED / 200:.2f}")
    hands.click(page.get_by_role("button", name="Look at it once more"))
    hands.click(page.get_by_role("button", name="Refund ", exact=False).and_(page.locator("[kind=primary]")))
    hands.sees(page.locator("p.done"))
    hands.sees(page.locator(".moved"), f"{CAPTURED / 200:,.2f} EUR")


def clear_queue(hands: Hands, to_do: JobsToDo) -> None:
    """Ten payments are held, and all are one thief's."""
    page = hands.page
    hands.go("Reviews")
    hands.click(page.get_by_role("button", name=f"Pick all {HELD}"))
    hands.fill(page.get_by_label("One reason for all"), "One thief, many cards")
    hands.click(page.get_by_role("button", name=f"Reject {HELD}"))
    hands.sees(page.get_by_text(f"Rejected {HELD} of {HELD}."))
    hands.sees(page.get_by_text(NOTHING_LEFT))


def stop_processor(hands: Hands, to_do: JobsToDo) -> None:
    """Something is wrong with the payments: whose fault is it?"""
    page = hands.page
    hands.go("Processors")
    failing = page.locator(".conditions li.failing")
    hands.sees(failing, "Visa")
    hands.click(page.locator(".st-key-switch-visa").get_by_role("button"))
    hands.fill(page.get_by_label("Why", exact=True), "It refuses our calls.")
    hands.click(page.get_by_role("button", name="Stop Visa now"))
    hands.sees(page.locator(".halted"), "Stopped: Visa")


def take_month(hands: Hands, to_do: JobsToDo) -> Sums:
    """The month's figures for the accountants."""
    page = hands.page
    hands.go("Money")
    hands.click(page.get_by_text("Books", exact=True))
    csv = page.locator(".st-key-foot-month-money").get_by_role("button", name="CSV")
    return _read(hands.download(csv).path())


class Job(NamedTuple):
    """What is done by `hands`, which may tell the month's sums; `before` comes first, and is not counted."""

    name: str
    do: Callable[[Hands, JobsToDo], Sums | None]
    before: Callable[[JobsToDo], None] | None = None


JOBS = (
    Job("a declined payment and its reason", find_why),
    Job("half a refund", refund_half),
    Job("ten reviews cleared", clear_queue),
    Job("the failing processor stopped", stop_processor, JobsToDo.break_visa),
    Job("the month as CSV", take_month, JobsToDo.await_warehouse),
)


def do_all(page: Page, to_do: JobsToDo, shots: Path | None = None) -> tuple[list[JobFigures], Sums]:
    """All five, one after the other, by an administrator who is logged in."""
    figures: list[JobFigures] = []
    sums: Sums = {}
    for number, job in enumerate(JOBS, 1):
        if job.before:
            job.before(to_do)
        hands, began = Hands(page), time.monotonic()
        sums = job.do(hands, to_do) or {}
        figures.append(JobFigures(job.name, hands.clicks, hands.typed, round(time.monotonic() - began, 1)))
        if shots:
            page.screenshot(path=shots / f"{number}.png")
    return figures, sums


def booked(books_url: str) -> Sums:
    """What the books themselves have: by processor and currency, captured and refunded."""

    def read(conn: Connection) -> Sums:
        return {f"{row[0]} {row[1]}": (int(row[2]), int(row[3])) for row in conn.execute(text(BOOKED))}

    return run_once(books_url, read, readonly=True)


def _read(file: Path) -> Sums:
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {f"{row['processor']} {row['currency']}": (int(row["captured"]), int(row["refunded"])) for row in rows}


@click.command()
@click.option("--shots", type=click.Path(path_type=Path), help="Where a picture of the end of each job goes.")
def main(shots: Path | None) -> None:
    """Do the five jobs; ends with 1 where the month is not what the books say."""
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    with stack.running() as on, chromium() as browser:
        on.await_ready()
        figures, sums, expected = _done(on, browser.new_page(viewport={"width": 1440, "height": 1000}), shots)
    equal = sums == expected and bool(sums)
    shown = {"jobs": figures, "month": sums, "equals_the_books": equal}
    click.echo(msgspec.json.format(msgspec.json.encode(shown)).decode())
    raise SystemExit(not equal)


def _done(on: Stack, page: Page, shots: Path | None) -> tuple[list[JobFigures], Sums, Sums]:
    to_do = JobsToDo(on.settings, on.replay.seed_password, on.pids()["fraud"], on.books_url())
    to_do.prepare()
    log_in(page, on.settings.url("dashboard"), "admin@example.com", on.replay.seed_password)
    figures, sums = do_all(page, to_do, shots)
    return figures, sums, booked(on.books_url())


if __name__ == "__main__":
    main()
