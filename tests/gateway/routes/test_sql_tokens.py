"""SQL tokens: made, listed and revoked by whose they are; what each one sees follows from what its owner is."""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.books import accounts
from gateway.identity.sql_tokens import LIVING_MAX
from gateway.roles import MERCHANT_ROLES, MerchantRole
from schemas.times import now
from tests.gateway.actors import Actor, Actors
from tests.gateway.conftest import Answer, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

FACTOR = "INSERT INTO second_factors VALUES ('{}', '', 1, 1, 0, 0, 0, 0)"


@pytest.fixture
def actors(gateway: Gateway) -> Actors:
    return Actors(gateway)


async def make(gateway: Gateway, who: str, **fields: Any) -> Answer:
    return await gateway.ask("POST", "/v1/sql-tokens", {"name": "Notebook"} | fields, who)


async def made(gateway: Gateway, who: str, **fields: Any) -> dict[str, Any]:
    answer = await make(gateway, who, **fields)
    assert answer.status == 201, answer.body
    shown: dict[str, Any] = answer.json
    return shown


async def check(gateway: Gateway, token: str) -> Answer:
    return await gateway.ask("POST", "/v1/sql-tokens/check", {"token": token}, await gateway.service_token("sql"))


async def sees(gateway: Gateway, token: str) -> str | None:
    """What a token sees; None where nobody knows it."""
    answer = await check(gateway, token)
    assert answer.code in (None, "not_found"), answer.body
    return None if answer.code else str(answer.json["sees"])


async def change(gateway: Gateway, account_id: str, **body: Any) -> None:
    answer = await gateway.ask("PATCH", f"/v1/accounts/{account_id}", body, "admin")
    assert answer.status == 200, answer.body


async def reader(gateway: Gateway, actors: Actors) -> tuple[Actor, str]:
    """A customer who was named a reader, and a token of theirs."""
    account_id = await actors.account("customer")
    await change(gateway, account_id, reader=True)
    named = await actors.log_in(account_id, "customer")
    return named, (await made(gateway, named.token))["token"]


async def test_a_token_is_shown_once_and_is_good_until_it_is_revoked(gateway: Gateway) -> None:
    token = await made(gateway, "analyst")
    assert re.fullmatch(r"sqt_[\w-]{43}", token["token"])
    assert await sees(gateway, token["token"]) == "all"
    await asyncio.gather(*gateway.runtime.running)  # the note that it is used
    (shown,) = (await gateway.ask("GET", "/v1/sql-tokens?limit=1", who="analyst")).json["data"]
    assert shown == {name: value for name, value in token.items() if name != "token"} | {
        "last_used_at": shown["last_used_at"]
    }
    assert shown["last_used_at"]
    for _ in range(2):  # a repeat changes nothing
        assert (await gateway.ask("DELETE", f"/v1/sql-tokens/{token['id']}", who="analyst")).status == 204
        assert await sees(gateway, token["token"]) is None
    (shown,) = (await gateway.ask("GET", "/v1/sql-tokens?limit=1", who="analyst")).json["data"]
    assert shown["revoked"]


async def test_staff_see_all_and_a_merchant_its_own(gateway: Gateway) -> None:
    for who, seen in (("analyst", "all"), ("admin", "all"), ("merchant", "own")):
        token, owner_id = await made(gateway, who), (await gateway.ask("GET", "/v1/me", who=who)).json["id"]
        merchant = {"merchant_id": owner_id} if seen == "own" else {}
        told = (await check(gateway, token["token"])).json
        assert told == {"token_id": token["id"], "account_id": owner_id, "sees": seen} | merchant


@pytest.mark.parametrize("role", MERCHANT_ROLES)
async def test_a_merchants_people_see_its_own(gateway: Gateway, actors: Actors, role: MerchantRole) -> None:
    merchant_id = await actors.merchant()
    person = await actors.person(merchant_id, role)
    told = (await check(gateway, (await made(gateway, person.token))["token"])).json
    assert (told["account_id"], told["sees"], told["merchant_id"]) == (person.id, "own", merchant_id)


async def test_a_customer_gets_none_until_an_admin_names_them(gateway: Gateway, actors: Actors) -> None:
    customer = await actors.new("customer")
    assert (await make(gateway, customer.token)).code == "forbidden"
    named, token = await reader(gateway, actors)
    assert await sees(gateway, token) == "without_cards"
    await change(gateway, named.id, reader=False)
    assert await sees(gateway, token) is None
    again = await actors.log_in(named.id, "customer")
    assert (await make(gateway, again.token)).code == "forbidden"


async def test_a_merchant_who_is_a_reader_sees_as_one(gateway: Gateway, actors: Actors) -> None:
    person = await actors.person(await actors.merchant(), "viewer")
    token = (await made(gateway, person.token))["token"]
    for named, seen in ((True, "without_cards"), (False, "own")):
        await change(gateway, person.id, reader=named)
        assert await sees(gateway, token) == seen


