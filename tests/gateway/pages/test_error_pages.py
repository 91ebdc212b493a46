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


@pytest.mark.parametrize("number", ["4111111111111111", "4111-1111-1111-1111", "4111%201111%201111%201111"])
async def test_no_page_shows_a_number_of_its_own_address(gateway: Gateway, number: str) -> None:
    """It would stand there for whoever looks at the screen; a link's token is none."""
    for method, path in (("POST", f"/reset?from={number}"), ("GET", f"/confirm-email?token={number}")):
        page = await gateway.ask(method, path)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert number.encode() not in page.body
