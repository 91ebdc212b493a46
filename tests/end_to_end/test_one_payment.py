"""One payment through the whole stack, from a login to a row in SQL and a line on the dashboard."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.browser import log_in
from benchmarks.canary.looks import all_records
from schemas.controls import DEFAULTS
from schemas.events import decode
from schemas.topics import NOTIFICATIONS, PAYMENTS, RISK
from tests.end_to_end.shop import PASSWORD, Shop, number
from tests.end_to_end.stack import Stack
from tests.patience import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a real browser."""
    with browser.new_page(viewport={"width": 1280, "height": 1400}) as page:
        yield page


def test_one_payment_from_login_to_sql_and_dashboard(stack: Stack, shop: Shop, page: Page) -> None:
    paid = until(lambda: _judged_in_flight(shop))
    source = shop.payment(paid["id"])["risk"]["source"]
    until(lambda: paid["id"] in _subjects(stack, NOTIFICATIONS.name))
    assert _events(stack, paid["id"]) == ["payment.initiated", "payment.captured", "transaction_completed"]
    assert paid["id"] in _subjects(stack, RISK.name)
    [mail] = [mail for mail in shop.mails() if paid["id"] in mail["text"]]
    assert (mail["to"], mail["subject"]) == ("customer@example.com", "You paid EUR 12.34")
    asked = f"SELECT status, amount, risk_source FROM payments WHERE id = '{paid['id']}'"
    row = {"status": "succeeded", "amount": 1234, "risk_source": source}
    until(lambda: _sql(stack, asked) == [row], why=lambda: _sql(stack, asked))
    rules = {row["id"] for row in _sql(stack, "SELECT id FROM controls WHERE kind = 'fraud_rule'")}
    assert rules >= {rule.id for rule in DEFAULTS}
    stack.reconcile()
    log_in(page, stack.settings.url("dashboard"), "analyst@example.com", PASSWORD)
    expect(page.get_by_text(paid["id"])).to_be_visible(timeout=60_000)


def _judged_in_flight(shop: Shop) -> Any:
    """A payment that the fraud flow judged in time, as on a busy machine not every one is."""
    answer = shop.pay(number("visa", 440_001), 1234)
    paid = answer.json
    assert (answer.status, paid["status"], paid["state"]) == (201, "succeeded", "captured")
    return paid if shop.payment(paid["id"])["risk"]["source"] in ("model", "rules") else None


def _events(stack: Stack, payment: str) -> list[str]:
    records = all_records(stack.settings.bootstrap(), [PAYMENTS.name])
    events = [decode(record.headers, record.value) for record in records]
    return [event.type for event in events if event.subject == payment]


def _subjects(stack: Stack, topic: str) -> set[Any]:
    records = all_records(stack.settings.bootstrap(), [topic])
    return {decode(record.headers, record.value).data.payment for record in records}  # type: ignore[union-attr]


def _sql(stack: Stack, query: str) -> Any:
    code, out, err = stack.says("sql", "--json", query)
    assert code == 0, err
    return json.loads(out)
