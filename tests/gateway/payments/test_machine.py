"""The state machine in its short form, and planted bugs that it must find.

`python -m benchmarks.machine` goes on as long as one likes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.machine.opening import running, settings_of
from benchmarks.machine.plants import planted
from benchmarks.machine.search import search
from benchmarks.machine.world import World
from connectors.processors.settings import ProcessorSettings
from gateway.settings import GatewaySettings

OPERATIONS = 400
FOUND_WITHIN = 1000  # operations
SEED = 7


@pytest.fixture
def world(gateway_settings: GatewaySettings, free_offset: Callable[[], int]) -> Iterator[World]:
    """Books, use cases and twins, without HTTP, Kafka and flows."""
    given = gateway_settings
    processors = ProcessorSettings(data=given.data, port_offset=free_offset())
    with running(settings_of(given.data, Path(given.vault), given.database_url), processors) as opened:
        yield opened


def test_random_operations_under_faults_and_deaths_conserve_money(world: World) -> None:
    found = search(world, OPERATIONS, SEED)
    assert found is None, f"python -m benchmarks.machine --seed {SEED}: {found}"
    assert world.replies["died"]  # the machine is not idle: workers died, and money was moved
    assert all(world.replies[said] for said in ("capture 200", "refund 201", "void 200", "capture 202"))


@pytest.mark.parametrize(
    "plant", ["refund-sent-twice", "rest-released-twice", "void-booked-as-capture", "refused-void-forgotten"]
)
def test_a_planted_bug_is_found(world: World, plant: str) -> None:
    with planted(plant):
        found = search(world, FOUND_WITHIN, SEED)
    assert found is not None
    assert world.found_after <= FOUND_WITHIN
