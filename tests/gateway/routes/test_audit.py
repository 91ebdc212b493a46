"""The audit as admins list it, and what of today's acts stands in it."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from tests.gateway.conftest import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def entries(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    """All that a query finds, two to a page."""
    found, cursor = list[dict[str, Any]](), ""
    while True:
        path = f"/v1/audit?limit=2&cursor={cursor}&{query}"
        page = (await gateway.ask("GET", path, who="admin")).json
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        cursor = page["next_cursor"]


async def me(gateway: Gateway, who: str) -> str:
    return str((await gateway.ask("GET", "/v1/me", who=who)).json["id"])


async def test_who_created_a_merchant_is_found_by_each_filter(gateway: Gateway) -> None:
    ids = [
        (await gateway.ask("POST", "/v1/merchants", {"name": f"Shop {i}"}, who="admin")).json["id"]
        for i in range(3)
    ]
    admin_id = await me(gateway, "admin")
    made = await entries(gateway, "kind=merchant_created")
    assert [(entry["actor"], entry["subject"]) for entry in made] == [(admin_id, id) for id in reversed(ids)]
    assert await entries(gateway, f"subject={ids[1]}") == [made[1]]
    assert await entries(gateway, f"actor={admin_id}&kind=merchant_created&subject={ids[0]}") == [made[2]]
    at = datetime.fromisoformat(made[1]["at"])
    after, before = (moment.isoformat().replace("+", "%2B") for moment in (at, at + timedelta(microseconds=1)))
    assert await entries(gateway, f"kind=merchant_created&after={after}") == made[:2]
    assert await entries(gateway, f"kind=merchant_created&after={after}&before={before}") == [made[1]]


@pytest.mark.parametrize(
    "query", ["kind=unheard", "actor=" + "a" * 65, "after=yesterday", "kind=login&kind=login"]
)
async def test_a_filter_that_is_none_is_refused(gateway: Gateway, query: str) -> None:
    assert (await gateway.ask("GET", f"/v1/audit?{query}", who="admin")).code == "invalid_request"


async def test_what_a_person_did_stays_with_their_id_and_nothing_of_them(gateway: Gateway) -> None:
    email = "heinrich.mustermann@example.com"
    token = await gateway.sign_up(email, name="Heinrich Mustermann", phone="+4930123456")
    person_id = await me(gateway, token)
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    (erased,) = await entries(gateway, f"actor={person_id}&kind=account_erased")
    assert (erased["subject"], erased["detail"]) == (person_id, {"role": "customer"})
    rows = await gateway.runtime.books.read(lambda conn: conn.execute(text("SELECT * FROM audit")).all())
    written = msgspec.json.encode([list(row) for row in rows]).lower()
    for personal in (b"heinrich", b"mustermann", b"4930123456", email.encode()):
        assert personal not in written
