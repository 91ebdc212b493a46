"""Every page in every state, in a real browser: accessible, in both schemes, and no wider than a phone."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from gateway.pages import render
from tests.gateway.pages.gallery import STATES

pytestmark = pytest.mark.stack

FOLDER = Path(render.__file__).parent
DASHBOARDS = FOLDER.parents[1] / "dashboards"
MEDIA = {".css": "text/css", ".svg": "image/svg+xml"}
AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
NARROW = 320  # CSS pixels: WCAG 2.2, 1.4.10; phones have 360 at least
COLOUR = re.compile(r"--([\w-]+): (#[0-9a-f]+)")
PAIR = re.compile(r"--([\w-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)")


def answer(route: Route) -> None:
    """What the gateway would send: a state by its name, or a file of the pages."""
    path = route.request.url.partition("//localhost/")[2]
    if path.startswith("pages/"):
        file = FOLDER / path.removeprefix("pages/")
        route.fulfill(body=file.read_bytes(), content_type=MEDIA[file.suffix])
        return
    template, fields = STATES[path]
    route.fulfill(body=render.html(template, "token", fields), headers=render.HEADERS)


def opened(browser: Browser, **options: Any) -> Page:
    page = browser.new_context(viewport={"width": NARROW, "height": 640}, **options).new_page()
    page.route("**/*", answer)
    return page


def flaws(page: Page, name: str) -> list[str]:
    """What axe finds on a page, in the dark of its colours, and what else no page may have."""
    page.emulate_media(color_scheme="light")
    page.goto(f"http://localhost/{name}")
    alerts, width = page.locator("[role=alert]").count(), page.evaluate("document.documentElement.scrollWidth")
    page.evaluate(AXE)
    found = [one["id"] for one in page.evaluate("axe.run()")["violations"]]
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("axe.run(document, {runOnly: ['color-contrast']})")
    found += [f"{one['id']} (dark)" for one in dark["violations"]]
    found += ["wider than a phone"] if width > NARROW else []
    found += ["title"] if page.title().startswith("Error: ") != bool(alerts) else []
    return found + (["autofocus"] if page.locator("[autofocus]").count() > 1 else [])


def test_every_page_is_accessible_in_both_schemes_and_fits_a_phone(browser: Browser) -> None:
    page = opened(browser, bypass_csp=True)
    found = {name: wrong for name in STATES if (wrong := flaws(page, name))}
    page.context.close()
    assert found == {}


def test_flaws_are_found(browser: Browser) -> None:
    page = opened(browser, bypass_csp=True)
    colours = "color: light-dark(#ccc, #444); background: light-dark(#fff, #222)"
    pale = f"<p style='width: 400px; {colours}'>Hardly legible</p>"
    flawed = f"<meta name=color-scheme content='light dark'>{pale}<input autofocus><b autofocus role=alert>No</b>"
    page.route("**/flawed", lambda route: route.fulfill(body=flawed, content_type="text/html"))
    found = flaws(page, "flawed")
    page.context.close()
    of_axe = {"label", "html-has-lang", "color-contrast", "color-contrast (dark)"}
    assert of_axe | {"wider than a phone", "title", "autofocus"} <= set(found)


def test_the_policy_lets_in_all_that_a_page_has(browser: Browser) -> None:
    page = opened(browser, color_scheme="dark")
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto("http://localhost/factor-setup")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark, refused) == ("rgb(16, 23, 30)", [])
    page.context.close()


def test_every_template_has_its_states() -> None:
    templates = {path.name for path in (FOLDER / "templates").iterdir()} - {"base.html", "form.html"}
    assert {template for template, _ in STATES.values()} == templates


def test_the_colours_and_the_icon_are_those_of_the_dashboards() -> None:
    light, dark = (dict(COLOUR.findall(part)) for part in (FOLDER / "style.css").read_text().split("@media", 1))
    theirs = {
        name: (day, night) for name, day, night in PAIR.findall(DASHBOARDS.joinpath("style.css").read_text())
    }
    ours = {name: (_long(light[name]), _long(dark[name])) for name in light.keys() & theirs.keys()}
    assert len(ours) > 8
    assert ours == {name: (_long(day), _long(night)) for name, (day, night) in theirs.items() if name in ours}
    assert (FOLDER / "icon.svg").read_bytes() == DASHBOARDS.joinpath("icon.svg").read_bytes()


def _long(colour: str) -> str:
    """`#fff` as `#ffffff`."""
    return "#" + "".join(2 * sign for sign in colour[1:]) if len(colour) == 4 else colour
