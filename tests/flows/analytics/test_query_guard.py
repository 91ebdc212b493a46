"""What is over its limits ends, and everybody else goes on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from flows.analytics import query_guard
from flows.analytics.answers import Answers
from flows.analytics.asking import Asking
from flows.analytics.policy import RoleViews
from flows.analytics.query_guard import TOO_MUCH_MEMORY, QueryGuard
from flows.analytics.query_log import QueryLog
from flows.analytics.readers import Readers
from flows.analytics.settings import SqlSettings
from flows.analytics.turns import Turns
from flows.analytics.warehouse import Warehouse
from schemas.accounts import SqlReader
from tests.flows.analytics.conftest import own_ports
from tests.patience import until

ADA, BOB = SqlReader("t1", "ada", "all"), SqlReader("t2", "bob", "all")
LONG = "SELECT count(*) FROM range(90000) a, range(900000) b WHERE a.range + b.range = 0"  # an hour
LARGE = "SELECT repeat('x', 1000) || range AS x FROM range(90000)"  # 90 MB


class Asked:
    """Somebody asks, with a guard that ends statements after `statement_s`."""

    def __init__(self, data: Path, **limits: float) -> None:
        usual = {"statement_s": 60, "sql_process_mb": 10**6, "sql_per_minute": 10**6}
        settings = SqlSettings(data=data, **(usual | limits))
        self.con = duckdb.connect(config={"threads": 1})
        policy = RoleViews("memory")
        answers = Answers(self.con.cursor(), policy, settings.sql_answers_mb * 2**20)
        self.turns = Turns(settings.readers_file(), settings.refuse_s, settings.sql_per_minute)
        self.log = QueryLog(settings.query_log())
        self.asking = Asking(self.turns, answers, policy, self.log)
        self.guard = QueryGuard(self.turns, answers, settings, threading.RLock())

    def answer(self, reader: SqlReader, statement: str) -> list[object] | str:
        """The rows, or the error."""
        try:
            return self.con.cursor().execute(self.asking.answer(reader, statement)).fetchall()
        except duckdb.Error as error:
            return str(error)

    def close(self) -> None:
        self.guard.close()
        self.log.close()
        self.con.close()


@pytest.fixture
def asked(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    monkeypatch.setattr(query_guard, "HEEDS_WITHIN_S", 60)  # what does not heed ends this process
    one = Asked(tmp_path, **getattr(request, "param", {}))
    yield one
    one.close()


@pytest.mark.parametrize("asked", [{"statement_s": 0.3}], indirect=True)
def test_a_statement_that_takes_too_long_ends_alone(asked: Asked) -> None:
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(asked.answer, ADA, LONG)
        until(asked.turns.running)
        while not long.done():
            assert asked.answer(BOB, "SELECT 1") == [(1,)]
    assert "refused: the statement took longer than 0.3 s" in str(long.result())
    assert asked.answer(ADA, "SELECT 2") == [(2,)]  # it is not set aside


@pytest.mark.parametrize("asked", [{"sql_answers_mb": 16}], indirect=True)
def test_an_answer_of_too_many_bytes_is_none(asked: Asked) -> None:
    """It is ended while it is made, or thrown away after; nothing of it stays."""
    assert "refused: the " in str(asked.answer(ADA, LARGE))
    assert asked.con.execute("FROM duckdb_tables() WHERE database_name = 'answers'").fetchall() == []


def test_an_answer_of_too_many_rows_is_none(asked: Asked) -> None:
    assert "refused: more than 100000 rows" in str(asked.answer(ADA, "FROM range(1000000000000)"))
    assert len(asked.answer(ADA, "FROM range(100000)")) == 100_000


@pytest.mark.parametrize("asked", [{"sql_process_mb": 10**6}], indirect=True)
def test_where_memory_is_short_the_newest_statement_ends(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(2) as threads:
        old = threads.submit(asked.answer, ADA, LONG)
        until(lambda: len(asked.turns.running()) == 1)
        new = threads.submit(asked.answer, BOB, LONG)
        until(lambda: len(asked.turns.running()) == 2)
        monkeypatch.setattr(query_guard, "resident_mb", lambda: 0.45 * 10**6 * len(asked.turns.running()))
        assert TOO_MUCH_MEMORY in str(new.result(10))
        assert not old.done()
        assert asked.guard.free_memory()  # as where DuckDB has no memory left for a commit
        assert TOO_MUCH_MEMORY in str(old.result(10))


def test_a_commit_that_readers_left_no_memory_for_is_tried_once_more(tmp_path: Path) -> None:
    settings = SqlSettings(data=tmp_path, port_offset=own_ports())
    copy = Warehouse(settings.file(), print)
    copy.serve_guarded(f"quack:localhost:{settings.port('sql')}", Readers({}), settings)
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        if len(tries) % 2:
            raise duckdb.OutOfMemoryException("no memory")

    with pytest.raises(duckdb.OutOfMemoryException):
        copy._commit(work)  # nobody asks: it is nobody's fault
    tries.clear()
    with ThreadPoolExecutor(1) as threads:
        turn = copy._guard._turns.taken("ada", "SELECT 1")
        running = turn.__enter__()
        commit = threads.submit(copy._commit, work)
        until(lambda: running.ended)
        turn.__exit__(None, None, None)
        commit.result(5)
    assert len(tries) == 2
    copy.close()


def test_it_goes_on_where_duckdb_cannot_say_what_answers_take(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    failed: list[int] = []

    def fails(self: Answers) -> bool:
        failed.append(1)
        raise duckdb.IOException("no space left on device")

    monkeypatch.setattr(Answers, "are_large", fails)
    with asked.turns.taken("ada", "SELECT 1"):
        until(lambda: len(failed) > 3)
    assert asked.guard._thread.is_alive()


def test_no_error_of_any_kind_leaves_a_statement_without_its_line_in_the_log(asked: Asked, tmp_path: Path) -> None:
    """DuckDB takes the file for a table, and tells why not in a text that is not UTF-8: that is a `ValueError`."""
    asked.con.execute(f"ATTACH '{tmp_path}/ours.duckdb' AS ours")
    assert "decode" in str(asked.answer(ADA, f"FROM '{tmp_path}/ours.duckdb'"))
    asked.log.close()
    [log] = tmp_path.rglob("queries.jsonl")
    assert b'"failed"' in log.read_bytes()
