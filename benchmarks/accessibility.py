"""`python -m benchmarks.accessibility`: axe-core over every page of the dashboards, in both themes; prints JSON.

In a stack of its own, or at `--dashboards URL` of a running one. Ends with 1 where axe finds something serious or
critical; what else it finds is counted by its rule and selector.
`--shots DIR`: a picture of each page besides, at the `--width` that was asked for.
"""

from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import click
import msgspec
from playwright.sync_api import Browser, Page, expect

from benchmarks import stack
from benchmarks.browser import PATIENCE_MS, chromium, log_in
from sluice.settings import ReplaySettings

Theme = Literal["light", "dark"]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
THEMES: tuple[Theme, ...] = ("light", "dark")
GRAVE = frozenset({"serious", "critical"})
# The pages of the bar and of its menus.
PAGES = (
    "",
    "payments",
    "reviews",
    "fraud",
    "rules",
    "lists",
    "features",
    "processors",
    "money",
    "notifications",
    "pipeline",
    "sql",
    "people",
    "merchants",
    "clients",
    "audit",
    "sessions",
)


class Visit(msgspec.Struct, frozen=True):
    """Where to look, and how: `width` of the window in pixels; where there are `shots`, a picture of each page."""

    dashboards: str
    password: str
    width: int = 1440
    shots: Path | None = None


class Flaw(msgspec.Struct, frozen=True):
    """One node that axe-core finds fault with: on which page, in which theme, by which rule, and its selector."""

    page: str
    theme: Theme
    rule: str
    impact: str
    selector: str
    html: str

    @property
    def is_grave(self) -> bool:
        """Whether somebody cannot use what it is about, or only with trouble."""
        return self.impact in GRAVE


def all_flaws(visit: Visit, browser: Browser) -> list[Flaw]:
    """What axe finds on any page, in either theme, as an administrator sees them."""
    found: list[Flaw] = []
    for theme in THEMES:
        page = browser.new_page(viewport={"width": visit.width, "height": 1000}, color_scheme=theme)
        log_in(page, visit.dashboards, "admin@example.com", visit.password)
        expect(page.locator(".st-key-bar")).to_be_visible(timeout=PATIENCE_MS)
        for path in PAGES:
            page.goto(f"{visit.dashboards}/{path}")
            settle(page)
            if visit.shots:
                page.screenshot(
                    path=visit.shots / f"{path or 'overview'}-{theme}-{visit.width}.png", full_page=True
                )
            found += flaws_of(page, path or "overview", theme)
        page.context.close()
    return found


def settle(page: Page) -> None:
    """Wait until a page is drawn: its heading is there, and nothing runs any more."""
    expect(page.locator("h1").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("[data-testid=stSkeleton]")).to_have_count(0, timeout=PATIENCE_MS)
    page.wait_for_timeout(600)


def flaws_of(page: Page, path: str, theme: Theme) -> Iterator[Flaw]:
    """Those of a page as it is shown now."""
    page.evaluate(AXE)
    result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    for violation in result["violations"]:
        for node in violation["nodes"]:
            selector = " ".join(map(str, node["target"]))
            yield Flaw(path, theme, violation["id"], violation["impact"], selector, node["html"][:200])


@click.command()
@click.option("--dashboards", help="Of a running stack, with the accounts of the seed; without it one is started.")
@click.option("--shots", type=click.Path(path_type=Path), help="Where a picture of each page goes.")
@click.option("--width", default=1440, help="Of the browser's window, in pixels.")
def main(dashboards: str | None, shots: Path | None, width: int) -> None:
    """Look at every page; ends with 1 where something is grave."""
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    visit = Visit(dashboards or "", ReplaySettings().seed_password, width, shots)
    with chromium() as browser:
        if dashboards:
            flaws = all_flaws(visit, browser)
        else:
            with stack.running() as on:
                on.await_ready()
                there = msgspec.structs.replace(visit, dashboards=on.settings.url("dashboard"))
                flaws = all_flaws(there, browser)
    grave = [flaw for flaw in flaws if flaw.is_grave]
    others = Counter(f"{flaw.impact}: {flaw.rule} {flaw.selector}" for flaw in flaws if not flaw.is_grave)
    click.echo(msgspec.json.format(msgspec.json.encode({"grave": grave, "others": others})).decode())
    raise SystemExit(bool(grave))


if __name__ == "__main__":
    main()
