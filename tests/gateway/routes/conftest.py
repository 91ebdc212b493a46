"""One gateway for all tests of a file: most routes leave nothing behind that another test would see."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
import pytest_asyncio
import uvicorn

from gateway.app import create_app
from gateway.settings import GatewaySettings
from gateway.web.bounded_connection import BoundedConnection
from gateway.web.serving import SignalledServer
from schemas.settings import PORTS
from tests.conftest import unused_ports
from tests.gateway.conftest import Gateway
from tests.gateway.databases import Databases, Kind
from tests.patience import eventually


@pytest.fixture(scope="module")
def shared_settings(
    databases: Databases, database: Kind, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewaySettings]:
    """Settings of the gateway of a file, on books of its own."""
    settings = databases.settings(database, tmp_path_factory.mktemp("gateway") / "data")
    yield settings
    databases.drop(settings.database_url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(shared_settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A running gateway; the files that use it say `pytest.mark.asyncio(loop_scope="module")`."""
    app = create_app(shared_settings)
    async with app.test_app():
        yield Gateway(app)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(shared_settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A gateway that listens on a port of its own, in this process."""
    (port,) = unused_ports(1)
    placed = {"port_offset": port - PORTS["gateway"], "public_url": f"http://localhost:{port}", "internal_url": ""}
    app = create_app(msgspec.structs.replace(shared_settings, **placed))
    config = uvicorn.Config(
        app, "localhost", port, http=BoundedConnection, ws="none", lifespan="on", log_config=None
    )
    server = SignalledServer(config)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield Gateway(app)
    server.should_exit = True
    await serving
