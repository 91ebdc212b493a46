"""Colleagues have names: those of staff, and of nobody else."""

import pytest

from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_staff_see_the_names_of_staff_alone_page_by_page(gateway: Gateway) -> None:
    await gateway.sign_up("pays@example.com")
    seen, cursor = [], ""
    while True:
        page = (await gateway.ask("GET", f"/v1/staff?limit=1&cursor={cursor}", who="analyst")).json
        seen += page["data"]
        if not (cursor := page["next_cursor"] or ""):
            break
    whole = (await gateway.ask("GET", "/v1/staff", who="admin")).json["data"]
    assert seen == whole
    assert {member["role"] for member in whole} == {"analyst", "admin"}
    assert all(member["name"] and set(member) == {"id", "object", "name", "role", "disabled"} for member in whole)
    assert [member["id"] for member in whole] == sorted((member["id"] for member in whole), reverse=True)
    me = (await gateway.ask("GET", "/v1/me", who="analyst")).json
    assert {"id": me["id"], "name": me["name"]}.items() <= next(m for m in whole if m["id"] == me["id"]).items()
