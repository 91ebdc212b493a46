"""The short forms of `benchmarks.gateways` and `benchmarks.same_keys`: two gateways on one PostgreSQL."""

import subprocess
import sys

import msgspec
import pytest

from benchmarks.gateways import TurnFigures
from benchmarks.same_keys import KeyFigures


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


@pytest.mark.stack
@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_a_key_that_is_used_at_two_gateways_at_once_pays_once() -> None:
    command = [sys.executable, "-m", "benchmarks.same_keys", "--keys", "8", "--callers", "8"]
    ran = subprocess.run(command, capture_output=True, timeout=380, check=False)
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()[-2000:]
    figures = msgspec.json.decode(ran.stdout, type=KeyFigures)
    assert figures.charges == {"1": 8}
