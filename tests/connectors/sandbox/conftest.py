"""A sandbox in a process of its own, and the vendors' wires to it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from schemas.ids import new_id
from tests import patience
from tests.connectors.sandbox.process import SandboxProcess
from tests.connectors.sandbox.wires import Control, Mastercard, PayPal, Visa, Wires

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One sandbox for the whole run; each test uses references of its own."""
    running = SandboxProcess(tmp_path_factory.mktemp("sandbox"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    """A sandbox that a test may kill."""
    running = SandboxProcess(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that never waits for ever, and never meets a connection that died while nobody looked."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@pytest.fixture
async def control(http: aiohttp.ClientSession, sandbox: SandboxProcess) -> AsyncIterator[Control]:
    """The control port; no fault outlives the test."""
    control = Control(http, sandbox)
    yield control
    await control.clear()


@pytest.fixture
def visa(http: aiohttp.ClientSession, sandbox: SandboxProcess) -> Visa:
    """Visa's wire."""
    return Visa(http, sandbox)


@pytest.fixture
def mastercard(http: aiohttp.ClientSession, sandbox: SandboxProcess) -> Mastercard:
    """Mastercard's wire."""
    return Mastercard(http, sandbox)


@pytest.fixture
def paypal(http: aiohttp.ClientSession, sandbox: SandboxProcess) -> PayPal:
    """PayPal's wire."""
    return PayPal(http, sandbox)


@pytest.fixture
def eventually() -> Eventually:
    """`await eventually(condition)` polls an async condition."""
    return patience.eventually


@pytest.fixture
def reference() -> str:
    """A reference nobody else uses."""
    return new_id("att")


@pytest.fixture
def own_wires(http: aiohttp.ClientSession, own_sandbox: SandboxProcess) -> Wires:
    """The wires of a sandbox that a test may kill."""
    return Wires(http, own_sandbox)
