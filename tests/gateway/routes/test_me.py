"""One's own account: shown, changed, erased."""

from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from gateway.books.accounts import accounts
from gateway.vault.client import CardUnknown
from schemas.ids import new_id
from tests.gateway.conftest import PASSWORD, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_everybody_sees_their_own_account_with_its_scopes(gateway: Gateway) -> None:
    for who, scope in (
        ("customer", "cards:write"),
        ("merchant", "refunds:write"),
        ("analyst", "labels:write"),
        ("admin", "merchants:write"),
        ("replay", "payments:import"),
    ):
        account = (await gateway.ask("GET", "/v1/me", who=who)).json
        assert account["email"] == f"{who}@example.com"
        assert scope in account["scopes"]


async def test_the_demo_customer_is_as_promised(gateway: Gateway) -> None:
    account = (await gateway.ask("GET", "/v1/me", who="customer")).json
    assert (account["phone"], account["locale"]) == ("+15005550006", "en")


async def test_a_language_is_kept_in_its_normal_form(gateway: Gateway) -> None:
    token = await gateway.sign_up(locale="en-us")
    assert (await gateway.ask("GET", "/v1/me", who=token)).json["locale"] == "en-US"
    changed = await gateway.ask("PATCH", "/v1/me", {"locale": "ZH-hant-tw"}, token)
    assert changed.json["locale"] == "zh-Hant-TW"


async def test_a_member_of_the_quiet_hours_that_nobody_knows_is_refused(gateway: Gateway) -> None:
    hours = {"start": "22:00", "end": "07:00"}
    body = {"preferences": {}, "quiet_hours": hours}
    assert (await gateway.ask("PUT", "/v1/me/notifications", body, "customer")).json["quiet_hours"] == hours
    for wrong, path in (({"until": "08:00"}, "until"), ({"end": "07:00\n"}, "end"), ({"end": "24:00"}, "end")):
        answer = await gateway.ask(
            "PUT", "/v1/me/notifications", body | {"quiet_hours": hours | wrong}, "customer"
        )
        assert [error["path"] for error in answer.json["errors"]] == [f"$.quiet_hours.{path}"]


async def test_what_is_absent_stays_and_null_removes(gateway: Gateway) -> None:
    token = await gateway.sign_up(phone="+4930901820", name="Before")
    changed = await gateway.ask("PATCH", "/v1/me", {"locale": "fr", "time_zone": "Europe/Paris"}, token)
    assert (changed.json["name"], changed.json["phone"]) == ("Before", "+4930901820")
    assert (changed.json["locale"], changed.json["time_zone"]) == ("fr", "Europe/Paris")
    changed = await gateway.ask("PATCH", "/v1/me", {"name": "After", "phone": None}, token)
    assert (changed.json["name"], changed.json["phone"], changed.json["locale"]) == ("After", None, "fr")
    assert (await gateway.ask("GET", "/v1/me", who=token)).json == changed.json


@pytest.mark.parametrize(
    "change",
    [
        {"role": "admin"},
        {"email": "x"},
        {"email": None},
        {"email_confirmed": True},
        {"scopes": ["merchants:write"]},
        {"name": None},
        {"name": ""},
        {"phone": "1"},
        {"phone": ""},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"locale": ""},
    ],
)
async def test_what_may_not_be_changed_is_refused_whole(gateway: Gateway, change: dict[str, Any]) -> None:
    token = await gateway.sign_up()
    before = (await gateway.ask("GET", "/v1/me", who=token)).json
    answer = await gateway.ask("PATCH", "/v1/me", {"locale": "fr"} | change, token)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert (await gateway.ask("GET", "/v1/me", who=token)).json == before


