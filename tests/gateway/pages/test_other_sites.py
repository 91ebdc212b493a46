"""What pages of other sites try in a person's browser, and where a form of ours may lead: all in Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.pages import render
from gateway.settings import SEED_PASSWORD
from tests.gateway.web.conftest import ServedGateway

pytestmark = pytest.mark.stack

ARRIVED = "<title>Arrived</title>"
NOTICE: dict[str, Any] = {"title": "One moment", "paragraphs": (), "link": "", "link_text": "Continue"}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@contextmanager
def site(pages: dict[str, tuple[int, dict[str, str], str]]) -> Iterator[int]:
    """A web server with these pages (status, headers, HTML) at any of this machine's names; its port."""

    class PageHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, text = pages.get(self.path, (404, {}, ""))
            self.send_response(status)
            for name, value in ({"Content-Type": "text/html"} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), PageHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def log_in(page: Page, url: str) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("E-mail address").fill("customer@example.com")
    page.get_by_label("Password").fill(SEED_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_title("You are logged in · Sluice")


def test_a_form_on_another_site_neither_logs_out_nor_in(page: Page, served: ServedGateway) -> None:
    url = served.url.replace("127.0.0.1", "localhost")
    logout = f'<form method=post action="{url}/logout"><button>Win a prize</button></form>'
    theirs = "<input name=email value=customer@example.com><input name=password value=sluice-demo-only>"
    login = f'<form method=post action="{url}/login">{theirs}<button>Win</button></form>'
    with site({"/out": (200, {}, logout), "/in": (200, {}, login)}) as port:
        page.goto(f"http://127.0.0.1:{port}/in")
        page.get_by_role("button").click()
        expect(page).to_have_title("Error: Please open the page again · Sluice")
        log_in(page, url)
        page.goto(f"http://127.0.0.1:{port}/out")
        page.get_by_role("button").click()
        expect(page).to_have_title("Error: Please open the page again · Sluice")
        page.goto(f"{url}/login")
        expect(page).to_have_title("You are logged in · Sluice")


def test_no_page_is_shown_in_the_frame_of_another_site(page: Page, served: ServedGateway) -> None:
    """Clickjacking: the person would press our button through their page."""
    frames = "".join(f'<iframe src="{served.url}{path}"></iframe>' for path in ("/login", "/logout", "/nowhere"))
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    with site({"/": (200, {}, f"{ARRIVED}{frames}")}) as port:
        page.goto(f"http://localhost:{port}/")
        assert [frame.locator("form").count() for frame in page.frames[1:]] == [0, 0, 0]
    assert sum("frame-ancestors" in message for message in refused) == 3


@pytest.mark.parametrize("way", ["redirect", "page"])
def test_a_form_leads_to_another_origin_by_a_page_and_never_by_a_redirect(page: Page, way: str) -> None:
    """Chromium applies `form-action` to redirects: a login that ended in one would end nowhere."""
    form = f'<form method=post action="/{way}"><button>Allow</button></form>'
    with site({"/app": (200, {}, ARRIVED)}) as app:
        leave = render.html("notice.html", "", NOTICE | {"goes_to": f"http://127.0.0.1:{app}/app"})
        pages = {
            "/": (200, render.HEADERS, form),
            "/redirect": (303, {"Location": f"http://127.0.0.1:{app}/app"}, ""),
            "/page": (303, {"Location": "/leave"}, ""),
            "/leave": (200, render.HEADERS, leave),
        }
        with site(pages) as port:
            page.goto(f"http://localhost:{port}/")
            with page.expect_console_message() if way == "redirect" else page.expect_navigation(url="**/app"):
                page.get_by_role("button").click()
            assert (page.title() == "Arrived") == (way == "page")
