"""The guard of the readers' statements goes on whatever DuckDB says, as on a full disk."""

import threading
from typing import Any, cast

import duckdb
import pytest

from flows.analytics import query_guard
from flows.analytics.query_guard import QueryGuard, RunningStatement
from flows.analytics.settings import AnalyticsSettings
from tests.patience import until


def test_it_goes_on_where_duckdb_cannot_say_what_runs(
    settings: AnalyticsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [duckdb.IOException("no space left on device")] * 3

    def running(_con: duckdb.DuckDBPyConnection) -> list[RunningStatement]:
        if answers:
            raise answers.pop()
        return [RunningStatement("1", "SELECT 1", 0.1)]

    monkeypatch.setattr(query_guard, "CHECK_EVERY_S", 0.01)
    monkeypatch.setattr(query_guard, "running_statements", running)
    guard = QueryGuard(cast(Any, None), cast(Any, None), settings, threading.RLock())
    until(lambda: guard._statements)
    assert not answers
    guard.close()
