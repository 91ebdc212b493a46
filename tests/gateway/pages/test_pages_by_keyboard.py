"""A person with a keyboard and no scripts: registers, sets up a second factor, logs in with it, and logs out."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.gateway.conftest import PASSWORD
from tests.gateway.pages.conftest import ShownPage, code_of
from tests.gateway.web.conftest import ServedGateway

pytestmark = pytest.mark.stack

ADA = "ada@example.com"
RECOVERY_CODE = re.compile(r"\b(?:[0-9a-z]{4}-){3}[0-9a-z]{4}\b")


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page on a phone, without scripts."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def type_in(page: Page, *texts: str) -> None:
    """Type into the field that has the focus and those that follow it, and send."""
    for number, text in enumerate(texts):
        if number:
            page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")


def tab_to(page: Page, name: str) -> None:
    """Go on by the tabulator until what has that name has the focus."""
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.inner_text().strip() == name:
            return
    raise AssertionError(f"no Tab leads to {name!r}")


def test_everything_is_done_by_keyboard_on_a_phone_without_scripts(phone: Page, served: ServedGateway) -> None:
    phone.goto(f"{served.url}/register")
    type_in(phone, "Ada", ADA, PASSWORD)
    expect(phone).to_have_title("Your account is ready · Sluice")
    phone.goto(f"{served.url}/second-factor")
    expect(phone).to_have_title("Set up your second factor · Sluice")
    tab_to(phone, "Show the QR code")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("img", name="QR code for your authenticator app")).to_be_visible()
    shown = ShownPage(phone.content())
    box = phone.get_by_role("img", name="QR code for your authenticator app").bounding_box()
    assert box
    assert box["x"] + box["width"] <= 390
    phone.get_by_label("Six-digit code").focus()
    type_in(phone, code_of(shown))
    expect(phone).to_have_title("Your second factor is on · Sluice")
    phone.goto(f"{served.url}/logout")
    tab_to(phone, "Log out")
    phone.keyboard.press("Enter")
    expect(phone).to_have_title("You are logged out · Sluice")
    tab_to(phone, "Log in again")
    phone.keyboard.press("Enter")
    expect(phone).to_have_title("Log in · Sluice")
    type_in(phone, ADA, "wrong")
    expect(phone).to_have_title("Error: Log in · Sluice")
    type_in(phone, PASSWORD)  # the address still stands there: the password has the focus
    expect(phone).to_have_title("Enter your code · Sluice")
    type_in(phone, "000000")
    expect(phone.get_by_label("Six-digit code")).to_have_accessible_description(re.compile("not right"))
    tab_to(phone, "Use a recovery code")
    phone.keyboard.press("Enter")
    expect(phone).to_have_title("Use a recovery code · Sluice")
    type_in(phone, RECOVERY_CODE.findall(shown.text)[0])
    expect(phone).to_have_title("You are logged in · Sluice")


def test_password_managers_and_phones_know_what_each_field_is(phone: Page, served: ServedGateway) -> None:
    known = {
        "/login": {"E-mail address": "username", "Password": "current-password"},
        "/register": {"Your name": "name", "E-mail address": "username", "Password": "new-password"},
        "/reset": {"E-mail address": "username"},
    }
    for path, fields in known.items():
        phone.goto(f"{served.url}{path}")
        for label, kind in fields.items():
            expect(phone.get_by_label(label)).to_have_attribute("autocomplete", kind)
        expect(phone.locator(":focus")).to_have_count(1)
