"""A person who meets a problem reads a page: what happened, and what to do."""

import pytest

from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAVIGATES = {"Sec_Fetch_Mode": "navigate"}


async def test_a_browser_that_goes_to_nowhere_gets_a_page_and_a_client_a_problem(gateway: Gateway) -> None:
    page = await gateway.ask("GET", "/nowhere", **NAVIGATES)
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"There is no such page" in page.body
    assert page.headers["Request-Id"].encode() in page.body
    assert (await gateway.ask("GET", "/nowhere")).code == "not_found"
    assert (await gateway.ask("GET", "/v1/me", **NAVIGATES)).code == "unauthenticated"
