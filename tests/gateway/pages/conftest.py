"""A browser without scripts, as far as a test needs one: it keeps cookies, and sends the forms it was shown."""

from base64 import b32decode
from collections.abc import Iterator
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from uuid import uuid4

import msgspec
import pytest
from playwright.sync_api import Browser
from sqlalchemy import update

from benchmarks.browser import chromium
from gateway.books.accounts import accounts
from gateway.identity.totp import STEP_US, code_at
from gateway.roles import Role
from schemas.times import now_micros
from tests.gateway.conftest import LOOPBACK, PASSWORD, Answer, Gateway
from tests.gateway.routes.conftest import gateway, shared_settings
from tests.gateway.web.conftest import ServedGateway, served

__all__ = ["gateway", "served", "shared_settings"]

FORM = "application/x-www-form-urlencoded"
NEW = {"password": PASSWORD, "name": "Somebody"}


class ShownForm(msgspec.Struct):
    """A form: where it goes, and the values of its fields."""

    action: str
    fields: dict[str, str]


class ShownPage(HTMLParser):
    """What stands on a page: its title, its words, its forms, its links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.title, self.text = "", ""
        self.forms: list[ShownForm] = []
        self.links: list[str] = []
        self.alerts = 0
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = tag
        self.alerts += given.get("role") == "alert"
        match tag:
            case "form":
                self.forms.append(ShownForm(given["action"], {}))
            case "input":
                self.forms[-1].fields[given["name"]] = given.get("value", "")
            case "a":
                self.links.append(given["href"])
            case "meta" if given.get("http-equiv") == "refresh":
                self.links.append(given["content"].partition("url=")[2])

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.title += data.strip()
        self.text += f" {data.strip()}"


class Surfer:
    """Somebody with a browser. `page`: what it shows, after redirects; `answer`: the last answer."""

    def __init__(self, gateway: Gateway, ip: str = LOOPBACK) -> None:
        self.gateway, self.ip = gateway, ip
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []  # every Set-Cookie that came
        self.path = "/"
        self.answer: Answer
        self.page: ShownPage

    async def open(self, path: str, **headers: str) -> ShownPage:
        """Go to a page."""
        return await self._go("GET", path, None, headers)

    async def send(self, form: int = 0, headers: dict[str, str] | None = None, **fields: str) -> ShownPage:
        """Fill in a form of the page that is shown, and send it."""
        shown = self.page.forms[form]
        return await self.post(shown.action, shown.fields | fields, headers)

    async def post(self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> ShownPage:
        """Send a form, be it from here or from elsewhere."""
        sent = {"Sec_Fetch_Site": "same-origin"} if headers is None else headers
        return await self._go("POST", path, urlencode(fields).encode(), sent | {"Content_Type": FORM})

    async def _go(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> ShownPage:
        self.path = urljoin(self.path, path)
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        self.answer = await self.gateway.ask(method, self.path, body, ip=self.ip, **headers, **cookie)
        self._keep_cookies()
        if location := self.answer.headers.get("Location"):
            return await self._go("GET", location, None, {})
        self.page = ShownPage(self.answer.body.decode())
        return self.page

    def _keep_cookies(self) -> None:
        came = self.answer.headers.getlist("Set-Cookie")
        self.set_cookies += came
        for line in came:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]


async def somebody(gateway: Gateway, role: Role = "customer") -> str:
    """The e-mail address of somebody new, whose password is `PASSWORD`."""
    email = f"{uuid4().hex}@example.com"
    account_id = (await gateway.ask("POST", "/v1/accounts", NEW | {"email": email})).json["id"]
    given = {"role": role, "email_confirmed_at": now_micros()}
    await gateway.runtime.books.write(
        lambda conn: conn.execute(update(accounts).where(accounts.c.id == account_id).values(given))
    )
    return email


async def logged_in(gateway: Gateway, email: str = "", path: str = "/login") -> Surfer:
    """Somebody with a browser who has just logged in."""
    surfer = Surfer(gateway)
    await surfer.open(path)
    await surfer.send(email=email or await somebody(gateway), password=PASSWORD)
    return surfer


def code_of(shown: ShownPage) -> str:
    """The code that an authenticator app makes now of the secret that a page shows."""
    secret = next(word for word in shown.links if word.startswith("otpauth:"))
    key = parse_qs(urlsplit(secret).query)["secret"][0]
    return code_at(b32decode(key + "=" * (-len(key) % 8)), now_micros() // STEP_US)


@pytest.fixture(scope="module")
def browser(served: ServedGateway) -> Iterator[Browser]:
    """Chromium. It holds the thread's event loop: what needs one, as making books does, comes before it."""
    with chromium() as found:
        yield found


@pytest.fixture
def surfer(gateway: Gateway) -> Surfer:
    """Somebody who was never here."""
    return Surfer(gateway)
