"""The reader of the warehouse, against a served one."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from connectors.warehouse import (
    Pointed,
    QueryFailed,
    QueryRefused,
    Table,
    WarehouseAway,
    WarehouseReader,
    pointed,
    token,
)
from flows.analytics.query_log import Asked, without_literals
from schemas.settings import Settings
from schemas.times import now
from sluice.console.shapes import as_json
from tests.flows.analytics.conftest import served_copy, served_warehouse


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with served_warehouse(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(scope="module")
def reader(settings: Settings) -> WarehouseReader:
    return WarehouseReader(settings, "dashboard")


def test_an_answer_has_columns_and_rows(reader: WarehouseReader) -> None:
    table = reader.query("SELECT 1 AS one, 'it''s' AS text UNION ALL SELECT 2, NULL ORDER BY one")
    assert table.columns == ["one", "text"]
    assert table.rows == [(1, "it's"), (2, None)]


def test_times_are_utc_and_know_it(reader: WarehouseReader) -> None:
    query = (
        'SELECT now() AS "the ""now", now()::TIMESTAMP AS plain, TIMESTAMPTZ \'2026-01-01 01:00:00+01\' AS zoned'
    )
    table = reader.query(query)
    assert table.columns == ['the "now', "plain", "zoned"]
    assert all(value.utcoffset() == timedelta(0) for value in table.rows[0])
    assert abs(table.rows[0][0] - now()) < timedelta(minutes=1)
    assert table.rows[0][2] == datetime(2026, 1, 1, tzinfo=UTC)


def test_times_inside_of_lists_are_utc_too_and_columns_may_share_a_name(reader: WarehouseReader) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    table = reader.query(
        "SELECT x, [x] AS x, {'at': x} AS x, map {x: 1} AS x, 1 AS x "
        "FROM (SELECT TIMESTAMPTZ '2026-01-01 01:00:00+01' AS x)"
    )
    assert table.columns == ["x", "x_1", "x_2", "x_3", "x_4"]
    assert table.rows == [(moment, [moment], {"at": moment}, {moment: 1}, 1)]


def test_a_struct_without_names_is_an_answer_too(reader: WarehouseReader) -> None:
    assert reader.query("SELECT row(1, [2])").rows == [((1, [2]),)]


@pytest.mark.parametrize("there", ["now() AT TIME ZONE 'Europe/Berlin'", "timezone('Europe/Berlin', now())"])
def test_a_time_of_somewhere_is_not_called_utc(reader: WarehouseReader, there: str) -> None:
    """Nor is one beside it that has a zone taken for one of there."""
    one, zoned, struct, pair, keyed, nothing = reader.query(
        "SELECT t, [n], {'t': t, 'n': [n]}, [n, n]::TIMESTAMPTZ[2], map {n: t}, NULL::TIMESTAMPTZ"
        f" FROM (SELECT {there} AS t, now() AS n)"
    ).rows[0]
    assert nothing is None
    assert zoned[0].utcoffset() == timedelta(0)
    here = zoned[0].astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    assert one == here
    assert as_json(Table(["t"], [(one,)])) == f'[{{"t":"{here.isoformat()}"}}]'
    assert (struct, pair, keyed) == ({"t": here, "n": zoned}, (zoned[0], zoned[0]), {zoned[0]: here})


def test_a_name_or_a_value_that_reads_like_a_zoned_type_is_left_alone(reader: WarehouseReader) -> None:
    zoned = "TIMESTAMP WITH TIME ZONE"
    answer = reader.query(
        f"SELECT 'b'::ENUM('{zoned}', 'b', 'it''s \"{zoned}'), {{'{zoned}': now(), 'a\"{zoned}\"': '{zoned}'}},"
        f" now(), '{zoned}'::ENUM('{zoned}') AS \"{zoned}\""
    )
    value, struct, moment, same = answer.rows[0]
    assert (value, same, answer.columns[3]) == ("b", zoned, zoned)
    assert struct == {zoned: moment, f'a"{zoned}"': zoned}
    assert moment.utcoffset() == timedelta(0)


def test_a_statement_runs_once_whatever_is_in_its_answer(tmp_path: Path) -> None:
    """Another process may ask as the same reader meanwhile: a second run would be refused after the first."""
    statements = ["SELECT 1", "SELECT now(), random()", "PIVOT (SELECT 1 AS a, now() AS b) ON a USING max(b)"]
    with served_copy(tmp_path) as served:
        reader = WarehouseReader(served, "sql")
        for statement in statements:
            reader.query(statement)
    asked = [msgspec.json.decode(line, type=Asked) for line in served.query_log().read_bytes().splitlines()]
    assert [each.statement for each in asked] == [without_literals(statement) for statement in statements]


def test_a_refusal_says_what_is_allowed(reader: WarehouseReader) -> None:
    with pytest.raises(QueryRefused, match="only one SELECT") as refused:
        reader.query("DROP VIEW payments")
    assert "\n" not in str(refused.value)


def test_a_statement_that_is_not_utf_8_is_refused_in_one_line(reader: WarehouseReader) -> None:
    with pytest.raises(QueryRefused, match="not UTF-8"):
        reader.query("SELECT '\udcff'")  # what Python makes of such a byte on the command line


@pytest.mark.parametrize("number", ["4111111111111111", "5555 5555 5555 4444"])
def test_a_statement_with_a_card_number_never_leaves(tmp_path: Path, number: str) -> None:
    with pytest.raises(QueryRefused, match="a card number"):  # nobody listens there: it was not sent
        WarehouseReader(Settings(data=tmp_path, sql="http://localhost:1"), "sql").query(f"SELECT '{number}'")


def test_a_mistake_is_said_in_one_line_without_the_token(reader: WarehouseReader, settings: Settings) -> None:
    with pytest.raises(QueryFailed, match="no_such_view") as failed:
        reader.query("SELECT *\nFROM no_such_view")
    assert "\n" not in str(failed.value)
    assert token(settings, "dashboard") not in str(failed.value)
    assert "quack_query" not in str(failed.value)


def test_a_result_is_bounded(settings: Settings) -> None:
    small = WarehouseReader(settings, "dashboard", rows_max=10)
    assert len(small.query("FROM range(10)").rows) == 10
    with pytest.raises(QueryRefused, match="more than 10 rows"):
        small.query("FROM range(11)")


def test_a_wrong_token_is_refused(reader: WarehouseReader, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "warehouse.reconcile.token").write_text("0" * 32)
    stranger = msgspec.structs.replace(settings, secrets_directory=tmp_path)
    with pytest.raises(QueryRefused, match="token"):
        WarehouseReader(stranger, "reconcile").query("SELECT 1")


def test_a_warehouse_that_is_away_is_said_so(settings: Settings) -> None:
    elsewhere = Settings(data=settings.data, port_offset=settings.port_offset + 2)
    with pytest.raises(WarehouseAway, match="does not answer"):
        WarehouseReader(elsewhere, "sql").query("SELECT 1")


def test_a_warehouse_on_another_machine_is_read(tmp_path: Path) -> None:
    with served_warehouse(tmp_path, host="0.0.0.0") as served:
        port = served.port("warehouse")  # 127.0.0.2 is no localhost to Quack
        there = Settings(data=tmp_path, warehouse=f"http://127.0.0.2:{port}")
        assert WarehouseReader(there, "dashboard").query("SELECT 1").rows == [(1,)]
        with_tls = Settings(data=tmp_path, warehouse=f"https://127.0.0.2:{port}")
        with pytest.raises(WarehouseAway):
            WarehouseReader(with_tls, "dashboard").query("SELECT 1")


def test_threads_share_a_reader(reader: WarehouseReader) -> None:
    answers: list[tuple[int, int]] = []

    def ask(number: int) -> None:
        for _ in range(10):
            answers.append((number, reader.query(f"SELECT {number}").rows[0][0]))

    threads = [threading.Thread(target=ask, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 60
    assert all(asked == said for asked, said in answers)


def test_a_mistake_in_what_is_kept_has_its_place_and_not_the_token(settings: Settings, tmp_path: Path) -> None:
    nobodys, own = WarehouseReader(settings, "dashboard", own_token=""), token(settings, "dashboard")
    with pytest.raises(QueryFailed) as failed:
        nobodys.keep("SELECT *\nFROM payments WHERE amout > 3", tmp_path / "kept.duckdb", own)
    assert failed.value.pointed == Pointed(2, "FROM payments WHERE amout > 3", 20)
    assert own not in str(failed.value) + str(failed.value.pointed)
    with pytest.raises(QueryRefused, match="none of a reader's"):
        nobodys.keep("SELECT 1", tmp_path / "nobodys.duckdb", "made up")
    assert nobodys.keep("SELECT 1::HUGEINT AS one", tmp_path / "kept.duckdb", own) == 1
    assert pointed("Binder Error: no place in it") is None
