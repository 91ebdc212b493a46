"""The processors' twins on free ports, in the test's own process, and clients that speak to them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from connectors.processors.contract import Processor
from connectors.processors.registry import open_processors
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.sandbox import Sandbox
from schemas.payments import PROCESSORS, ProcessorName
from tests.connectors.desk import Desk


@pytest.fixture
def processor_settings(tmp_path: Path, free_offset: Callable[[], int]) -> ProcessorSettings:
    """Where this test's own sandbox listens."""
    return ProcessorSettings(data=tmp_path, port_offset=free_offset())


@pytest.fixture
async def sandbox(processor_settings: ProcessorSettings) -> AsyncIterator[Sandbox]:
    """The three vendors' twins, with an empty ledger and no faults."""
    sandbox = Sandbox(processor_settings)
    await sandbox.open()
    yield sandbox
    sandbox.close()


@pytest.fixture
async def processors(
    processor_settings: ProcessorSettings, sandbox: Sandbox
) -> AsyncIterator[dict[ProcessorName, Processor]]:
    """Clients of the twins that wait up to a minute."""
    opened = open_processors(processor_settings, 60)
    yield opened
    for processor in opened.values():
        await processor.close()


@pytest.fixture
async def hasty(
    processor_settings: ProcessorSettings, sandbox: Sandbox
) -> AsyncIterator[dict[ProcessorName, Processor]]:
    """Clients that give up after a second."""
    opened = open_processors(processor_settings, 1)
    yield opened
    for processor in opened.values():
        await processor.close()


@pytest.fixture(params=PROCESSORS)
def desk(
    request: pytest.FixtureRequest,
    processors: dict[ProcessorName, Processor],
    hasty: dict[ProcessorName, Processor],
    sandbox: Sandbox,
) -> Desk:
    """One processor after the other."""
    return Desk(request.param, processors[request.param], hasty[request.param], sandbox)


@pytest.fixture
def desks(
    processors: dict[ProcessorName, Processor], hasty: dict[ProcessorName, Processor], sandbox: Sandbox
) -> dict[ProcessorName, Desk]:
    """All of them."""
    return {name: Desk(name, processors[name], hasty[name], sandbox) for name in PROCESSORS}
