"""The short forms of `benchmarks.gateways` and `benchmarks.same_keys`: two gateways on one PostgreSQL."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from benchmarks.fleet import LEASE_S, by_turns, charges
from benchmarks.gateways import by_sides, purchases_of, shared
from benchmarks.same_keys import by_keys
from benchmarks.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.postgres, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def measured() -> Iterator[Stack]:
    """Two gateways of one stack, as `main` starts them; each test counts what it adds to it."""
    with shared(workers=1, lease=LEASE_S) as measured:
        yield measured


def test_two_gateways_share_payments_and_one_is_killed(measured: Stack) -> None:
    kill = by_turns(1, signal.SIGKILL)
    figures = asyncio.run(by_sides(measured, purchases_of(None), payments=64, at_once=32, faults=kill))
    assert figures.holds(), figures
    assert figures.faults == {"gateway": 1}
    assert figures.inversions == 0
    assert figures.in_the_books["captured"] > figures.payments / 2


def test_a_key_that_is_used_at_two_gateways_at_once_pays_once(measured: Stack) -> None:
    before = charges(measured).get("1", 0)
    figures = by_keys(measured, keys=8, callers=8, kills=0)
    assert figures.holds(), figures
    assert figures.charges == {"1": before + 8}
