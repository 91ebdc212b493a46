"""A data directory on a disk that fills up and is freed again; each program runs beside a tmpfs of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.small_disk import ENTER, is_possible

ROOT = Path(__file__).parents[2]
needs_a_disk = pytest.mark.skipif(
    not is_possible(), reason="neither root nor a user namespace: no disk can be made small"
)

# Whatever is written beside payments: it raises nothing, and goes on once there is room.
BESIDE = """
from connectors.heartbeat import beat, last_beat
from schemas.settings import Settings
from sluice.output_log import OutputLog
from sluice.status import StateFile

settings, shown, state = Settings(data=disk.folder), [], StateFile(disk.folder)
(disk.folder / "run").mkdir()
log = OutputLog(disk.folder / "logs", "one", shown.append)

class Child:
    name, state, pid, since_us, restarts = "one", "starting", 1, None, 0

beat(settings, "fraud", 1, 1)
state.write([Child])
log.feed(b"before\\n")
disk.fill()
for number in range(50):
    beat(settings, "fraud", 1, 2)
    log.feed(b"x" * 5000 + b"\\n")
Child.restarts = 1
state.write([Child])
assert last_beat(settings, "fraud").lag == 1
assert b'"restarts":0' in (disk.folder / "run" / "stack.json").read_bytes()
disk.free()
beat(settings, "fraud", 1, 3)
state.write([Child])
log.feed(b"after\\n")
assert last_beat(settings, "fraud").lag == 3
assert b'"restarts":1' in (disk.folder / "run" / "stack.json").read_bytes()
first, *_, left_out, last = (disk.folder / "logs" / "one.log").read_text().splitlines()
assert (first, last) == ("before", "after")
assert '"event":"output.left_out"' in left_out
assert len(shown) == 52
"""

# The stack that takes payments, under `sluice up`: no process ends, and payments go on as soon as there is room.
STACK = """
import asyncio, time
from benchmarks import stack
from connectors.gateway import GatewayClient, GatewayRefused, PasswordLogin
from benchmarks.load import transactions
from sluice.replay import ReplayRun
from sluice.status import read

PROGRAM = "import sys; sys.argv += ['--only', 'vault', 'sandbox', 'gateway']; from sluice.cli import main; main()"

def running(measured):
    return {entry.name: (entry.pid, entry.restarts) for entry in read(measured.settings)}

async def statuses(payer, run, payments, wanted):
    "Pay until an answer is as wanted; how long that took."
    began = time.monotonic()
    while True:
        try:
            await run.pay(next(payments))
            said = 200
        except GatewayRefused as refused:
            assert (refused.status, refused.code) == (503, "unavailable"), refused
            said = refused.status
        if said == wanted:
            return time.monotonic() - began
        assert time.monotonic() - began < 60

async def ready(client):
    try:
        return (await client.get("/readyz"))["status"] == "ok"
    except GatewayRefused as refused:
        assert refused.status == 503
        return False

async def main(measured):
    url, password = measured.settings.url("gateway"), measured.replay.seed_password
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", password)) as payer,
        GatewayClient(url, PasswordLogin("admin@example.com", password)) as admin,
        GatewayClient(url) as anybody,
    ):
        run, payments = ReplayRun(payer, admin, admin, "disk", "EUR"), transactions()
        await run.prepare([t for t, _ in zip(transactions(), range(200))])
        await statuses(payer, run, payments, 200)
        before = running(measured)
        disk.fill()
        await statuses(payer, run, payments, 503)
        began = time.monotonic()
        while await ready(anybody):
            disk.fill()
            await asyncio.sleep(0.1)
            assert time.monotonic() - began < 30
        for _ in range(20):
            disk.fill()
            await statuses(payer, run, payments, 503)
        disk.free()
        assert await statuses(payer, run, payments, 200) < 30
        await asyncio.sleep(1)  # for so long an answer of readiness counts
        assert await ready(anybody)
        assert running(measured) == before

with stack.running("sqlite", disk.folder, PROGRAM) as measured:
    measured.await_ready("gateway", "vault", "sandbox")
    asyncio.run(main(measured))
"""


@pytest.mark.stack
@needs_a_disk
@pytest.mark.parametrize(("megabytes", "program"), [(1, BESIDE), (24, STACK)], ids=["beside", "stack"])
def test_a_full_disk_costs_503s_and_nothing_else(megabytes: int, program: str) -> None:
    begin = f"from benchmarks.small_disk import small_disk\nwith small_disk({megabytes}) as disk:\n"
    body = "\n".join("    " + line for line in program.splitlines())
    ran = subprocess.run(
        [*ENTER, sys.executable, "-c", begin + body], cwd=ROOT, env=os.environ, capture_output=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr.decode()[-4000:]
