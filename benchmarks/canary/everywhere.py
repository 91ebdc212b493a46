"""Every place of a running stack that is looked at."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import duckdb
import msgspec

from benchmarks.browser import chromium, log_in
from benchmarks.canary import looks
from benchmarks.canary.canaries import Suspect
from benchmarks.canary.looks import Piece, Query
from connectors.warehouse import QueryRefused, Table, WarehouseReader
from gateway.settings import SEED_PASSWORD
from sluice.settings import StackSettings

CATCHER = ("catcher",)  # where persons may stand: it has the mails that were sent to them
MAY_HOLD_NUMBERS = ("vault", "gateway", "sandbox")  # in memory; the sandbox is the processors, beyond the wire

PATIENCE_S = 60.0

Look = Callable[[], Iterable[Piece]]


class LookFigures(msgspec.Struct, frozen=True):
    """What a look found: how much it saw, and `hits` by place."""

    pieces: int
    bytes: int
    hits: dict[str, str]


class Everywhere:
    """The places of a stack; `pids` are those of its processes by name, the supervisor too."""

    def __init__(self, settings: StackSettings, pids: Callable[[], dict[str, int]]) -> None:
        self._settings = settings
        self._data = settings.data
        self._pids = pids

    def places(self) -> dict[str, Look]:
        """The looks by what they look at, but for live memory."""
        return {
            "files": lambda: looks.files(self._data),
            "rows of SQLite": lambda: looks.sqlite_files(self._data),
            "batches of Kafka": lambda: looks.kafka_segments(self._data),
            "topics": lambda: looks.records(self._settings.bootstrap()),
            "SQL": lambda: looks.warehouse(_patient(WarehouseReader(self._settings, "sql").query)),
            "the warehouse": self._warehouse_file,
            "open files": self._open_files,
            "pages": lambda: looks.named_texts(self.said()),
        }

    def said(self) -> dict[str, str]:
        """What the stack shows to those who watch it."""
        return {
            "metrics": _get(f"{self._settings.url('gateway')}/metrics"),
            "catcher": _get(f"{self._settings.url('catcher')}/messages"),
            "openapi": _get(f"{self._settings.url('gateway')}/openapi.json"),
            "dashboard": dashboard_text(self._settings.url("dashboard"), SEED_PASSWORD),
        }

    def memory(self, only: Collection[str] = ()) -> Iterator[Piece]:
        """Live memory of every process that no number may be in, or of `only` these."""
        for name, pid in self._pids().items():
            if name in only or (not only and name not in MAY_HOLD_NUMBERS):
                for place, content in looks.memory(pid):
                    yield f"{name}: {place}", content

    def _open_files(self) -> Iterator[Piece]:
        for name, pid in self._pids().items():
            for place, content in looks.open_files(pid, self._data):
                yield f"{name}: {place}", content

    def _warehouse_file(self) -> Iterator[Piece]:
        """Both copies of the warehouse, each from a copy of its files: their flows alone may open them.

        Neither writes while they are copied: what is in a file and in its log would not belong together.
        """
        writers = [pid for name, pid in self._pids().items() if name in ("analytics", "sql")]
        for file in self._data.rglob("*.duckdb"):
            with tempfile.TemporaryDirectory() as folder:
                with frozen(writers):
                    for part in file.parent.glob(f"{file.name}*"):
                        shutil.copy(part, folder)
                with duckdb.connect(str(Path(folder) / file.name)) as copy:
                    for place, content in looks.warehouse(looks.asked_of(copy)):
                        yield f"{file.name} {place}", content


@contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """These processes do nothing meanwhile."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def dashboard_text(url: str, password: str) -> str:
    """What the dashboards show to a browser of an analyst: the overview, and the reviews."""
    with chromium() as browser:
        page = browser.new_page()
        log_in(page, url, "analyst@example.com", password)
        page.get_by_text("pay_").first.wait_for(timeout=60_000)
        overview = page.inner_text("body") + page.content()
        page.get_by_role("link", name="Reviews").click()
        page.get_by_role("heading", name="Queue").wait_for(timeout=60_000)
        return overview + page.inner_text("body") + page.content()


def searched(look: Look, suspect: Suspect, allowed: tuple[str, ...] = ()) -> LookFigures:
    """Look everywhere, but pass over places whose name begins with one of `allowed`."""
    pieces, size, hits = 0, 0, dict[str, str]()
    for place, content in look():
        pieces, size = pieces + 1, size + len(content)
        if not place.startswith(allowed) and (wrong := suspect(content)):
            hits[place] = wrong
    return LookFigures(pieces, size, hits)


def _patient(query: Query) -> Query:
    """Asks again for a while where the answers of others take all memory there is for them."""
    until = time.monotonic() + PATIENCE_S

    def asked(sql: str) -> Table:
        while True:
            try:
                return query(sql)
            except QueryRefused as refused:
                if "at the moment" not in str(refused) or time.monotonic() > until:
                    raise
            time.sleep(1)

    return asked


def _get(url: str) -> str:
    with urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())