async def test_staff_are_no_readers_and_who_was_staff_is_none_again(gateway: Gateway, actors: Actors) -> None:
    named, token = await reader(gateway, actors)
    await change(gateway, named.id, role="analyst")
    assert await sees(gateway, token) is None  # before there is a second factor
    kept = await gateway.runtime.books.read(accounts.bare_by_id, named.id)
    assert (kept and kept.extra_scopes) == ""
    await actors.change(FACTOR.format(named.id))
    assert await sees(gateway, token) == "all"
    refused = await gateway.ask("PATCH", f"/v1/accounts/{named.id}", {"reader": True}, "admin")
    assert refused.code == "wrong_state"
    await change(gateway, named.id, role="customer")
    assert await sees(gateway, token) is None


async def test_a_role_counts_at_the_next_check(gateway: Gateway, actors: Actors) -> None:
    analyst = await actors.new("analyst")
    await actors.change(FACTOR.format(analyst.id))
    token = (await made(gateway, analyst.token))["token"]
    for role, seen in (("admin", "all"), ("customer", None), ("analyst", "all")):
        await change(gateway, analyst.id, role=role)
        assert await sees(gateway, token) == seen


async def test_staff_without_a_second_factor_see_nothing(gateway: Gateway, actors: Actors) -> None:
    analyst = await actors.new("analyst")
    token = (await made(gateway, analyst.token))["token"]
    assert await sees(gateway, token) is None
    await actors.change(FACTOR.format(analyst.id))
    assert await sees(gateway, token) == "all"
    await actors.change(f"UPDATE second_factors SET confirmed_at = NULL WHERE account_id = '{analyst.id}'")
    assert await sees(gateway, token) is None


async def test_a_disabled_owner_sees_nothing_until_they_are_enabled(gateway: Gateway, actors: Actors) -> None:
    named, token = await reader(gateway, actors)
    for disabled, seen in ((True, None), (False, "without_cards")):
        await change(gateway, named.id, disabled=disabled)
        assert await sees(gateway, token) == seen


async def test_nothing_is_left_of_who_is_erased(gateway: Gateway, actors: Actors) -> None:
    named, token = await reader(gateway, actors)
    again = await actors.log_in(named.id, "customer")
    assert (await gateway.ask("DELETE", "/v1/me", who=again.token)).status == 204
    assert await sees(gateway, token) is None
    listed = await gateway.ask("GET", f"/v1/sql-tokens?account={named.id}", who="admin")
    assert listed.json["data"] == []


async def test_a_suspended_merchants_people_see_nothing(gateway: Gateway, actors: Actors) -> None:
    merchant_id = await actors.account("merchant")
    asked = [await actors.log_in(merchant_id, "merchant"), await actors.person(merchant_id, "viewer")]
    tokens = [(await made(gateway, one.token))["token"] for one in asked]
    for suspended, seen in ((True, None), (False, "own")):
        body = {"suspended": suspended} | ({"reason": "why"} if suspended else {})
        assert (await gateway.ask("PATCH", f"/v1/merchants/{merchant_id}", body, "admin")).status == 200
        assert [await sees(gateway, token) for token in tokens] == [seen, seen]


async def test_who_is_taken_out_of_a_merchant_sees_nothing(gateway: Gateway, actors: Actors) -> None:
    merchant_id = await actors.merchant()
    owner, person = await actors.person(merchant_id, "owner"), await actors.person(merchant_id, "viewer")
    token = (await made(gateway, person.token))["token"]
    path = f"/v1/merchants/{merchant_id}/people/{person.id}"
    assert (await gateway.ask("DELETE", path, who=owner.token)).status == 204
    assert await sees(gateway, token) is None
    await change(gateway, person.id, disabled=False)  # an admin lets them log in again, for nobody
    assert await sees(gateway, token) is None


async def test_a_token_ends_when_it_was_to(gateway: Gateway, pass_time: Callable[[float], None]) -> None:
    soon = await made(gateway, "analyst", expires_at=(now() + timedelta(minutes=5)).isoformat())
    late = await made(gateway, "analyst")
    lasts = datetime.fromisoformat(late["expires_at"]) - now()
    assert timedelta(days=365) < lasts <= timedelta(days=366)
    pass_time(301)
    assert [await sees(gateway, token["token"]) for token in (soon, late)] == [None, "all"]


@pytest.mark.parametrize("days", [-1, 367])
async def test_an_end_that_is_none_is_refused(gateway: Gateway, days: int) -> None:
    answer = await make(gateway, "admin", expires_at=(now() + timedelta(days=days)).isoformat())
    assert (answer.status, answer.json["errors"][0]["path"]) == (422, "$.expires_at")


async def test_an_account_has_so_many_at_a_time(gateway: Gateway, actors: Actors) -> None:
    named, _ = await reader(gateway, actors)
    own = await actors.log_in(named.id, "customer")
    answers = await asyncio.gather(*[make(gateway, own.token) for _ in range(LIVING_MAX)])
    assert sorted(answer.status for answer in answers) == [201] * (LIVING_MAX - 1) + [409]
    last = next(answer.json for answer in answers if answer.status == 201)
    assert (await gateway.ask("DELETE", f"/v1/sql-tokens/{last['id']}", who=own.token)).status == 204
    assert (await make(gateway, own.token)).status == 201


