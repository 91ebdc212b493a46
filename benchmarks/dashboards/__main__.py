"""`python -m benchmarks.dashboards`: the dashboards of a stack with ten million payments, as a person finds them.

Fills a data directory first, which takes a while; with `--data` it is kept, and the next run goes on with it. Then
it starts the stack on it and prints one JSON document. `--part` measures one thing alone. What is measured is told
on standard error as well, part by part: a run that is ended has its first figures.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import click
import msgspec
from playwright.sync_api import BrowserContext

from benchmarks import stack
from benchmarks.browser import PATIENCE_MS, chromium, log_in
from benchmarks.dashboards import filling, pages, tiles, viewers
from benchmarks.dashboards.meter import CpuClock, load
from connectors.loop_thread import LoopThread
from connectors.warehouse import WarehouseReader

Part = Literal["fill", "tiles", "pages", "searches", "viewers", "payments"]

WHO = "analyst@example.com"


@click.command()
@click.option("--payments", default=10_000_000, help="In the warehouse.")
@click.option("--in-books", default=1_000_000, help="How many of them, the newest, are in the books too.")
@click.option("--data", type=click.Path(path_type=Path), help="Keep the data directory here.")
@click.option("--part", type=click.Choice(get_args(Part)), multiple=True, help="All of them without.")
@click.option("--minutes", default=15.0, help="How long it may fill; then it ends with 2, to be called again.")
@click.option("--seconds", default=20.0, help="How long viewers look on, and how long is paid beside them.")
@click.option("--per-second", default=200.0, help="Payments beside viewers.")
@click.option("--times", default=tiles.TIMES, help="How often each statement is asked.")
def main(
    payments: int,
    in_books: int,
    data: Path | None,
    part: tuple[Part, ...],
    minutes: float,
    seconds: float,
    per_second: float,
    times: int,
) -> None:
    """Measure the dashboards on this machine."""
    parts = {*(part or get_args(Part))}
    with _folder(data) as folder:
        if not filling.fill(folder, payments, in_books, time.monotonic() + minutes * 60):
            click.echo("not all payments are there yet: call it again", err=True)
            sys.exit(2)
        figures: dict[str, Any] = {"payments": payments, "in_books": in_books, "load_before": load()}
        if parts - {"fill"}:
            figures |= _measure(folder, parts, seconds, per_second, times)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data:
        yield data
    else:
        with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
            yield Path(folder)


def _measure(folder: Path, parts: set[Part], seconds: float, per_second: float, times: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with stack.running(data=folder) as running:
        running.await_ready()
        reader = WarehouseReader(running.settings, "dashboard")
        ids = tiles.some_ids(reader)
        if "tiles" in parts:
            figures["tiles"] = tiles.measure(reader, CpuClock(running.pids()["analytics"]), times)
            figures["load_after_tiles"] = load()
            _tell(figures)
        if parts & {"pages", "searches", "viewers", "payments"}:
            figures |= _as_a_person(running, parts, ids, seconds, per_second)
    return figures


def _as_a_person(
    running: stack.Stack, parts: set[Part], ids: dict[str, str], seconds: float, per_second: float
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    dashboards = running.settings.url("dashboard")
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        log_in(page, dashboards, WHO, running.replay.seed_password)
        page.get_by_text("Data age").wait_for(timeout=PATIENCE_MS)
        page.close()
        if "pages" in parts:
            figures["pages"] = pages.measure(context, dashboards, pages.addresses(ids))
            figures["load_after_pages"] = load()
            _tell(figures)
        if "searches" in parts:
            some = filling.some_payment(running.settings.data / "books.sqlite3")
            figures["searches"] = pages.measure(context, dashboards, pages.searches(some))
            figures["load_after_searches"] = load()
            _tell(figures)
        cookies = _cookies(context)
    calls = LoopThread()
    if "viewers" in parts:
        figures["viewers"] = calls.run(viewers.measure_cores(running, cookies, seconds))
        _tell(figures)
    if "payments" in parts:
        figures["payments_beside"] = calls.run(viewers.measure_payments(running, cookies, seconds, per_second))
    return figures


def _tell(figures: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(figures), err=True)


def _cookies(context: BrowserContext) -> dict[str, str]:
    return {str(cookie["name"]): str(cookie["value"]) for cookie in context.cookies()}


if __name__ == "__main__":
    main()
