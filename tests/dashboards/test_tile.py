"""What every tile of every page keeps to, and the rows that are taken from one."""

import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest

from connectors.warehouse import Table, WarehouseReader
from dashboards import navigation, one_payment, page
from dashboards.look import SAMPLED_US, Look
from dashboards.page import of_period, points
from dashboards.tile import SAMPLE, Tile, as_csv
from dashboards.tiles.judging import LATENCY
from dashboards.views import overview
from tests.dashboards.conftest import Shop, serving_shop
from tests.dashboards.sellers import asked_by


def tiles() -> list[Tile]:
    """Of all pages: what their files, and those they are made of, call a tile; each once."""
    navigation.modules()
    ours = [module for name, module in [*sys.modules.items()] if name.startswith("dashboards.")]
    values = chain.from_iterable([*vars(module).values()] for module in ours)
    return [*{id(value): value for value in values if isinstance(value, Tile)}.values()]


TILES = tiles()


def test_each_tile_has_a_name_of_its_own() -> None:
    names = [tile.name for tile in TILES]
    assert names
    assert len({*names}) == len(names)


@pytest.mark.parametrize("payments", [0, 99_999, 100_000, 199_999, 200_000, 10_000_000])
def test_a_sample_has_so_many_payments_at_most(payments: int) -> None:
    mask = re.search(r"& (\d+) = 0", LATENCY.statement(Look("30d"), payments=payments))
    one_in = int(mask[1]) // SAMPLED_US + 1 if mask else 1
    assert payments / one_in <= SAMPLE
    assert one_in == 1 or payments / one_in >= SAMPLE / 2


@pytest.fixture(scope="module")
def of_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with serving_shop(tmp_path_factory.mktemp("nothing")) as shop:
        yield shop


@pytest.fixture(scope="module")
def read_by_staff(of_nothing: Shop) -> WarehouseReader:
    return of_nothing.reader()


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_the_warehouse_answers_it_whatever_is_looked_at(tile: Tile, read_by_staff: WarehouseReader) -> None:
    for look in (Look("15m"), Look("90d")):
        read_by_staff.query(tile.statement(look))
        if volume := tile.volume(look):
            read_by_staff.query(volume)
            read_by_staff.query(tile.statement(look, payments=10_000_000))


@pytest.mark.parametrize("tile", [tile for tile in TILES if tile.for_merchants], ids=lambda tile: tile.name)
def test_the_warehouse_answers_it_to_a_merchant_by_what_a_merchant_sees(tile: Tile, of_nothing: Shop) -> None:
    for look in (Look("15m"), Look("90d")):
        asked_by(of_nothing, "acc_shop", tile.statement(look))


def test_a_merchants_pages_have_no_other_tiles() -> None:
    """Those of Money are drawn in `test_merchants_people.py`, where one that is for staff would have no answer."""
    of_overview = [each for row in overview.OWN_ROWS for each, _ in row]
    assert all(tile.for_merchants for tile in [*of_overview, *one_payment.OWN_TILES])


def test_a_chart_spans_the_period_whatever_happened_in_it() -> None:
    look = Look(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 8, tzinfo=UTC))
    ends = {"min": look.since, "max": look.until}
    drawn = [{"data": points(look, [datetime(2026, 11, 3, tzinfo=UTC)], [1.0])}]
    assert of_period(look, drawn) == {name: at and at.timestamp() * 1000 for name, at in ends.items()}
    early = [{"data": points(look, [datetime(2026, 10, 31, 23, tzinfo=UTC)], [1.0])}]  # a step begins before it
    assert of_period(look, early)["min"] == early[0]["data"][0][0]


def rows_of_the_page() -> list[list[str]]:
    """The cells of the table that says what each page answers, below its heading."""
    lines = (Path(__file__).parents[2] / "docs" / "dashboards.md").read_text().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_the_page_of_questions_has_a_row_of_it(tile: Tile) -> None:
    assert any(tile.title in titles.split(", ") for _, titles, *_ in rows_of_the_page())


def test_each_page_has_a_row_and_each_row_tests_that_exist() -> None:
    rows = rows_of_the_page()
    pages = {name.split(" of ")[0].split(", ")[0] for name, *_ in rows} | {"Card", "Merchant"}
    assert {entry.title for entry in navigation.ENTRIES} <= pages
    of_tests = "\n".join(file.read_text() for file in Path(__file__).parents[1].rglob("test_*.py"))
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row[-1])}
    assert {name for name in named if f"def {name}(" not in of_tests} == set()
    assert all(tests for *_, tests in rows)


def test_a_hue_is_defined_once_and_the_style_has_the_same() -> None:
    folder = Path(page.__file__).parent
    files = [path for path in folder.rglob("*.py") if path.name != "page.py"]
    assert [path.name for path in files if re.search(r"#[0-9a-f]{6}\b", path.read_text())] == []
    style = (folder / "style.css").read_text()
    found = dict(re.findall(r"--(blue|amber|red|violet|grey): (?:light-dark\()?(#[0-9a-f]{6})", style))
    assert found == {name: page.HUES[name] for name in found}
    assert len(found) == 5


def test_rows_are_taken_as_csv_without_formulas() -> None:
    table = Table(["id", "amount"], [("=1+1", -5), ('a "b", c', None)])
    assert as_csv(table).decode().splitlines() == ["id,amount", "'=1+1,-5", '"a ""b"", c",']
    # In the page SQL, a statement that somebody sent names them.
    named = Table(["=HYPERLINK(1)", "n"], [("\n=1", 1)])
    assert as_csv(named).decode().splitlines() == ["'=HYPERLINK(1),n", "\"'", '=1",1']


def test_a_local_time_is_drawn_as_it_is_written_whatever_the_servers_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        at = datetime(2026, 11, 27, tzinfo=UTC)
        ((naive, _), (aware, _)) = points(Look(), [at.replace(tzinfo=None), at], [1, 1])
    finally:
        monkeypatch.undo()
        time.tzset()
    assert naive == aware
