"""`python -m benchmarks.analyst`: what an analyst does in a browser, timed, on a stack of its own; prints JSON.

A condition is typed, tried on past payments and saved as a live rule, and payments are made until one is blocked
by it; then a file of entries goes on the lists. Ends with 1 where the rule took longer than it may.
"""

import asyncio
import csv
import io
import time
from collections.abc import Callable
from typing import Any

import click
import msgspec
from playwright.sync_api import Page, expect

from benchmarks import stack
from benchmarks.browser import PATIENCE_MS, chromium, log_in
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from schemas.cards import check_digit
from schemas.ids import new_id

GOAL_S = 1.0
AMOUNT = 4_321  # minor units, of payments that the rule is about
CONDITION = f"amount == {AMOUNT} and currency == 'EUR'"
PAYMENTS = 20
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


class Payer:
    """The demo's customer, who pays the demo's merchant by a few cards, one payment after the other."""

    def __init__(self, url: str, password: str) -> None:
        self._url, self._password = url, password

    def pay(self, count: int, amount: int) -> list[dict[str, Any]]:
        """So many payments."""
        return asyncio.run(self._pay(count, amount, lambda _payment: False))

    def pay_until_blocked(self) -> float:
        """Pay until a payment is declined; when that one was sent (`time.monotonic`, s)."""
        sent: list[float] = []
        found = asyncio.run(self._pay(10_000, AMOUNT, lambda payment: payment["state"] == "declined", sent))
        assert found[-1]["state"] == "declined"
        return sent[-1]

    async def _pay(
        self, count: int, amount: int, is_last: Callable[[dict[str, Any]], bool], sent: list[float] | None = None
    ) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        give_up = time.monotonic() + EFFECT_WITHIN_S
        async with (
            GatewayClient(self._url, self._login("customer"), retry_for_s=RETRY_FOR_S) as payer,
            GatewayClient(self._url, self._login("merchant")) as seller,
        ):
            shop = (await seller.get("/v1/me"))["id"]
            cards = [await self._card(payer, number) for number in range(4)]
            for number in range(count):
                if sent is not None:
                    sent.append(time.monotonic())
                method = {"type": "card", "card": cards[number % len(cards)], "cvc": "100"}
                body = {"amount": amount, "currency": "EUR", "merchant": shop, "payment_method": method}
                made.append(await payer.post("/v1/payments", body, new_id("key")))
                if is_last(made[-1]) or time.monotonic() > give_up:
                    break
        return made

    def _login(self, who: str) -> PasswordLogin:
        return PasswordLogin(f"{who}@example.com", self._password)

    async def _card(self, payer: GatewayClient, number: int) -> str:
        payload = f"411111{880_000 + number:09d}"
        body = {"number": payload + check_digit(payload), "exp_month": 1, "exp_year": 2039}
        return str((await payer.post("/v1/cards", body, new_id("key")))["id"])


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
    payer = Payer(gateway, password)
    paid = payer.pay(PAYMENTS, AMOUNT)
    assert all(payment["state"] == "captured" for payment in paid), paid
    log_in(page, dashboards, "analyst@example.com", password, "rules")
    backtest_s = _try(page, at_least=PAYMENTS)
    rule_s = _save(page, payer)
    return AnalystFigures(round(backtest_s, 2), round(rule_s, 2), round(_put_file(page, dashboards), 2), ENTRIES)


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


def _save(page: Page, payer: Payer) -> float:
    """Make it a live rule that blocks; how long it took from the press until a payment was blocked."""
    _choose(page, "Outcome", "block")
    _choose(page, "Mode", "live")
    page.get_by_label("Why").first.fill("a benchmark")
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Make the rule")
    expect(button).to_be_enabled(timeout=PATIENCE_MS)
    pressed = time.monotonic()
    button.click()
    blocked = payer.pay_until_blocked() - pressed
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
    lines.writerows(["block", "ip", address, "test"] for address in addresses)
    return text.getvalue().encode()


if __name__ == "__main__":
    main()
