"""The short form of `python -m benchmarks.backtest`: a warehouse in which there is something to find."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.backtest import DAYS, RULES, fill
from connectors.warehouse import Table
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file
from gateway.backtest import statements
from gateway.backtest.desk import BacktestDesk
from schemas.expressions import parse
from schemas.settings import Settings
from schemas.times import now

PAYMENTS = 2_000


class FilledWarehouse:
    """Answers as the process `sql` does, in this one."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con, self.asked = con, 0

    def query(self, sql: str) -> Table:
        self.asked += 1
        found = self.con.execute(sql)
        return Table([column[0] for column in found.description], found.fetchall())


async def test_what_is_measured_finds_frauds_and_sales_in_many_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "SPAN_PAYMENTS", 500)
    fill(tmp_path / "sql.duckdb", PAYMENTS)
    desk: Any = BacktestDesk(Settings(data=tmp_path))
    with open_file(WarehouseFile(tmp_path / "sql.duckdb", 256, 1)) as con:
        desk._reader = warehouse = FilledWarehouse(con)
        found = await desk.run(parse(RULES[-1]), now() - timedelta(days=DAYS + 1), now())
    assert (found.payments, warehouse.asked) == (PAYMENTS, 6), "the cuts, and five parts"
    assert 0 < found.hits < PAYMENTS
    assert found.frauds_caught > 0
    assert found.good_lost > found.frauds_caught
    assert len(found.by_week) > 12
    assert set(found.coverage.values()) == {1.0}
