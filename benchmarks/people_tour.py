"""`python -m benchmarks.people_tour`: somebody becomes an analyst, decides a review and is shut out; prints JSON.

A stack of its own and a real browser. A person registers, confirms by the mail in the catcher, is made an analyst
by an admin, sets a second factor, logs in to the dashboards and decides a review; then the admin takes the role
away, and the seconds count until their page is gone. `--shots DIR`: a picture of each step.
"""

import hmac
import json
import struct
import time
from base64 import b32decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import msgspec
from playwright.sync_api import Page, ViewportSize, expect

from benchmarks import stack
from benchmarks.browser import PATIENCE_MS, chromium, type_login
from benchmarks.canary.everywhere import frozen
from benchmarks.stack import Stack
from connectors.gateway import GatewayClient, PasswordLogin
from connectors.loop_thread import LoopThread
from schemas.ids import new_id
from schemas.times import now_micros
from sluice.shoppers.people import CONFIRMATION

EMAIL, PASSWORD = "tour@people.example", "horse-battery-staple-lamp"
CARD = {"number": "4111111111111111", "exp_month": 12, "exp_year": 2030}
HELD = 60_000  # minor units: past the cap of a card while no verdict comes
OUT_WITHIN_S = 30.0
STEP_S = 30  # of a second factor's codes
Act = Callable[[GatewayClient], Any]


class TourFigures(msgspec.Struct, frozen=True):
    """`login_s`: from the button to the page behind it. `out_s`: from the change of the role to a page without."""

    login_s: float
    decided: str
    out_s: float
    seconds: float


