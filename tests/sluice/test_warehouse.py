"""`sluice warehouse`: what is built anew from Kafka is the same, and takes the place of what runs."""

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import click.testing
import duckdb
import pytest

from flows.analytics import compaction
from flows.analytics.settings import AnalyticsSettings, WarehouseFile
from schemas.ids import new_id
from sluice.warehouse import _new_file, warehouse
from tests.flows.analytics.conftest import lives, own_ports
from tests.flows.analytics.test_flow import Running, running, write
from tests.patience import until


@pytest.fixture
def settings(tmp_path: Path, kafka: str, monkeypatch: pytest.MonkeyPatch) -> AnalyticsSettings:
    """Of a process `analytics` and of the command."""
    given = AnalyticsSettings(data=tmp_path, port_offset=own_ports(), kafka=kafka)
    for name in ("data", "port_offset", "kafka"):
        monkeypatch.setenv(f"SLUICE_{name.upper()}", str(getattr(given, name)))
    return given


def command(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(warehouse, arguments, catch_exceptions=False)


def told(result: click.testing.Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def caught_up(flow: Running, prefix: str, count: int) -> bool:
    mine = f"SELECT count(*) FROM payments WHERE id LIKE 'pay_{prefix}%' AND state IN ('captured', 'declined')"
    return flow.caught_up() and flow.ask(mine) == [(count,)]


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    with _new_file(WarehouseFile(tmp_path / "warehouse.duckdb", 64, 1)) as fresh:
        duckdb.connect(str(fresh.path)).close()
        assert stat.S_IMODE(fresh.path.stat().st_mode) == 0o600
    assert os.umask(before) == 0o022
    assert list(tmp_path.iterdir()) == []


@pytest.mark.stack
def test_a_rebuilt_warehouse_is_the_same_and_takes_the_place_of_the_old_one(
    settings: AnalyticsSettings, kafka: str
) -> None:
    prefix = new_id("new")
    write(kafka, lives(50, prefix))
    with running(settings) as flow:
        until(lambda: caught_up(flow, prefix, 50))
        before = told(command("hash", "--json"))
        again = command("rebuild", "--dry-run", "--json")
        assert told(again) == before, "in whatever order the records came this time"
        assert "the same rows at the same offsets" in again.stderr
        assert {each.name for each in settings.data.glob("*.duckdb")} == {"warehouse.duckdb"}

        ended: list[int] = []
        supervisor = threading.Thread(target=lambda: (ended.append(flow.process.wait()), flow.restart()))
        supervisor.start()
        taken = command("rebuild", "--keep", "--json")
        supervisor.join()
        assert (told(taken)["hash"], ended) == (before["hash"], [75]), "it restarts by itself, at once"
        assert "analytics has taken the new file" in taken.stderr
        flow.ask("SELECT 1")
        assert told(command("hash", "--json")) == before
        with duckdb.connect(str(compaction.beside(settings.file().path, "before"))) as con:
            assert con.execute(f"SELECT count(*) FROM payments WHERE id LIKE 'pay_{prefix}%'").fetchall() == [
                (50,)
            ]


def test_without_kafka_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    monkeypatch.setenv("SLUICE_KAFKA", "localhost:1")
    refused = command("rebuild")
    assert (refused.exit_code, refused.stderr) == (1, "Error: nobody listens at localhost:1\n")


def test_a_file_that_is_being_built_is_looked_after_by_nobody(tmp_path: Path) -> None:
    with _new_file(AnalyticsSettings(data=tmp_path, warehouse_days=31).file()) as fresh:
        assert (fresh.days, fresh.night) == (None, None)


@pytest.mark.stack
def test_what_differs_is_named_and_not_used(settings: AnalyticsSettings, kafka: str) -> None:
    prefix = new_id("other")
    write(kafka, lives(10, prefix))
    with running(settings) as flow:
        until(lambda: caught_up(flow, prefix, 10))
        flow.kill()
        with duckdb.connect(str(settings.file().path)) as con:
            con.execute(f"DELETE FROM store.payments WHERE id LIKE 'pay_{prefix}%' AND state = 'declined'")
        flow.restart()
        flow.ask("SELECT 1")
        refused = command("rebuild")
        assert refused.exit_code == 1
        assert "other rows at these offsets in: payments" in refused.stderr
        assert {each.name for each in settings.data.glob("*.duckdb")} == {"warehouse.duckdb"}
        assert flow.process.poll() is None
        assert command("rebuild", "--dry-run", "--to", "2026-01-01").exit_code == 0, "nothing differs in that span"
