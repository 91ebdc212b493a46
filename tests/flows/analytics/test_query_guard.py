"""The guard of the readers' statements goes on whatever DuckDB says, as on a full disk."""

import threading
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from flows.analytics import query_guard
from flows.analytics.query_guard import QueryGuard
from flows.analytics.settings import SqlSettings
from flows.analytics.turns import RunningStatement, Turns
from tests.patience import until


def test_it_goes_on_where_duckdb_cannot_say_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [duckdb.IOException("no space left on device")] * 3

    class Asked:
        def running(self) -> list[RunningStatement]:
            if answers:
                raise answers.pop()
            return [RunningStatement("sql", "SELECT 1", 0.1)]

    monkeypatch.setattr(query_guard, "CHECK_EVERY_S", 0.01)
    guard = QueryGuard(cast(Turns, Asked()), SqlSettings(data=tmp_path), threading.RLock())
    until(lambda: guard._statements)
    assert not answers
    guard.close()
