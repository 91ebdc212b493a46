"""What somebody tries with SQL tokens of others, or with many. Each test fails without the defence it names."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Connection

from gateway.books.tables import metadata
from gateway.identity.sql_tokens import LIVING_MAX
from gateway.rate_limits import LIMITS
from tests.gateway.actors import Actors
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_sql_tokens import check, made, make, reader, sees
from tests.gateway.routes.worlds import PAYERS, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHERS = ("customer", "operator", "viewer", "analyst", "client", "app", "service")


@pytest.fixture
def actors(gateway: Gateway) -> Actors:
    return Actors(gateway)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(gateway: Gateway) -> World:
    return await build(Actors(gateway))


async def test_nobody_ends_a_token_of_somebody_elses_or_learns_that_it_is_there(
    gateway: Gateway, world: World
) -> None:
    token = await made(gateway, world.actors["owner"].token)
    made_up = f"stk_{uuid4().hex[:26]}"
    for who in OTHERS:
        ends = [
            await gateway.ask("DELETE", f"/v1/sql-tokens/{token_id}", who=world.actors[who].token)
            for token_id in (token["id"], made_up)
        ]
        theirs, nobodys = ({**answer.json, "request_id": ""} for answer in ends)
        assert theirs == nobodys
        assert theirs["code"] in ("not_found", "forbidden")
    assert await sees(gateway, token["token"]) == "own"


async def test_a_list_of_somebody_elses_is_empty(gateway: Gateway, world: World) -> None:
    owner = world.actors["owner"]
    await made(gateway, owner.token)
    cursor = (await gateway.ask("GET", "/v1/sql-tokens?limit=1", who=owner.token)).json["next_cursor"]
    for who in ("operator", "viewer", "analyst"):
        token = world.actors[who].token
        answer = await gateway.ask("GET", f"/v1/sql-tokens?account={owner.id}", who=token)
        assert (answer.status, answer.json["data"]) == (200, [])
        assert owner.id not in (await gateway.ask("GET", "/v1/sql-tokens", who=token)).body.decode()
        further = await gateway.ask("GET", f"/v1/sql-tokens?cursor={cursor}", who=token)
        assert owner.id not in further.body.decode(), "a cursor says where, not whose"


async def test_no_app_of_others_gets_a_token_of_a_readers(gateway: Gateway, actors: Actors) -> None:
    app = await actors.client(await actors.merchant(), PAYERS + " sql_tokens:manage", type="public")
    named, _ = await reader(gateway, actors)
    inside = await actors.log_in(named.id, "customer", app.id, PAYERS)
    assert (await make(gateway, inside.token)).code == "forbidden"
    for who in ("merchant", "admin"):
        body = {"name": "App", "scopes": ["sql_tokens:manage"]}
        public = {"type": "public", "redirect_uris": ["http://localhost/"]}
        assert (await gateway.ask("POST", "/v1/clients", body, who)).code == "forbidden"
        assert (await gateway.ask("POST", "/v1/clients", body | public, who)).code == "forbidden"


async def test_only_a_service_of_ours_learns_whose_a_token_is(gateway: Gateway, world: World) -> None:
    token = (await made(gateway, "analyst"))["token"]
    for who in (*OTHERS[:-1], "owner", "admin"):
        answer = await gateway.ask("POST", "/v1/sql-tokens/check", {"token": token}, world.actors[who].token)
        assert answer.code == "forbidden"
    notifying = await gateway.service_token("notifications")
    assert (await gateway.ask("POST", "/v1/sql-tokens/check", {"token": token}, notifying)).code == "forbidden"
    made_client = await gateway.ask("POST", "/v1/clients", {"name": "S", "scopes": ["sql_tokens:check"]}, "admin")
    assert made_client.code == "forbidden"


async def test_all_that_is_no_good_is_answered_alike(gateway: Gateway, actors: Actors) -> None:
    named, disabled = await reader(gateway, actors)
    revoked, demoted = await made(gateway, "analyst"), await actors.new("analyst")
    without_factor = (await made(gateway, demoted.token))["token"]
    await gateway.ask("DELETE", f"/v1/sql-tokens/{revoked['id']}", who="analyst")
    await actors.change(f"UPDATE accounts SET disabled_at = 1 WHERE id = '{named.id}'")
    tokens = (
        disabled,
        revoked["token"],
        without_factor,
        "sqt_" + "a" * 43,
        "x",
        "",
        "'; DROP TABLE sql_tokens; --",
    )
    answers = [(await check(gateway, token)).json | {"request_id": ""} for token in tokens]
    assert answers == [answers[0]] * len(tokens)
    assert answers[0]["code"] == "not_found"


async def test_a_token_stands_nowhere_but_in_its_one_answer(
    gateway: Gateway, actors: Actors, capfd: pytest.CaptureFixture[str]
) -> None:
    body = {"name": "Of Wilhelmina"}
    answer = await gateway.ask("POST", "/v1/sql-tokens", body, "analyst", idempotency_key="canary-key")
    token = answer.json["token"]
    assert answer.headers["Cache-Control"] == "no-store"
    told = [await check(gateway, token)]
    ask, service = gateway.ask, await gateway.service_token("sql")
    told.append(await ask("POST", "/v1/sql-tokens/check", {"token": token, "more": token}, service))
    told.append(await ask("POST", "/v1/sql-tokens/check", {"token": [token]}, service))
    told.append(await ask("DELETE", f"/v1/sql-tokens/{token}", who="analyst"))  # where its id belongs
    told.append(await ask("GET", f"/v1/sql-tokens?account={quote(token)}", who="admin"))
    told.append(await ask("GET", f"/v1/sql-tokens/{token}/nothing", who="admin"))
    told.append(await ask("GET", "/v1/payments", who=token))
    told.append(await ask("GET", "/v1/sql-tokens", who="analyst"))
    again = await ask("POST", "/v1/sql-tokens", body, "analyst", idempotency_key="canary-key")
    assert again.json["token"] != token
    await asyncio.gather(*gateway.runtime.running)
    await asyncio.sleep(0.06)  # the log is written together
    everything = await gateway.runtime.books.read(every_row)
    assert "Wilhelmina" not in str(everything), "what people write is sealed"
    everything += [answer.body.decode() for answer in told] + [capfd.readouterr().out]
    assert not [where for where in everything if token[4:] in where]


def every_row(conn: Connection) -> list[str]:
    return [str(tuple(row)) for table in metadata.sorted_tables for row in conn.execute(table.select())]


async def test_what_is_asked_after_a_revocation_is_answered_no(gateway: Gateway) -> None:
    token = await made(gateway, "analyst")
    service = await gateway.service_token("sql")

    def ask() -> list[asyncio.Task[Any]]:
        body = {"token": token["token"]}
        return [asyncio.create_task(gateway.ask("POST", "/v1/sql-tokens/check", body, service)) for _ in range(8)]

    before = ask()
    ended = await asyncio.gather(
        *[gateway.ask("DELETE", f"/v1/sql-tokens/{token['id']}", who="analyst") for _ in range(4)]
    )
    assert {answer.status for answer in await asyncio.gather(*ask())} == {404}
    assert {answer.status for answer in await asyncio.gather(*before)} <= {200, 404}
    assert {answer.status for answer in ended} == {204}
    entries = (await gateway.ask("GET", "/v1/audit?kind=sql_token_revoked", who="admin")).json["data"]
    assert [entry["detail"]["token"] for entry in entries].count(token["id"]) == 1


async def test_a_clock_that_lags_brings_no_revoked_token_back(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    token = await made(gateway, "analyst")
    await gateway.ask("DELETE", f"/v1/sql-tokens/{token['id']}", who="analyst")
    pass_time(-5)
    assert await sees(gateway, token["token"]) is None


async def test_ten_thousand_tokens_are_made_by_nobody(gateway: Gateway, actors: Actors) -> None:
    named, _ = await reader(gateway, actors)
    own, statuses = await actors.log_in(named.id, "customer"), []
    for _ in range(LIMITS["sql_tokens"].burst):
        answer = await make(gateway, own.token)
        statuses.append(answer.status)
        if answer.status == 201:  # makes place for the next one
            await gateway.ask("DELETE", f"/v1/sql-tokens/{answer.json['id']}", who=own.token)
    assert statuses == [201] * (LIMITS["sql_tokens"].burst - 1) + [429]


async def test_of_many_that_come_at_once_no_more_are_made(gateway: Gateway, actors: Actors) -> None:
    named, _ = await reader(gateway, actors)
    own = await actors.log_in(named.id, "customer")
    await asyncio.gather(*[make(gateway, own.token) for _ in range(LIVING_MAX + 5)])
    listed = (await gateway.ask("GET", "/v1/sql-tokens?limit=100", who=own.token)).json["data"]
    assert len(listed) == LIVING_MAX


@pytest.mark.parametrize(
    "name",
    [
        "4111 1111 1111 1111",
        "card 4111-1111-1111-1111",
        "cvc 123",
        "note\u202etxt.exe",
        "two\nlines",
        "a\x1b[31mred",
        "",
        "  ",
        "a" * 201,
    ],
)
async def test_a_name_that_may_not_be_kept_is_refused_and_not_repeated(gateway: Gateway, name: str) -> None:
    answer = await make(gateway, "admin", name=name)
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "$.name")
    assert not name.strip() or name not in answer.body.decode()


async def test_markup_in_a_name_is_text(gateway: Gateway, actors: Actors) -> None:
    own, name = await actors.new("admin"), "<img src=x onerror=alert(1)> {{7*7}} '; --"
    await made(gateway, own.token, name=name)
    answer = await gateway.ask("GET", "/v1/sql-tokens", who=own.token)
    assert (answer.json["data"][0]["name"], answer.headers["Content-Type"]) == (name, "application/json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_nobody_names_themselves_or_anybody_but_as_an_admin(gateway: Gateway, world: World) -> None:
    for who in (*OTHERS, "owner"):
        path = f"/v1/accounts/{world.ids['account']}"
        assert (await gateway.ask("PATCH", path, {"reader": True}, world.actors[who].token)).code == "forbidden"
    admin = world.actors["admin"]
    own = await gateway.ask("PATCH", f"/v1/accounts/{admin.id}", {"reader": True}, admin.token)
    assert own.code == "wrong_state"
    for body in ({"extra_scopes": "sql_tokens:manage"}, {"scopes": ["accounts:write"]}):
        made_so = await gateway.ask("PATCH", "/v1/me", body, world.actors["customer"].token)
        assert made_so.code == "invalid_request"
