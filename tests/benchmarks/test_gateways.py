"""The short forms of `benchmarks.gateways` and `benchmarks.same_keys`: two gateways on one PostgreSQL."""

import subprocess
import sys
from typing import TypeVar

import msgspec
import pytest

from benchmarks.gateways import TurnFigures
from benchmarks.same_keys import KeyFigures

F = TypeVar("F")

pytestmark = [pytest.mark.stack, pytest.mark.postgres, pytest.mark.timeout(400)]


def figures_of(kind: type[F], module: str, *options: str) -> F:
    """What a benchmark prints, which must hold."""
    command = [sys.executable, "-m", module, *options]
    ran = subprocess.run(command, capture_output=True, timeout=380, check=False)
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()[-2000:]
    return msgspec.json.decode(ran.stdout, type=kind)


def test_two_gateways_share_payments_and_one_is_killed() -> None:
    figures = figures_of(TurnFigures, "benchmarks.gateways", "--payments", "64", "--kills", "1")
    assert figures.faults == {"gateway": 1}
    assert figures.inversions == 0
    assert figures.in_the_books["captured"] > figures.payments / 2


def test_a_key_that_is_used_at_two_gateways_at_once_pays_once() -> None:
    figures = figures_of(KeyFigures, "benchmarks.same_keys", "--keys", "8", "--callers", "8")
    assert figures.charges == {"1": 8}
