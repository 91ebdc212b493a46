"""Who gets an account, and what it looks like."""

import pytest

from gateway.books import accounts
from tests.gateway.conftest import PASSWORD, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_new_account_is_a_customers_and_can_log_in(gateway: Gateway) -> None:
    body = {
        "email": "Zoe@Example.COM",
        "password": PASSWORD,
        "name": " Zoe ",
        "phone": "+49 30 901820",
        "locale": "de-AT",
    }
    made = await gateway.ask("POST", "/v1/accounts", body)
    assert made.status == 201
    account = made.json
    assert account["id"].startswith("acc_")
    assert (account["role"], account["email"], account["name"]) == ("customer", "Zoe@example.com", "Zoe")
    assert (account["phone"], account["locale"], account["time_zone"]) == ("+4930901820", "de-AT", "UTC")
    assert account["created_at"].endswith("Z")
    token = (await gateway.log_in("zoe@example.com", PASSWORD)).json["access_token"]
    me = (await gateway.ask("GET", "/v1/me", who=token)).json
    assert (account.pop("second_factor"), me.pop("second_factor")["is_set"]) == (None, False)
    assert me == account


async def test_an_address_is_taken_whatever_its_case(gateway: Gateway) -> None:
    await gateway.sign_up("taken@example.com")
    body = {"email": "TAKEN@example.com", "password": PASSWORD, "name": "Other"}
    answer = await gateway.ask("POST", "/v1/accounts", body)
    assert (answer.status, answer.code) == (409, "email_taken")


async def test_the_books_hold_a_hash_of_the_password(gateway: Gateway) -> None:
    await gateway.sign_up("hashed@example.com")

    found = await gateway.runtime.books.read(accounts.by_email, "hashed@example.com")
    assert str(found and found.password_hash).startswith("$argon2id$v=19$")


async def test_customers_start_with_mail_about_their_payments_and_others_with_nothing(gateway: Gateway) -> None:
    token = await gateway.sign_up()
    mine = await gateway.ask("GET", "/v1/me/notifications", who=token)
    assert mine.json["preferences"] == {"transaction_completed": ["email"]}
    for who in ("merchant", "analyst", "admin", "replay"):
        assert (await gateway.ask("GET", "/v1/me/notifications", who=who)).json["preferences"] == {}