async def test_wishes_are_replaced_whole(gateway: Gateway) -> None:
    token = await gateway.sign_up()
    wishes = {
        "preferences": {"transaction_completed": ["sms", "email"], "refund": []},
        "quiet_hours": {"start": "22:00", "end": "07:30"},
        "locale": "de",
        "time_zone": "Europe/Berlin",
    }
    assert (await gateway.ask("PUT", "/v1/me/notifications", wishes, token)).json == wishes
    assert (await gateway.ask("GET", "/v1/me/notifications", who=token)).json == wishes
    fewer = await gateway.ask("PUT", "/v1/me/notifications", {"preferences": {}}, token)
    assert (fewer.json["preferences"], fewer.json["quiet_hours"], fewer.json["locale"]) == ({}, None, "de")


async def test_wishes_of_an_earlier_release_that_nothing_fulfils_are_shown_no_more(gateway: Gateway) -> None:
    token = await gateway.sign_up()
    account = (await gateway.ask("GET", "/v1/me", who=token)).json["id"]
    earlier = '{"transaction_completed":["webhook","sms"],"dispute":["email"]}'
    change = update(accounts).where(accounts.c.id == account).values(preferences=earlier)
    await gateway.runtime.books.write(lambda conn: conn.execute(change) and None)
    kept = {"transaction_completed": ["sms"]}
    assert (await gateway.ask("GET", "/v1/me/notifications", who=token)).json["preferences"] == kept
    service = await gateway.service_token()
    assert (await gateway.ask("GET", f"/v1/accounts/{account}/recipient", who=service)).json["channels"] == kept


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"preferences": {"lottery": ["email"]}}, "$.preferences"),
        ({"preferences": {"review": ["email"]}}, "$.preferences"),
        ({"preferences": {"dispute": ["sms"]}}, "$.preferences"),
        ({"preferences": {"refund": ["webhook"]}}, "$.preferences[...][0]"),
        ({"preferences": {"refund": ["pigeon"]}}, "$.preferences[...][0]"),
        ({"preferences": {"refund": ["email", "email"]}}, "$.preferences.refund"),
        ({"quiet_hours": {"start": "24:00", "end": "07:00"}}, "$.quiet_hours.start"),
        ({"quiet_hours": {"start": "22:00", "end": "7:00"}}, "$.quiet_hours.end"),
        ({"quiet_hours": {"start": "22:00\n", "end": "07:00"}}, "$.quiet_hours.start"),
        ({"quiet_hours": {"start": "22:00"}}, "$.quiet_hours.end"),
        ({"time_zone": "Nowhere"}, "$.time_zone"),
        ({"address": "x@example.com"}, "$.address"),
    ],
)
async def test_a_wrong_wish_is_named(gateway: Gateway, change: dict[str, Any], path: str) -> None:
    body: dict[str, Any] = {"preferences": {}} | change
    answer = await gateway.ask("PUT", "/v1/me/notifications", body, "customer")
    assert answer.code == "invalid_request"
    assert [error["path"] for error in answer.json["errors"]] == [path]


async def test_erasure_takes_the_person_out_of_books_and_vault(gateway: Gateway) -> None:
    email = "erased@example.com"
    token = await gateway.sign_up(email, name="Erika Erased", phone="+4930901820")
    account = (await gateway.ask("GET", "/v1/me", who=token)).json["id"]
    card = {"exp_month": 1, "exp_year": 2039, "name": "Erika Erased"}
    numbers = ("4242424242424242", "5555555555554444")
    kept = [await gateway.ask("POST", "/v1/cards", card | {"number": number}, token) for number in numbers]

    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204

    assert (await gateway.ask("GET", "/v1/me", who=token)).status == 401
    assert (await gateway.log_in(email, PASSWORD)).code == "invalid_credentials"
    for each in kept:
        with pytest.raises(CardUnknown):
            await gateway.runtime.vault.open(each.json["id"], account, new_id("op"))
    row = await gateway.runtime.books.read(_row, account)
    assert not {email, "Erika Erased", "+4930901820"} & set(row)
    recipient = await gateway.ask("GET", f"/v1/accounts/{account}/recipient", who=await gateway.service_token())
    assert recipient.status == 404
    await gateway.sign_up(email)  # the address is free again


def _row(conn: Connection, account: str) -> tuple[Any, ...]:
    return tuple(conn.execute(select(accounts).where(accounts.c.id == account)).one())
