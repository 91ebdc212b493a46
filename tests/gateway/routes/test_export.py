"""`GET /v1/me/export`: a person gets all that is kept of them, and nobody else's."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from gateway.books import consents
from gateway.books.tables import metadata
from gateway.rate_limits import LIMITS
from gateway.routes.export import PersonExport
from tests.gateway.conftest import PASSWORD, Gateway
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ABOUT = {  # columns that may name an account, besides those that refer to `accounts`
    "account_id",
    "actor_id",
    "created_by",
    "customer_id",
    "decided_by",
    "merchant_id",
    "owner_id",
    "recorded_by",
    "requested_by",
    "resolved_by",
    "subject",
    "subject_id",
}
NOT = "not, because "
# Where each is exported, or why it is not. A new table with such a column fails here until that is decided.
DECIDED = {
    ("audit", "actor_id"): "acts",
    ("audit", "subject_id"): "acts",
    ("authorization_codes", "account_id"): NOT + "each is good for a minute, and a login or nothing comes of it",
    ("caps", "subject"): NOT + "what is counted against an account would help a thief",
    ("cards", "owner_id"): "cards",
    ("clients", "account_id"): "clients",
    ("clients", "created_by"): NOT + "it is the client's, and the act is in the audit",
    ("confirmations", "account_id"): "confirmations",
    ("consents", "account_id"): "consents",
    ("destructions", "account_id"): NOT + "there is nobody left to ask",
    ("idempotency_keys", "account_id"): NOT + "it keeps copies of answers, for a day",
    ("idempotency_keys", "subject_id"): NOT + "it keeps copies of answers, for a day",
    ("known_callers", "account_id"): "known_callers",
    ("labels", "decided_by"): NOT + "it is an act of staff, among its `acts`",
    ("labels", "merchant_id"): NOT + "what was said of a merchant's payments is staff's",
    ("labels", "recorded_by"): NOT + "it is an act of staff",
    ("letters", "account_id"): "letters",
    ("lookalikes", "subject"): NOT + "what is counted against an account would help a thief",
    ("merchant_people", "account_id"): "acts_for",
    ("merchant_people", "merchant_id"): NOT + "who acts for a merchant has an export of their own",
    ("one_time_links", "account_id"): "one_time_links",
    ("operations", "requested_by"): NOT + "it is a merchant's act on a payment, of its business",
    ("outbox", "subject_id"): NOT + "events hold nothing personal, and payments have what they tell",
    ("payments", "customer_id"): "payments",
    ("payments", "merchant_id"): NOT + "what a merchant sold is its business: GET /v1/payments",
    ("recovery_codes", "account_id"): "second_factor",
    ("refunds", "customer_id"): "payments",
    ("refunds", "merchant_id"): NOT + "what a merchant sold is its business: GET /v1/refunds",
    ("list_entries", "owner_id"): NOT + "it is an act of staff, among its `acts`",
    ("reviews", "decided_by"): NOT + "it is an act of staff, among its `acts`",
    ("saved", "account_id"): "saved",
    ("second_factors", "account_id"): "second_factor",
    ("sessions", "account_id"): "sessions",
    ("sql_tokens", "account_id"): "sql_tokens",
    ("sql_tokens", "created_by"): NOT + "it is the token's, and the act is in the audit",
    ("tasks", "resolved_by"): NOT + "it is an act of staff, among its `acts`",
}
CANARY = "Wilhelmina"


async def exported(gateway: Gateway, who: str) -> dict[str, Any]:
    """The document."""
    answer = await gateway.ask("GET", "/v1/me/export", who=who)
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    document: dict[str, Any] = answer.json
    return document


async def test_a_person_finds_whatever_they_left(gateway: Gateway) -> None:
    email = f"{CANARY.lower()}.{uuid4().hex}@example.com"
    token = await gateway.sign_up(email, name=CANARY, phone="+4930901820", locale="de")
    await gateway.ask("PATCH", "/v1/me", {"email": f"new.{email}"}, token)
    number = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2039}
    card = (await gateway.ask("POST", "/v1/cards", number, token)).json
    found = await exported(gateway, token)
    account = found["account"]
    assert (account["email"], account["new_email"], account["name"]) == (email, f"new.{email}", CANARY)
    assert (account["phone"], account["locale"]) == ("+4930901820", "de")
    assert {asked["address"] for asked in found["confirmations"]} == {f"new.{email}", "+4930901820"}
    assert [each["card"] for each in found["cards"]] == [card]
    assert [session["revoked_at"] for session in found["sessions"]] == [None]
    assert found["known_callers"] == {"device": 1, "address": 1}
    assert CANARY not in str(await exported(gateway, "customer"))


async def test_what_was_done_to_a_person_and_by_them_is_there_once_and_ended_logins_too(gateway: Gateway) -> None:
    email = f"{uuid4().hex}@example.com"
    token = await gateway.sign_up(email)
    await gateway.ask("POST", "/v1/me/totp", {}, token)
    account_id = (await exported(gateway, token))["account"]["id"]
    await gateway.ask("PATCH", f"/v1/accounts/{account_id}", {"disabled": True}, "admin")
    await gateway.ask("PATCH", f"/v1/accounts/{account_id}", {"disabled": False}, "admin")
    admin = await exported(gateway, "admin")
    by_admin = [act["kind"] for act in admin["acts"] if act["subject"] == account_id]
    assert by_admin == ["account_enabled", "account_disabled"]
    token = (await gateway.log_in(email, PASSWORD)).json["access_token"]
    found = await exported(gateway, token)
    assert [act["kind"] for act in found["acts"]] == ["export", *by_admin, "export", "login", "login"]
    assert [session["revoked_at"] is None for session in found["sessions"]].count(False) == 1
    assert (found["second_factor"]["confirmed_at"], found["second_factor"]["recovery_codes"]) == (None, 10)


async def test_a_mail_that_waits_and_its_link_are_there_until_the_person_is_erased(gateway: Gateway) -> None:
    email = f"{uuid4().hex}@example.com"
    token = await gateway.sign_up(email)
    await gateway.ask("POST", "/v1/password/reset", {"email": email})
    await eventually(lambda: not gateway.runtime.running)
    found = await exported(gateway, token)
    assert (found["letters"], found["one_time_links"]) == (["password_reset"], ["password_reset"])
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    count = f"SELECT count(*) FROM letters WHERE account_id = '{found['account']['id']}'"
    assert await gateway.runtime.books.read(lambda conn: conn.exec_driver_sql(count).scalar_one()) == 0


async def test_what_a_person_allowed_an_app_is_there_until_they_are_erased(gateway: Gateway) -> None:
    books, token = gateway.runtime.books, await gateway.sign_up()
    account_id = (await exported(gateway, token))["account"]["id"]
    await books.write(consents.give, account_id, "notifications", frozenset({"cards:read", "account"}), 1)
    (found,) = (await exported(gateway, token))["consents"]
    assert found == {
        "client": "notifications",
        "scopes": "account cards:read",
        "given_at": "1970-01-01T00:00:00.000001Z",
    }
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    assert await books.read(consents.of_account, account_id) == []


async def test_an_export_is_granted_a_few_times_a_day_to_staff_too(gateway: Gateway) -> None:
    for _ in range(LIMITS["exports"].burst):
        await exported(gateway, "analyst")
    assert (await gateway.ask("GET", "/v1/me/export", who="analyst")).code == "rate_limited"


async def test_an_export_is_in_the_audit(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Any] = []
    monkeypatch.setattr(gateway.runtime.books, "listener", lines.extend)
    token = await gateway.sign_up()
    assert (await gateway.ask("HEAD", "/v1/me/export", who=token)).status == 200  # its body goes nowhere
    account = (await exported(gateway, token))["account"]
    acts = [line for line in lines if getattr(line, "kind", "") == "export"]
    assert [(act.actor_id, act.subject_id) for act in acts] == [(account["id"], account["id"])]


async def test_who_was_erased_gets_none(gateway: Gateway) -> None:
    token = await gateway.sign_up()
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    assert (await gateway.ask("GET", "/v1/me/export", who=token)).status == 401


async def test_each_column_that_names_an_account_is_exported_or_said_why_not() -> None:
    found = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if column.name in ABOUT or any(key.column.table.name == "accounts" for key in column.foreign_keys)
    }
    sections = {field.name for field in msgspec.structs.fields(PersonExport)}
    assert found == DECIDED.keys()
    assert {where for where in DECIDED.values() if not where.startswith(NOT)} <= sections