async def test_an_old_login_gives_its_password(gateway: Gateway, pass_time: Callable[[float], None]) -> None:
    token = await gateway.token("merchant")
    pass_time(601)
    assert (await make(gateway, token)).code == "invalid_credentials"
    assert (await make(gateway, token, password="wrong")).code == "invalid_credentials"
    given = gateway.runtime.settings.seed_password
    assert (await make(gateway, token, password=given)).status == 201


async def test_an_admin_lists_and_revokes_anybodys(gateway: Gateway, actors: Actors) -> None:
    named, token = await reader(gateway, actors)
    listed = (await gateway.ask("GET", f"/v1/sql-tokens?account={named.id}", who="admin")).json["data"]
    assert [(row["account"], row["name"]) for row in listed] == [(named.id, "Notebook")]
    assert (await gateway.ask("DELETE", f"/v1/sql-tokens/{listed[0]['id']}", who="admin")).status == 204
    assert await sees(gateway, token) is None


async def test_the_audit_and_the_owners_export_tell_of_it(gateway: Gateway, actors: Actors) -> None:
    named, token = await reader(gateway, actors)
    own = await actors.log_in(named.id, "customer")
    (row,) = (await gateway.ask("GET", "/v1/sql-tokens", who=own.token)).json["data"]
    exported = (await gateway.ask("GET", "/v1/me/export", who=own.token)).json
    assert [(one["id"], one["name"], one["revoked_at"]) for one in exported["sql_tokens"]] == [
        (row["id"], "Notebook", None)
    ]
    await gateway.ask("DELETE", f"/v1/sql-tokens/{row['id']}", who=own.token)
    await change(gateway, named.id, reader=False)
    entries = (await gateway.ask("GET", f"/v1/audit?subject={named.id}", who="admin")).json["data"]
    told = ["reader_named", "sql_token_created", "export", "sql_token_revoked", "reader_unnamed"]
    assert [entry["kind"] for entry in reversed(entries)] == told
    assert entries[1]["detail"] == {"token": row["id"]}
    assert token not in str(entries) + str(exported)


async def test_a_list_of_accounts_says_who_reads(gateway: Gateway, actors: Actors) -> None:
    named, _ = await reader(gateway, actors)
    shown = (await gateway.ask("GET", "/v1/accounts?role=customer", who="admin")).json["data"]
    assert [one["id"] for one in shown if one["reader"]][:1] == [named.id]


async def test_an_access_token_sees_what_an_sql_token_of_its_person_would(
    gateway: Gateway, actors: Actors
) -> None:
    merchant_id = await actors.merchant()
    person, analyst = await actors.person(merchant_id, "viewer"), await actors.new("analyst")
    told = (await check(gateway, person.token)).json
    assert told == {
        "token_id": person.session_id,
        "account_id": person.id,
        "sees": "own",
        "merchant_id": merchant_id,
    }
    assert (await check(gateway, analyst.token)).json["sees"] == "all"
    await change(gateway, person.id, reader=True)
    assert await sees(gateway, person.token) is None, "that ended the session"
    again = await actors.log_in(person.id, "merchant")
    assert await sees(gateway, again.token) == "own", "pages of a merchant's people are of its own, reader or not"
    assert await sees(gateway, (await made(gateway, again.token))["token"]) == "without_cards"
    assert await sees(gateway, (await actors.new("customer")).token) is None


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE sessions SET revoked_at = 1 WHERE id = '{0.session_id}'",
        "UPDATE accounts SET disabled_at = 1 WHERE id = '{0.id}'",
        "UPDATE accounts SET email_confirmed_at = NULL WHERE id = '{0.id}'",
        "UPDATE accounts SET role = 'customer' WHERE id = '{0.id}'",
        "UPDATE sessions SET second_factor_at = NULL WHERE id = '{0.session_id}'",
        "UPDATE sessions SET last_used_at = 1 WHERE id = '{0.session_id}'",
    ],
)
async def test_an_access_token_is_good_as_long_as_it_would_be_at_every_route(
    gateway: Gateway, actors: Actors, end: str
) -> None:
    analyst = await actors.new("analyst")
    assert await sees(gateway, analyst.token) == "all"
    await asyncio.gather(*gateway.runtime.running)  # the note that it is used
    await actors.change(end.format(analyst))
    assert await sees(gateway, analyst.token) is None


async def test_no_access_token_of_a_program_and_none_of_a_made_up_kind_is_good(
    gateway: Gateway, actors: Actors
) -> None:
    client = await actors.client(await actors.merchant(), "payments:read sql_tokens:manage")
    analyst = await actors.new("analyst")
    narrow = await actors.client(None, "payments:read")
    inside = await actors.log_in(analyst.id, "analyst", narrow.id, "payments:read")
    head, _, signature = analyst.token.split(".")
    forged = f"{head}.{analyst.token.split('.')[1][:-4]}AAAA.{signature}"
    for token in (client.token, inside.token, forged, "eyJ.a.b", await gateway.service_token("sql")):
        assert await sees(gateway, token) is None
