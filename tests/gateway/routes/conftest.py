"""One gateway for all tests of a file: most routes leave nothing behind that another test would see."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.settings import GatewaySettings
from tests.gateway.conftest import Gateway
from tests.gateway.databases import Databases, Kind


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
