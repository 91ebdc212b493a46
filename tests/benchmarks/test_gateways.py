"""The short form of `python -m benchmarks.gateways`: payments over two gateways, one of which is killed."""

import subprocess
import sys

import msgspec
import pytest

from benchmarks.gateways import TurnFigures


@pytest.mark.stack
@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_two_gateways_share_payments_and_one_is_killed() -> None:
    command = [sys.executable, "-m", "benchmarks.gateways", "--payments", "64", "--kills", "1"]
    ran = subprocess.run(command, capture_output=True, timeout=380, check=False)
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()[-2000:]
    figures = msgspec.json.decode(ran.stdout, type=TurnFigures)
    assert figures.faults == 1
    assert figures.inversions == 0
    assert figures.ended["captured"] > figures.payments / 2
