"""`python -m benchmarks.analyst`: what an analyst does in a browser, timed, on a stack of its own; prints JSON.

A condition is typed, tried on past payments and saved as a live rule, and payments are made until one is blocked
by it; then a file of entries goes on the lists. Ends with 1 where the rule took longer than it may.
"""

import csv
import io
import time
from itertools import count
from typing import Any

import click
import msgspec
from playwright.sync_api import Page, expect

from benchmarks import stack
from benchmarks.browser import PATIENCE_MS, chromium, log_in
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from connectors.loop_thread import LoopThread
from schemas.cards import check_digit
from schemas.ids import new_id

GOAL_S = 1.0
AMOUNT = 4_321  # minor units, of payments that the rule is about
CONDITION = f"amount == {AMOUNT} and currency == 'EUR'"
REASON = "a benchmark"
PAYMENTS = 20
CARDS = 8
ENTRIES = 1_000
EFFECT_WITHIN_S = 60.0


class AnalystFigures(msgspec.Struct, frozen=True):
    """Seconds: of a backtest from the press to its figures, of a rule from the press until a payment met it (when
    that was sent), of a file of so many `entries` from the press to the word that they stand.
    """

    backtest_s: float
    rule_s: float
    file_s: float
    entries: int


class DemoCustomer:
    """The demo's customer, who pays the demo's merchant by a few cards, one payment after the other."""

    def __init__(self, url: str, password: str) -> None:
        self._loop = LoopThread()  # Playwright runs one in this thread
        self._client = self._loop.run(_logged_in(url, "customer", password))
        self._merchant = self._loop.run(_account_id(url, password))
        self._cards = [self._loop.run(self._card(number)) for number in range(CARDS)]

    def close(self) -> None:
        """Close its connections."""
        self._loop.run(self._client.close())
        self._loop.close()

    def pay(self, number: int) -> dict[str, Any]:
        """A payment that the rule is about."""
        card = self._cards[number % CARDS]
        method = {"type": "card", "card": card, "cvc": "100"}
        body = {"amount": AMOUNT, "currency": "EUR", "merchant": self._merchant, "payment_method": method}
        paid: dict[str, Any] = self._loop.run(self._client.post("/v1/payments", body, new_id("key")))
        return paid

    def pay_until_declined(self) -> float:
        """Pay until a payment is declined; when that one was sent (`time.monotonic`, s)."""
        give_up = time.monotonic() + EFFECT_WITHIN_S
        for number in count():
            sent = time.monotonic()
            if self.pay(number)["state"] == "declined":
                return sent
            assert sent < give_up, "the rule declines nothing"
        raise AssertionError("there is no last number")

    async def _card(self, number: int) -> str:
        payload = f"411111{880_000 + number:09d}"
        body = {"number": payload + check_digit(payload), "exp_month": 1, "exp_year": 2039}
        return str((await self._client.post("/v1/cards", body, new_id("key")))["id"])


async def _logged_in(url: str, who: str, password: str) -> GatewayClient:
    return GatewayClient(url, PasswordLogin(f"{who}@example.com", password), retry_for_s=RETRY_FOR_S)


async def _account_id(url: str, password: str) -> str:
    async with await _logged_in(url, "merchant", password) as client:
        return str((await client.get("/v1/me"))["id"])


@click.command()
def main() -> None:
    """Do it all once; about a minute."""
    with stack.running() as on, chromium() as browser:
        on.await_ready()
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        figures = worked(page, on.settings.url("dashboard"), on.settings.url("gateway"), on.replay.seed_password)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    raise SystemExit(figures.rule_s > GOAL_S)


def worked(page: Page, dashboards: str, gateway: str, password: str) -> AnalystFigures:
    """An analyst's work, from the login on."""
    payer = DemoCustomer(gateway, password)
    try:
        states = {payer.pay(number)["state"] for number in range(PAYMENTS)}
        assert "declined" not in states, states
        log_in(page, dashboards, "analyst@example.com", password, "rules")
        took = _try(page, at_least=PAYMENTS), _save(page, payer), _put_file(page, dashboards)
    finally:
        payer.close()
    backtest_s, rule_s, file_s = (round(seconds, 2) for seconds in took)
    return AnalystFigures(backtest_s, rule_s, file_s, ENTRIES)


def _try(page: Page, at_least: int) -> float:
    """Type the condition and try it, until what was just paid is in the warehouse; how long the last try took."""
    field = page.get_by_label("Where this holds")
    field.fill(CONDITION, timeout=PATIENCE_MS)
    give_up = time.monotonic() + EFFECT_WITHIN_S
    while True:
        button = page.get_by_role("button", name="Try it")
        expect(button).to_be_enabled(timeout=PATIENCE_MS)
        began = time.monotonic()
        button.click()
        met = page.locator("dt", has_text="Would have met").locator("xpath=following-sibling::dd")
        expect(page.get_by_role("button", name="Give up")).to_have_count(0, timeout=PATIENCE_MS)
        expect(met).to_be_visible(timeout=PATIENCE_MS)
        took = time.monotonic() - began
        if int(met.inner_text().split()[0].replace(",", "")) >= at_least:
            return took
        assert time.monotonic() < give_up, met.inner_text()


def _save(page: Page, payer: DemoCustomer) -> float:
    """Make it a live rule that blocks; how long it took from the press until a payment was blocked."""
    _choose(page, "Outcome", "block")
    _choose(page, "Mode", "live")
    page.get_by_label("Why").first.fill(REASON)
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Make the rule")
    expect(button).to_be_enabled(timeout=PATIENCE_MS)
    pressed = time.monotonic()
    button.click()
    blocked = payer.pay_until_declined() - pressed
    expect(page.get_by_text("is a rule, and counts from now on")).to_be_visible(timeout=PATIENCE_MS)
    return blocked


def _choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=option).first.click()


def _put_file(page: Page, dashboards: str) -> float:
    page.goto(f"{dashboards}/lists")
    chooser = page.locator("input[type=file]")
    file: Any = {"name": "entries.csv", "mimeType": "text/csv", "buffer": _entries()}
    chooser.set_input_files(file, timeout=PATIENCE_MS)
    button = page.get_by_role("button", name="Put these on the lists")
    expect(button).to_be_visible(timeout=PATIENCE_MS)
    began = time.monotonic()
    button.click()
    expect(page.get_by_text("Lines of the file that stand: 1,000")).to_be_visible(timeout=PATIENCE_MS)
    return time.monotonic() - began


def _entries() -> bytes:
    """Addresses that nobody pays from (RFC 5737 and 2544)."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(["list", "kind", "value", "reason"])
    addresses = (f"198.18.{number // 250}.{number % 250 + 1}" for number in range(ENTRIES))
    lines.writerows(["block", "ip", address, REASON] for address in addresses)
    return text.getvalue().encode()


if __name__ == "__main__":
    main()
