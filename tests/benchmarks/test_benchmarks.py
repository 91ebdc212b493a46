"""The benchmarks run, and their document holds every figure; no figure is judged."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks import lists
from benchmarks.bare import ANSWER, create_bare
from benchmarks.figures import Figures
from benchmarks.stack import free_port
from benchmarks.storm import Attacker
from benchmarks.stuck import measure_memory
from benchmarks.warehouse import batches, filling, questions
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file
from sluice.processes import NAMES
from tests.patience import until

# What views of one warehouse may not differ in: minutes and payments, refunds and payments, verdicts and payments.
BY_ROW = """
SELECT date_trunc('minute', created_at), currency, processor, state, count(*), sum(amount), sum(amount_captured),
       sum(amount_refunded) FROM payments GROUP BY ALL
"""
DISAGREEING = f"""
SELECT (SELECT count(*) FROM (FROM payments_by_minute EXCEPT {BY_ROW})),
       (SELECT coalesce(sum(amount_refunded), 0) FROM payments) - (SELECT coalesce(sum(amount), 0) FROM refunds),
       (SELECT count(*) FROM risk WHERE applied_outcome IS DISTINCT FROM outcome)
"""


@pytest.mark.stack
@pytest.mark.timeout(700)
def test_a_small_run_fills_every_figure(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--payments", "60", "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, timeout=680, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-2000:]
    figures = msgspec.json.decode(out.read_bytes(), type=Figures)
    assert msgspec.json.decode(ran.stdout, type=Figures) == figures
    assert figures.payments_per_second > 0
    assert 0 < figures.per_second_of_bare < 1
    assert figures.start_to_first_payment_s > 1
    assert figures.hop_ms.keys() == figures.verdict_of_hop.keys() == {"p50", "p99"}
    assert set(figures.processes) == {*NAMES, "supervisor", "load generator"}
    assert all(cost.pss_mb > 0 for cost in figures.processes.values())


async def test_stuck_messages_cost_disk_and_no_memory_and_others_no_time() -> None:
    """The short form of `python -m benchmarks.stuck --memory 100000`."""
    figures = await measure_memory(2_000, mails=10)
    assert figures["mail_ms"]["p99"] < 5_000
    assert figures["grown_mb"] < 50
    assert figures["disk_mb"] >= 2


def test_a_page_of_every_list_costs_the_loop_little() -> None:
    ran = CliRunner().invoke(lists.main, ["--payments", "3000", "--database", "sqlite"])
    assert ran.exit_code in (0, 1), ran.output  # 1: a page was dear, as on a busy machine
    figures = msgspec.json.decode(ran.stdout, type=dict[str, dict[str, lists.ListFigures]])["sqlite"]
    assert figures["payments all for staff"].items == 500
    assert figures["payments {'state': 'unknown'} for staff"].items == 0
    assert {"cards", "operations", "reviews all"} <= figures.keys()


def test_a_full_warehouse_is_consistent_asked_and_written_on(tmp_path: Path) -> None:
    """The short form of `python -m benchmarks.warehouse`."""
    assert filling.fill(tmp_path / "warehouse.duckdb", 2_000, float("inf")) == 2_000
    con = open_file(WarehouseFile(tmp_path / "warehouse.duckdb", 512, 1))
    assert con.execute(DISAGREEING).fetchall() == [(0, 0, 0)]
    assert len(questions.ask_all(con, times=1)) > len(questions.tiles())
    figures = batches.measure(con, 200, 3)
    assert con.execute(DISAGREEING).fetchall() == [(0, 0, 0)]
    assert figures.of_ready > 0
    assert figures.of_bare > 0
    con.close()


async def test_the_bare_post_takes_a_payment_and_does_nothing() -> None:
    client = create_bare().test_client()
    answer = await client.post("/v1/payments", data=b"{}")
    assert (answer.status_code, await answer.get_data(as_text=False)) == (201, ANSWER)


@pytest.fixture
def bare_port() -> Iterator[int]:
    """Where a bare gateway listens, whose login takes everybody."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "benchmarks.bare", str(port)]) as bare:
        until(lambda: is_open(port))
        yield port
        bare.terminate()


async def test_a_storm_of_logins_tells_what_it_was_answered(bare_port: int) -> None:
    """The short form of `python -m benchmarks.storm`: its attacker, who judges nothing."""
    attacker = Attacker(f"http://localhost:{bare_port}", rate=100.0, accounts=3)
    async with attacker.storming(0.3):
        pass
    attacker.close()
    assert set(attacker.answers) == {"200"}


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0