class Tour:
    """One person's way through a stack, in one page of a browser."""

    def __init__(self, on: Stack, page: Page, shots: Path | None) -> None:
        self._url, self._dashboards = on.settings.url("gateway"), on.settings.url("dashboard")
        self._catcher, self._stack = on.settings.url("catcher"), on
        self._page, self._shots, self._shot_count = page, shots, 0
        self._calls = LoopThread()  # the browser has the loop of this thread

    def run(self) -> TourFigures:
        """All of it."""
        began = time.monotonic()
        self._register()
        self._confirm()
        self._as("admin", self._promote("analyst"))
        self._hold_a_payment()
        login_s = self._log_in()
        decided = self._decide()
        out_s = self._demote()
        return TourFigures(round(login_s, 2), decided, round(out_s, 2), round(time.monotonic() - began, 1))

    def _register(self) -> None:
        self._page.goto(f"{self._url}/register")
        self._page.get_by_label("Your name").fill("Tilda Tour")
        self._page.get_by_label("E-mail address").fill(EMAIL)
        self._page.get_by_label("Password").fill(PASSWORD)
        self._shoot("register")
        self._page.get_by_role("button", name="Create the account").click()
        self._shoot("registered")

    def _confirm(self) -> None:
        until = time.monotonic() + 30
        while not (token := self._mailed()):
            assert time.monotonic() < until, "no mail came"
            time.sleep(0.2)
        self._page.goto(f"{self._url}/confirm-email?token={token}")
        self._shoot("confirm")
        self._page.get_by_role("button", name="Confirm the address").click()
        self._shoot("confirmed")

    def _mailed(self) -> str | None:
        with urlopen(f"{self._catcher}/messages", timeout=30) as answer:
            messages = json.load(answer)["data"]
        found = [CONFIRMATION.search(message["text"]) for message in messages if message["to"] == EMAIL]
        return next((token[1] for token in found if token), None)

    def _promote(self, role: str) -> Act:
        async def act(admin: GatewayClient) -> None:
            (account,) = (await admin.get(f"/v1/accounts?email={EMAIL}"))["data"]
            await admin.patch(f"/v1/accounts/{account['id']}", {"role": role})

        return act

    def _hold_a_payment(self) -> None:
        """While the fraud flow stands still the stand-in rules decide, which hold what is large."""
        merchant = self._as("merchant", lambda client: client.get("/v1/me"))["id"]

        async def pay(payer: GatewayClient) -> Any:
            card = (await payer.post("/v1/cards", CARD, new_id("key")))["id"]
            method = {"type": "card", "card": card}
            body = {"amount": HELD, "currency": "EUR", "merchant": merchant, "payment_method": method}
            return await payer.post("/v1/payments", body | {"capture": "automatic"}, new_id("key"))

        with frozen([self._stack.pids()["fraud"]]):
            paid = self._as("customer", pay)
        assert paid["state"] == "in_review", paid

    def _as(self, name: str, act: Act) -> Any:
        async def run() -> Any:
            login = PasswordLogin(f"{name}@example.com", self._stack.replay.seed_password)
            async with GatewayClient(self._url, login, retry_for_s=30) as client:
                return await act(client)

        return self._calls.run(run())

    def _log_in(self) -> float:
        """To the reviews, by a password and a second factor, which staff set up at their first login; seconds."""
        self._page.context.clear_cookies()  # another day, at another desk
        self._page.goto(f"{self._dashboards}/reviews")
        button = self._page.get_by_role("button", name="Log in")
        expect(button).to_be_visible(timeout=PATIENCE_MS)
        self._shoot("dashboards-door")
        began = time.monotonic()
        button.click()
        expect(self._page.get_by_label("E-mail address")).to_be_visible(timeout=PATIENCE_MS)
        self._shoot("login")
        type_login(self._page, EMAIL, PASSWORD)
        self._set_second_factor()
        expect(self._page.get_by_text("600.00 EUR").first).to_be_visible(timeout=PATIENCE_MS)
        self._shoot("reviews")
        return time.monotonic() - began

    def _set_second_factor(self) -> None:
        self._page.get_by_role("button", name="Show the QR code").click(timeout=PATIENCE_MS)
        secret = self._page.locator("code.secret").inner_text()
        self._shoot("second-factor")
        self._page.get_by_label("Six-digit code").fill(_code("".join(secret.split()), now_micros()))
        self._page.get_by_role("button", name="Turn it on").click()
        self._page.get_by_role("link", name="Continue").click()

    def _decide(self) -> str:
        self._page.get_by_role("button", name="600.00 EUR").click()
        self._page.get_by_label("In your words").fill("Known to us: a regular of the tour.")
        self._shoot("case")
        self._page.get_by_role("button", name="Approve").click()
        said = self._page.locator("p.done")
        expect(said).to_be_visible(timeout=PATIENCE_MS)
        self._shoot("decided")
        return said.inner_text()

    def _demote(self) -> float:
        """Seconds until the page is gone, which nobody touches meanwhile; the gateway then asks who they are."""
        self._as("admin", self._promote("customer"))
        began = time.monotonic()
        expect(self._page.get_by_role("heading", name="Reviews")).to_be_hidden(timeout=2 * OUT_WITHIN_S * 1000)
        out_s = time.monotonic() - began
        self._page.wait_for_load_state()
        self._shoot("shut-out")
        return out_s

    def _shoot(self, name: str) -> None:
        self._shot_count += 1
        if self._shots:
            self._page.wait_for_timeout(400)  # for fonts
            self._page.screenshot(path=self._shots / f"{self._shot_count:02}-{name}.png", full_page=True)


def _code(secret: str, now_us: int) -> str:
    """What an authenticator app shows for a secret (RFC 6238, RFC 4226 §5.3), by no code of ours."""
    key = b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", now_us // 1_000_000 // STEP_S), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 10**6:06}"


@click.command()
@click.option("--shots", type=click.Path(path_type=Path), help="Where a picture of each step goes.")
@click.option("--width", default=1440, help="Of the browser's window, in pixels.")
@click.option("--dark", is_flag=True, help="As a browser shows it that wishes for dark pages.")
def main(shots: Path | None, width: int, dark: bool) -> None:
    """Take a person through a stack of its own; ends with 1 where they are not out in time."""
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    with stack.running() as on, chromium() as browser:
        on.await_ready()
        size: ViewportSize = {"width": width, "height": 900}
        page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
        figures = Tour(on, page, shots).run()
    print(msgspec.json.format(msgspec.json.encode(figures)).decode())
    raise SystemExit(figures.out_s > OUT_WITHIN_S)


if __name__ == "__main__":
    main()
