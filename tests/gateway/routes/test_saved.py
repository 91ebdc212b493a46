"""What people save under names: their own alone, bounded, sealed in the books, and gone with them."""

from urllib.parse import quote

import pytest
import pytest_asyncio

from gateway.identity.saved import SAVED_MAX, SavedOrder, keep
from gateway.rate_limits import LIMITS
from tests.gateway.actors import Actor, Actors
from tests.gateway.conftest import Answer, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

VIEWS = "/v1/me/saved/payments_view"


@pytest_asyncio.fixture(loop_scope="module")
async def own(gateway: Gateway) -> Actor:
    """Somebody who has nothing yet."""
    return await Actors(gateway).new("analyst")


async def save(gateway: Gateway, own: Actor, name: str, content: str = "status=failed") -> Answer:
    return await gateway.ask("PUT", f"{VIEWS}/{quote(name, safe='')}", {"content": content}, own.token)


async def names(gateway: Gateway, who: str, query: str = "kind=payments_view") -> list[str]:
    answer = await gateway.ask("GET", f"/v1/me/saved?{query}", who=who)
    assert answer.status == 200, answer.body
    return [each["name"] for each in answer.json["data"]]


async def test_what_is_saved_is_found_again_replaced_by_its_name_and_removed(gateway: Gateway, own: Actor) -> None:
    first = (await save(gateway, own, " Failed, Über 100 € ")).json
    assert first | {"updated_at": ""} == {
        "kind": "payments_view",
        "name": "Failed, Über 100 €",
        "content": "status=failed",
        "updated_at": "",
    }
    assert (await save(gateway, own, "All of today", "period=24h")).status == 200
    assert (await save(gateway, own, "Failed, Über 100 €", "state=failed")).json["content"] == "state=failed"
    assert await names(gateway, own.token) == ["All of today", "Failed, Über 100 €"]
    page = (await gateway.ask("GET", "/v1/me/saved?kind=payments_view&limit=1", who=own.token)).json
    rest = f"kind=payments_view&limit=1&cursor={page['next_cursor']}"
    assert await names(gateway, own.token, rest) == ["Failed, Über 100 €"]
    assert await names(gateway, own.token, "kind=sql_question") == []
    assert await names(gateway, "admin") == []
    path = f"{VIEWS}/All%20of%20today"
    assert (await gateway.ask("DELETE", path, who="admin")).status == 404
    assert [(await gateway.ask("DELETE", path, who=own.token)).status for _ in range(2)] == [204, 404]


async def test_no_name_and_no_text_is_saved_that_may_not_be(gateway: Gateway, own: Actor) -> None:
    for name in ("4111 1111 1111 1111", "n" * 61, " ", "two\nlines"):
        refused = await save(gateway, own, name)
        assert (refused.code, refused.json["errors"][0]["path"]) == ("invalid_request", "$.name"), name
        assert "4111" not in refused.body.decode()
    for content in ("4111111111111111", "c" * 8_193, "é" * 4_097, ""):
        refused = await save(gateway, own, "view", content)
        assert (refused.code, refused.json["errors"][0]["path"]) == ("invalid_request", "$.content")
    assert (await gateway.ask("PUT", "/v1/me/saved/notes/n", {"content": "c"}, own.token)).status == 404
    assert (await gateway.ask("GET", "/v1/me/saved?kind=notes", who=own.token)).status == 422
    assert await names(gateway, own.token) == []


async def test_an_account_saves_a_hundred_of_a_kind_and_not_too_fast(gateway: Gateway, own: Actor) -> None:
    for number in range(SAVED_MAX):
        await gateway.runtime.books.write(keep, SavedOrder(own.id, "payments_view", f"view {number}", "c"))
    assert (await save(gateway, own, "view 7", "other")).status == 200
    assert (await save(gateway, own, "one more")).code == "wrong_state"
    question = await gateway.ask("PUT", "/v1/me/saved/sql_question/q", {"content": "SELECT 1"}, own.token)
    assert question.status == 200
    codes = [(await save(gateway, own, " ")).code for _ in range(LIMITS["saved"].burst)]
    assert codes[-1] == "rate_limited"


async def test_it_is_sealed_in_the_books_exported_and_gone_with_the_account(gateway: Gateway) -> None:
    books, token = gateway.runtime.books, await gateway.sign_up()
    view = (await gateway.ask("PUT", f"{VIEWS}/Wilhelmina", {"content": "customer=Wilhelmina"}, token)).json
    rows = await books.read(lambda conn: str(conn.exec_driver_sql("SELECT * FROM saved").all()))
    assert "Wilhelmina" not in rows
    exported = (await gateway.ask("GET", "/v1/me/export", who=token)).json
    assert exported["saved"] == [view]
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    count = f"SELECT count(*) FROM saved WHERE account_id = '{exported['account']['id']}'"
    assert await books.read(lambda conn: conn.exec_driver_sql(count).scalar_one()) == 0
