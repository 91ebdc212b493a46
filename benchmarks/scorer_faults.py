"""`python -m benchmarks.scorer_faults`: the fraud flow is killed, paused and slowed while people pay.

Afterwards each payment that took money has a verdict, and what the stand-in let through stays within its caps, to
the cent: by the books and by the processors' own ledger. Then all verdicts are made again (`sluice fraud replay`).
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, assert_never

import click
import duckdb
import msgspec
from sqlalchemy import Connection

from benchmarks import stack
from benchmarks.scorer_audit import ScorerAudit, audit
from gateway.books.opening import run_once
from sluice.reconcile.ledger import read_ledger

CARD_CAP, MERCHANT_CAP = 10_000, 60_000  # cents a day: low, so that they are met
SETTINGS = {
    "SLUICE_STAND_IN_CARD_CAP": str(CARD_CAP),
    "SLUICE_STAND_IN_MERCHANT_CAP": str(MERCHANT_CAP),
    "SLUICE_STAND_IN_NEW_CARDS": "1000000",  # one customer pays for all
}
PAUSED_S = 1.0
SLOWED_S, STEP_S = 2.0, 0.2  # the flow runs a twentieth of the time
BETWEEN_S = 0.5
DRAINED_S = 60.0
IN_WORK = """
    SELECT (SELECT count(*) FROM payments WHERE state = 'processing')
         + (SELECT count(*) FROM outbox WHERE published_at IS NULL)
"""

ScorerFault = Literal["killed", "paused", "slowed"]
FAULTS: tuple[ScorerFault, ...] = ("killed", "paused", "slowed")


class FaultFigures(msgspec.Struct, frozen=True):
    """How many faults of each kind, what the audit found, and what the replay of the verdicts said."""

    faults: dict[str, int]
    seconds: float
    audit: ScorerAudit
    replay: dict[str, object]


@click.command()
@click.option("--faults", default=100, show_default=True, help="Of the fraud flow, of each kind in turn.")
@click.option("--rate", default=20.0, show_default=True, help="Payments a second meanwhile.")
def main(faults: int, rate: float) -> None:
    """Print what was found as JSON; ends with 1 where anything went through. Takes about ten minutes."""
    with stack.running(settings=SETTINGS, only=stack.PAYING) as running:
        running.await_ready()
        figures = measured(running, faults, rate)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not (figures.audit.is_clean() and figures.replay["differing"] == 0))


def measured(running: stack.Stack, faults: int, rate: float) -> FaultFigures:
    """Hurt the scorer so often while payments come in, then hold what they left behind against each other."""
    began = time.monotonic()
    file = transactions(running.settings.data / "payments.parquet", int(faults * 15 * rate))
    command = [sys.executable, "-m", "sluice", "replay", str(file), "--rate", str(rate), "--json"]
    done: dict[str, int] = dict.fromkeys(FAULTS, 0)
    with subprocess.Popen(command, env=running.environment, stdout=subprocess.DEVNULL) as load:
        for fault in islice(cycle(FAULTS), faults):
            running.await_ready("fraud")
            hurt(running.pids()["fraud"], fault)
            done[fault] += 1
            time.sleep(BETWEEN_S)
        running.await_ready("fraud")
        load.send_signal(signal.SIGINT)
    await_drained(running)
    records = list(read_ledger(running.settings.url("sandbox")))
    found = run_once(running.books_url(), lambda conn: audit(conn, records, CARD_CAP, MERCHANT_CAP), readonly=True)
    return FaultFigures(done, round(time.monotonic() - began, 1), found, replayed(running))


def hurt(pid: int, fault: ScorerFault) -> None:
    """Do it to the process; a paused or slowed one goes on afterwards."""
    match fault:
        case "killed":
            os.kill(pid, signal.SIGKILL)
            time.sleep(BETWEEN_S)  # until the supervisor has seen it
        case "paused":
            _stop(pid, PAUSED_S)
        case "slowed":
            until = time.monotonic() + SLOWED_S
            while time.monotonic() < until:
                _stop(pid, STEP_S)
                time.sleep(STEP_S / 20)
        case _:
            assert_never(fault)


def transactions(path: Path, count: int) -> Path:
    """A file of payments by 200 cards at 20 merchants, of 5 to 45 EUR, each two minutes after the one before."""
    rows = f"""SELECT n AS tx_id, n % 200 AS card_id, n % 20 AS merchant_id, 5 + n % 40 + 0.25 AS amount,
               TIMESTAMP '2020-01-01' + INTERVAL (n * 2) MINUTE AS ts, n % 50 = 0 AS is_fraud
               FROM range({count}) AS t(n)"""
    with duckdb.connect() as db:
        db.sql(rows).write_parquet(str(path))
    return path


def replayed(running: stack.Stack) -> dict[str, object]:
    """What `sluice fraud replay` says."""
    ran = running.sluice("fraud", "replay", "--json")
    if not ran.stdout:
        return {"differing": None, "error": ran.stderr[-500:]}
    told: dict[str, object] = msgspec.json.decode(ran.stdout)
    return told


def await_drained(running: stack.Stack) -> None:
    """Wait until no payment is in work any more, and Kafka has all events. Raises `TimeoutError`."""
    end = time.monotonic() + DRAINED_S
    while run_once(running.books_url(), _in_work, readonly=True):
        if time.monotonic() > end:
            raise TimeoutError("payments are in work still")
        time.sleep(0.2)


def _in_work(conn: Connection) -> int:
    return int(conn.exec_driver_sql(IN_WORK).scalar_one())


def _stop(pid: int, seconds: float) -> None:
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main()
