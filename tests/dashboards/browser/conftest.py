"""One process of the dashboards for all tests of this folder; what it shows is emptied for each.

A process takes three seconds of CPU to start, and a second for its first page.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.conftest import unused_ports
from tests.dashboards import gateway_double
from tests.dashboards.conftest import Shop, serving_shop
from tests.dashboards.gateway_double import GatewayDouble
from tests.dashboards.sellers import serving_sql
from tests.dashboards.served import serving


class Screen(NamedTuple):
    """What the dashboards at `url` show: of `shop` to staff, of `own` to merchants and to whoever asks by SQL."""

    url: str
    shop: Shop
    own: Shop
    gateway: GatewayDouble


@pytest.fixture(scope="package")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """The dashboards, which run."""
    data = tmp_path_factory.mktemp("screen")
    (port,) = unused_ports(1)
    with (
        gateway_double.running() as gateway,
        serving_shop(data) as shop,
        serving_sql(data / "sql") as (own, settings),
    ):
        places = {"SLUICE_WAREHOUSE": shop.settings.url("warehouse"), "SLUICE_SQL": settings.sql_url()}
        with serving(data, port, gateway.url, **places) as dashboard:
            yield Screen(dashboard.url, shop, own, gateway)


@pytest.fixture
def url(screen: Screen, gateway: GatewayDouble) -> str:
    """Where the dashboards are; the gateway that they ask is as it was at first."""
    return screen.url


@pytest.fixture
def gateway(screen: Screen) -> GatewayDouble:
    """The double that they ask, as it was at first."""
    screen.gateway.forget()
    return screen.gateway


@pytest.fixture
def shop(screen: Screen) -> Shop:
    """The warehouse of staff, with nothing in it."""
    screen.shop.empty()
    return screen.shop


@pytest.fixture
def own(screen: Screen) -> Shop:
    """The warehouse of a merchant's people and of the page SQL, with nothing in it."""
    screen.own.empty()
    return screen.own
