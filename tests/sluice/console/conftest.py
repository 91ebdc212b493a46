"""A warehouse that `sluice sql` may ask, and its environment."""

from collections.abc import Iterator

import pytest

from flows.analytics.settings import SqlSettings
from tests.flows.analytics.conftest import served_copy


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlSettings]:
    with served_copy(tmp_path_factory.mktemp("console")) as settings:
        yield settings


@pytest.fixture
def environment(served: SqlSettings) -> dict[str, str]:
    return {"SLUICE_DATA": str(served.data), "SLUICE_PORT_OFFSET": str(served.port_offset)}
