"""Admins make accounts, list them, and change what others are."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, select

from gateway.books import accounts
from gateway.books.outbox import outbox
from gateway.settings import GatewaySettings
from schemas.accounts import AccountChanged
from tests.gateway.conftest import PASSWORD, Gateway
from tests.gateway.post import with_post

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "plum under the kestrel"


async def make(gateway: Gateway, email: str, role: str, who: str = "admin", **fields: str) -> dict[str, Any]:
    body = {"email": email, "name": "Somebody", "role": role, "password": PASSWORD} | fields
    answer = await gateway.ask("POST", "/v1/accounts", body, who)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


async def confirmed_admin(gateway: Gateway, email: str) -> tuple[str, str]:
    """The id and a token of a further admin."""
    made = await make(gateway, email, "admin")
    await gateway.runtime.books.write(accounts.confirm_email, made["id"], email, email, 1)
    return made["id"], (await gateway.log_in(email, PASSWORD)).json["access_token"]


async def change(gateway: Gateway, account_id: str, who: str = "admin", **body: Any) -> Any:
    return await gateway.ask("PATCH", f"/v1/accounts/{account_id}", body, who)


async def own_id(gateway: Gateway, who: str) -> str:
    return str((await gateway.ask("GET", "/v1/me", who=who)).json["id"])


def told(conn: Connection, account_id: str) -> list[AccountChanged]:
    rows = conn.execute(select(outbox).where(outbox.c.subject_id == account_id).order_by(outbox.c.id))
    return [msgspec.json.decode(row.value, type=AccountChanged) for row in rows]


async def test_somebody_without_a_password_is_invited_by_mail(gateway_settings: GatewaySettings) -> None:
    async with with_post(gateway_settings) as (gateway, post):
        body = {"email": "ana@example.com", "name": "Ana", "role": "analyst", "locale": "de"}
        assert (await gateway.ask("POST", "/v1/accounts", body, "admin")).status == 201
        assert (await gateway.log_in("ana@example.com", PASSWORD)).code == "invalid_credentials"
        link = {"token": await post.link("ana@example.com"), "password": NEW}
        assert post.to("ana@example.com")[0].subject == "Ihr Konto bei Sluice"
        assert (await gateway.ask("POST", "/v1/password/reset/confirm", link)).status == 204
        token = (await gateway.log_in("ana@example.com", NEW)).json["access_token"]
        me = (await gateway.ask("GET", "/v1/me", who=token)).json
        assert (me["email_confirmed"], me["missing"]) == (True, ["second_factor"])
    assert [message.to for message in post.inbox].count("ana@example.com") == 2  # it has a password, it is told


async def test_a_merchant_is_made_with_its_first_owner(gateway: Gateway) -> None:
    made = await make(gateway, "shop@example.com", "merchant", name="Kestrel Books")
    token = (await gateway.log_in("shop@example.com", PASSWORD)).json["access_token"]
    assert (await gateway.ask("GET", "/v1/me", who=token)).json["id"] == made["id"]
    (event,) = await gateway.runtime.books.read(told, made["id"])
    assert (event.role, event.disabled, event.trading_name) == ("merchant", False, "Kestrel Books")


async def test_accounts_are_found_by_address_and_role_and_paged(gateway: Gateway) -> None:
    made = [(await make(gateway, f"ana{n}@example.com", "analyst"))["id"] for n in range(3)]
    one = await gateway.ask("GET", "/v1/accounts?email=ANA2%40example.com", who="admin")
    assert [account["id"] for account in one.json["data"]] == [made[2]]
    none = await gateway.ask("GET", "/v1/accounts?email=ana2%40example.com&role=admin", who="admin")
    assert none.json == {"data": [], "next_cursor": None}
    found, cursor = list[str](), ""
    while cursor is not None:
        page = await gateway.ask("GET", f"/v1/accounts?role=analyst&limit=2&cursor={cursor}", who="admin")
        found += [account["id"] for account in page.json["data"]]
        cursor = page.json["next_cursor"]
    assert (found[:3], found[-1]) == (made[::-1], await own_id(gateway, "analyst"))
    everybody = await gateway.ask("GET", "/v1/accounts?limit=100", who="admin")
    roles = {account["role"] for account in everybody.json["data"]}
    assert roles == {"customer", "merchant", "analyst", "admin"}
    assert (await gateway.ask("GET", "/v1/accounts?email=x", who="analyst")).status == 403


async def test_a_role_counts_from_the_next_request_on(gateway: Gateway) -> None:
    email = "demoted@example.com"
    made = await make(gateway, email, "analyst")
    await gateway.runtime.books.write(accounts.confirm_email, made["id"], email, email, 1)
    token = (await gateway.log_in(email, PASSWORD)).json["access_token"]
    assert (await gateway.ask("GET", "/v1/reviews", who=token)).code == "not_confirmed"
    answer = await change(gateway, made["id"], role="customer")
    assert (answer.status, answer.json["role"]) == (200, "customer")
    assert (await gateway.ask("GET", "/v1/reviews", who=token)).status == 401
    token = (await gateway.log_in(email, PASSWORD)).json["access_token"]
    assert (await gateway.ask("GET", "/v1/reviews", who=token)).code == "forbidden"
    events = await gateway.runtime.books.read(told, made["id"])
    assert [(event.sequence, event.role) for event in events] == [(1, "analyst"), (2, "customer")]


async def test_a_disabled_person_is_out_with_token_refresh_and_password_until_enabled(gateway: Gateway) -> None:
    mine = await gateway.sign_up("off@example.com")
    pair = (await gateway.log_in("off@example.com", PASSWORD)).json
    account_id = await own_id(gateway, mine)
    assert (await change(gateway, account_id, disabled=True)).json["disabled"] is True
    for token in (mine, pair["access_token"]):
        assert (await gateway.ask("GET", "/v1/me", who=token)).status == 401
    fresh = await gateway.ask("POST", "/v1/login/refresh", {"refresh_token": pair["refresh_token"]})
    assert fresh.status == 401
    assert (await gateway.log_in("off@example.com", PASSWORD)).code == "invalid_credentials"
    assert (await change(gateway, account_id, disabled=False)).json["disabled"] is False
    assert (await gateway.ask("GET", "/v1/me", who=mine)).status == 401  # what was ended stays so
    assert (await gateway.log_in("off@example.com", PASSWORD)).status == 200


async def test_nobody_changes_their_own_rights_or_what_a_merchant_is(gateway: Gateway) -> None:
    admin_id, merchant_id = await own_id(gateway, "admin"), await own_id(gateway, "merchant")
    customer_id = await own_id(gateway, "customer")
    for account_id, body in (
        (admin_id, {"role": "customer"}),
        (admin_id, {"disabled": True}),
        (merchant_id, {"role": "admin"}),
        (customer_id, {"role": "merchant"}),
    ):
        assert (await change(gateway, account_id, **body)).code == "wrong_state"
    assert (await change(gateway, "acc_none", role="admin")).code == "not_found"
    assert (await change(gateway, customer_id, "analyst", role="admin")).code == "forbidden"


async def test_of_two_admins_who_demote_each_other_one_stays(gateway: Gateway) -> None:
    eve_id, eve = await confirmed_admin(gateway, "eve@example.com")
    admin_id, admin = await own_id(gateway, "admin"), await gateway.token("admin")
    asked = [change(gateway, eve_id, admin, role="customer"), change(gateway, admin_id, eve, disabled=True)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) in ([200, 401], [200, 403])
    assert len(await gateway.runtime.books.write(accounts.admins)) == 1
