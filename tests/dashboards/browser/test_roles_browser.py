"""Each role in a real browser: its pages, its actions, and what stands at an address that is not its own."""

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from schemas.times import now
from tests.dashboards.conftest import Shop
from tests.dashboards.gateway_double import AT, GatewayDouble, payment, seller
from tests.dashboards.served import enter

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

PATIENCE_MS = 60_000
WORK = ["Overview", "Payments", "Reviews", "Fraud", "Rules", "Lists", "Features"]
WORK += ["Processors", "Money", "Notifications", "Pipeline", "SQL"]
OWN = ["Overview", "Payments", "Money", "SQL"]
ROLES = {"analyst": WORK, "admin": WORK} | {seller(role): OWN for role in ("owner", "operator", "viewer")}
MOVERS = {"admin", seller("owner"), seller("operator")}
TAKEN = {"merchant": "acc_shop", "state": "captured", "status": "succeeded", "amount": 500, "amount_captured": 500}


@pytest.fixture(autouse=True)
def two_sellers(shop: Shop, own: Shop) -> None:
    """Both warehouses have payments of two merchants."""
    for each in (shop, own):
        moment = now() - timedelta(minutes=1)
        each.take_all(each.payment(moment, state="captured", currency="EUR", amount=1000) for _ in range(3))
        each.take_all(each.payment(moment, merchant="acc_other", currency="EUR") for _ in range(20))


def page_of(browser: Browser, url: str, token: str) -> Page:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    enter(context, url, token)
    return context.new_page()


def test_each_role_has_its_pages_and_its_actions(gateway: GatewayDouble, url: str, browser: Browser) -> None:
    gateway.show_payment(**TAKEN)
    gateway.say("GET", "/v1/payments", [payment(1, **TAKEN)])
    for token, pages in ROLES.items():
        page = page_of(browser, url, token)
        page.goto(url)
        bar = page.locator(".st-key-links")
        for name in pages:
            expect(bar.get_by_text(name, exact=True)).to_be_visible(timeout=PATIENCE_MS)
        assert not [name for name in WORK if name not in pages and bar.get_by_text(name, exact=True).count()], (
            token
        )
        page.goto(f"{url}/payments?payment=pay_1")
        expect(page.get_by_role("heading", name="What happened")).to_be_visible(timeout=PATIENCE_MS)
        assert page.get_by_role("button", name="Refund…").count() == (token in MOVERS), token
        if token == seller("viewer"):
            walk_as_seller(page, url)
        page.context.close()


def walk_as_seller(page: Page, url: str) -> None:
    """All that is theirs has answers, and what is not theirs is refused by the address too.

    One page of staff stands for all, which `test_pages.py` opens without a browser.
    """
    page.goto(url)
    expect(page.locator(".big-figures b").first).to_have_text("3", timeout=PATIENCE_MS)
    page.goto(f"{url}/money")
    expect(page.locator("table.rows").first).to_contain_text("30.00", timeout=PATIENCE_MS)
    page.goto(f"{url}/payments?payment=pay_of_other")
    expect(page.get_by_role("heading", name="No such payment")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{url}/people")
    expect(page.get_by_text("Not your page")).to_be_visible(timeout=PATIENCE_MS)


def test_an_operator_refunds_and_a_role_that_changes_takes_the_buttons_away(
    gateway: GatewayDouble, url: str, browser: Browser
) -> None:
    gateway.show_payment(**TAKEN)
    made = {"id": "ref_1", "amount": 500, "currency": "GBP", "status": "succeeded", "created_at": AT}
    gateway.say("POST", "/v1/payments/pay_1/refunds", made, 201)
    gateway.say("GET", "/v1/refunds", [made])
    page = page_of(browser, url, seller("operator"))
    page.goto(f"{url}/payments?payment=pay_1")
    page.get_by_role("button", name="Refund…").click(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Look at it once more").click()
    page.get_by_role("button", name="Refund 5.00 GBP").click(timeout=PATIENCE_MS)
    expect(page.get_by_text("Done: 5.00 GBP")).to_be_visible(timeout=PATIENCE_MS)
    gateway.accounts[seller("operator")] = gateway.accounts[seller("viewer")]
    expect(page.get_by_role("button", name="Refund…")).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="What happened")).to_be_visible(timeout=PATIENCE_MS)
    page.context.close()
