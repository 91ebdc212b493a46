"""The states of the overview, by Streamlit's own test runner."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from connectors.warehouse import Table, WarehouseAway, WarehouseReader
from dashboards import cached_queries, door
from dashboards.tile import AS_OF_NOW
from schemas.times import now
from tests.dashboards.gateway_double import GatewayDouble
from tests.patience import until

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def page(tmp_path: Path, gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    def run(port_offset: int, patience_s: float = 60, **query: str) -> AppTest:
        monkeypatch.setattr(cached_queries, "PATIENCE_S", patience_s)
        monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
        monkeypatch.setenv("SLUICE_PORT_OFFSET", str(port_offset))
        monkeypatch.setenv("SLUICE_GATEWAY", gateway.url)
        monkeypatch.setattr(door, "_browser", lambda: "one")  # the runner has no cookies
        app = AppTest.from_file(str(APP), default_timeout=120)
        app.user = {"is_logged_in": True, "tokens": {"access": "analyst"}}
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return run


def words(page: AppTest) -> str:
    assert not page.exception
    return " ".join(element.proto.body for element in page.get("html"))


def figures(page: AppTest) -> dict[str, str]:
    """The big figures by their labels, and the rate of now."""
    found = re.findall(r"<dt>([^<]+?)(?: <small>[^<]*</small>)?</dt>\s*<dd><b[^>]*>([^<]+)</b>", words(page))
    found += [
        ("now", rate) for rate in re.findall(r'<p class="lead rate"><b class="num">([^<]+)</b>', words(page))
    ]
    return dict(found)


def sell_steadily(shop: Any) -> None:
    """Four payments in each second up to a minute from now: whenever the page is drawn, its rate is four."""
    shop.sell(720, timedelta(minutes=3), until=now() + timedelta(minutes=1))


def test_before_the_warehouse_is_up_the_page_waits(page: Any, free_ports: Any) -> None:
    (port,) = free_ports(1)
    shown = page(port - 9495)
    assert "Waiting for the warehouse" in words(shown)
    assert figures(shown) == {}


def test_without_payments_the_page_says_how_to_make_one(page: Any, shop: Any) -> None:
    shown = page(shop.settings.port_offset)
    assert "No payments yet" in words(shown)
    assert "make demo" in words(shown)


def test_with_payments_every_tile_is_there(page: Any, shop: Any) -> None:
    sell_steadily(shop)
    shown = page(shop.settings.port_offset)
    text = words(shown)
    titles = ("In this period", "Verdict wait", "Throughput", "Needs a person", "Captured", "Processors")
    assert all(f"<h2>{title}</h2>" in text for title in (*titles, "Latest payments", "Pipeline"))
    labels = {"Payments", "Approval rate", "Held or blocked", "Refunds", "99th percentile", "Data age"}
    assert set(figures(shown)) == labels | {"now"}
    assert float(figures(shown)["now"]) == 4
    assert "live" in text


def test_a_moment_in_the_past_is_shown_as_far_as_it_is_known(page: Any, shop: Any) -> None:
    sell_steadily(shop)
    at = (now() - timedelta(hours=1)).isoformat(timespec="minutes")
    text = words(page(shop.settings.port_offset, at=at))
    assert "as it stood" in text
    assert text.count(AS_OF_NOW) == 4  # the pipeline twice, processors, and what needs a person


def test_one_payment_is_enough(page: Any, shop: Any) -> None:
    shop.take(shop.payment(now(), risk=None, processor=None, state="processing", status="pending"))
    shown = page(shop.settings.port_offset)
    assert figures(shown)["Approval rate"] == "–"
    assert "In work" in words(shown)


def test_an_answer_is_shared_for_a_second(page: Any, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    query = WarehouseReader.query
    monkeypatch.setattr(WarehouseReader, "query", lambda self, sql, _: asked.append(sql) or query(self, sql))
    page(shop.settings.port_offset)
    asked.clear()
    for _ in range(20):
        cached_queries.ask_as_staff("SELECT 1")
    assert len(asked) < 20


def test_when_the_warehouse_goes_away_the_last_figures_stay_and_say_so(
    page: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell_steadily(shop)
    before = figures(page(shop.settings.port_offset))

    def away(_self: WarehouseReader, _sql: str, _token: str | None) -> Any:
        raise WarehouseAway("gone")

    monkeypatch.setattr(WarehouseReader, "query", away)
    st.cache_data.clear()
    shown = page(shop.settings.port_offset)
    assert "The warehouse does not answer." in words(shown)
    assert "not fresh" in words(shown)
    assert figures(shown)["Payments"] == before["Payments"]
    assert figures(shown)["now"] == before["now"]


def test_what_strangers_write_is_shown_and_not_obeyed(page: Any, shop: Any) -> None:
    shop.take(shop.payment(now(), currency="<b>EUR", id="<script>alert(1)</script>"))
    text = words(page(shop.settings.port_offset))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;EUR" in text


def test_a_warehouse_that_hangs_does_not_hang_the_page(page: Any, free_ports: Any) -> None:
    (port,) = free_ports(1)
    with socket.create_server(("localhost", port)):  # takes connections, and never says a word
        assert "The warehouse does not answer." in words(page(port - 9495, patience_s=0.1))


def test_one_slow_question_is_away_alone_and_many_are_the_warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_queries, "PATIENCE_S", 0.05)
    over, reader_asked = threading.Event(), list[str]()

    class Slow:
        def query(self, sql: str, own_token: str | None = None) -> Table:
            reader_asked.append(sql)
            if sql.startswith("slow"):
                over.wait(60)
            return Table([sql], [])

    reader = cached_queries.PatientReader(Slow())
    try:
        for _ in range(2):
            with pytest.raises(WarehouseAway):
                reader.query("slow 1")
        assert reader.query("fast").columns == ["fast"]
        assert reader_asked == ["slow 1", "fast"], "what is overdue is not asked twice"
        monkeypatch.setattr(cached_queries, "BESIDE_S", 0.05)
        for number in range(2, 10):
            with pytest.raises(WarehouseAway):
                reader.query(f"slow {number}")
        assert len(reader_asked) == 1 + cached_queries.OVERDUE_MAX
        with pytest.raises(WarehouseAway):
            reader.query("fast")
    finally:
        over.set()
    until(lambda: not any(not asked.done() for asked in reader._overdue.values()))
    assert reader.query("fast").columns == ["fast"]


def test_the_longest_unasked_question_is_forgotten() -> None:
    memory, table = cached_queries.LastAnswers(), Table([], [])
    for number in range(cached_queries.KEPT):
        memory.keep(str(number), table)
    memory.keep("0", table)
    memory.keep("one more", table)
    assert memory.recall("0", "away").table is table
    assert memory.recall("1", "away").table is None
