"""One gateway for all tests of a file: most routes leave nothing behind that another test would see."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.settings import GatewaySettings
from tests.gateway.conftest import NO_KAFKA, Gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    seeded_data: Path, vault_socket: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A running gateway; the files that use it say `pytest.mark.asyncio(loop_scope="module")`."""
    data = tmp_path_factory.mktemp("gateway") / "data"
    shutil.copytree(seeded_data, data)
    app = create_app(GatewaySettings(data=data, vault=vault_socket, seed=True, kafka=NO_KAFKA))
    async with app.test_app():
        yield Gateway(app)
