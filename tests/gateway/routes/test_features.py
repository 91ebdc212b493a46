"""The names that rules may use, as analysts read them."""

from typing import Any

import pytest

from schemas.features import FEATURES
from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_name_is_listed_once_in_the_order_of_the_table(gateway: Gateway) -> None:
    found: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = (await gateway.ask("GET", f"/v1/features?limit=100&cursor={cursor}", who="analyst")).json
        found += page["data"]
        cursor = page["next_cursor"]
    assert [feature["name"] for feature in found] == list(FEATURES)
    described = next(feature for feature in found if feature["name"] == "device_cards_7d")
    assert (described["key"], described["window"], described["unit"]) == (["device"], "7d", "cards")
    assert (described["low"], described["high"], described["source"]) == (1, 32, "feature")


async def test_a_page_is_as_long_as_was_asked_and_a_made_up_cursor_is_none(gateway: Gateway) -> None:
    page = (await gateway.ask("GET", "/v1/features?limit=3", who="admin")).json
    assert [feature["name"] for feature in page["data"]] == list(FEATURES)[:3]
    assert (await gateway.ask("GET", "/v1/features?cursor=made-up", who="analyst")).status == 422
