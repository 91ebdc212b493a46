"""Merchants' people: invited by mail, acting as viewer, operator or owner, taken out; never the last owner."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from gateway.books import accounts
from gateway.books.outbox import list_history
from gateway.books.personal_books import FETCHES_MAX
from schemas.accounts import AccountChanged
from tests.gateway.actors import Actor, Actors
from tests.gateway.conftest import Answer, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def actors(gateway: Gateway) -> Actors:
    return Actors(gateway)


async def add(gateway: Gateway, merchant_id: str, who: str, role: str = "viewer", email: str = "") -> Answer:
    email = email or f"{uuid4().hex}@example.com"
    return await gateway.ask("POST", f"/v1/merchants/{merchant_id}/people", {"email": email, "role": role}, who)


async def take_out(gateway: Gateway, merchant_id: str, person_id: str, who: str) -> Answer:
    return await gateway.ask("DELETE", f"/v1/merchants/{merchant_id}/people/{person_id}", who=who)


async def owned(actors: Actors) -> tuple[str, Actor]:
    """A merchant and its one owner."""
    merchant_id = await actors.merchant()
    return merchant_id, await actors.person(merchant_id, "owner")


async def email_of(gateway: Gateway, account_id: str) -> str:
    account = await gateway.runtime.books.read(accounts.by_id, account_id)
    assert account is not None
    return str(account.email)


async def test_an_owner_invites_and_the_person_acts_for_the_merchant(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    made = await add(gateway, merchant_id, owner.token, "operator")
    assert (made.status, made.json["role"], made.json["status"]) == (201, "operator", "invited")
    people = await gateway.ask("GET", f"/v1/merchants/{merchant_id}/people", who=owner.token)
    assert [(person["id"], person["role"]) for person in people.json["data"]] == [
        (owner.id, "owner"),
        (made.json["id"], "operator"),
    ]
    person = await actors.log_in(made.json["id"], "merchant")
    me = (await gateway.ask("GET", "/v1/me", who=person.token)).json
    assert me["id"] == person.id
    assert me["merchant"] == {"id": merchant_id, "name": "Somebody", "role": "operator"}
    assert "clients:manage" not in me["scopes"]


async def test_the_seeded_merchant_is_its_own_first_owner(gateway: Gateway) -> None:
    me = (await gateway.ask("GET", "/v1/me", who="merchant")).json
    assert me["merchant"] == {"id": me["id"], "name": me["name"], "role": "owner"}
    people = (await gateway.ask("GET", f"/v1/merchants/{me['id']}/people?limit=1", who="merchant")).json
    assert [(person["id"], person["role"]) for person in people["data"]] == [(me["id"], "owner")]
    assert (await take_out(gateway, me["id"], me["id"], "admin")).code == "wrong_state"


async def test_a_list_of_people_asks_for_all_their_keys_at_once(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    for _ in range(FETCHES_MAX + 1):
        await actors.person(merchant_id, "viewer")
    gateway.runtime.key_ring._held.clear()  # as after a start
    people = await gateway.ask("GET", f"/v1/merchants/{merchant_id}/people", who=owner.token)
    assert (people.status, len(people.json["data"])) == (200, FETCHES_MAX + 2)


async def test_a_page_of_people_goes_on_where_the_last_one_ended(gateway: Gateway, actors: Actors) -> None:
    merchant_id = await actors.account("merchant")
    owner = await actors.log_in(merchant_id, "merchant")
    people = [owner.id] + [(await actors.person(merchant_id, "viewer")).id for _ in range(3)]
    seen, cursor = [], ""
    while cursor is not None:
        path = f"/v1/merchants/{merchant_id}/people?limit=2&cursor={cursor}"
        page = (await gateway.ask("GET", path, who=owner.token)).json
        seen += [person["id"] for person in page["data"]]
        cursor = page["next_cursor"]
    assert seen == people


async def test_a_persons_role_counts_from_the_next_request_on(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    person = await actors.person(merchant_id, "owner")
    email = await email_of(gateway, person.id)
    for role, status in (("viewer", 403), ("owner", 200)):
        changed = await add(gateway, merchant_id, owner.token, role, email)
        assert (changed.json["id"], changed.json["status"]) == (person.id, "active")
        assert (await gateway.ask("GET", "/v1/clients", who=person.token)).status == status


async def test_who_is_taken_out_is_refused_at_once_and_may_come_back_elsewhere(
    gateway: Gateway, actors: Actors
) -> None:
    merchant_id, owner = await owned(actors)
    person = await actors.person(merchant_id, "viewer")
    email = await email_of(gateway, person.id)
    assert (await take_out(gateway, merchant_id, person.id, owner.token)).status == 204
    assert (await gateway.ask("GET", "/v1/payments", who=person.token)).code == "unauthenticated"
    assert (await take_out(gateway, merchant_id, person.id, owner.token)).code == "not_found"
    other_id, other = await owned(actors)
    assert (await add(gateway, other_id, other.token, "viewer", email)).json["id"] == person.id
    again = await actors.log_in(person.id, "merchant")
    assert (await gateway.ask("GET", "/v1/me", who=again.token)).json["merchant"]["id"] == other_id
    by_address = await gateway.ask("DELETE", f"/v1/merchants/{other_id}/people", {"email": email}, other.token)
    assert by_address.status == 204


async def test_whom_an_admin_disabled_no_owner_lets_in_again(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    person = await actors.person(merchant_id, "viewer")
    email = await email_of(gateway, person.id)
    await take_out(gateway, merchant_id, person.id, owner.token)
    await actors.change(f"UPDATE accounts SET disabled_at = disabled_at + 1 WHERE id = '{person.id}'")
    assert (await add(gateway, merchant_id, owner.token, "viewer", email)).code == "email_taken"


async def test_the_last_owner_stays_an_owner(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    email = await email_of(gateway, owner.id)
    invited = await add(gateway, merchant_id, owner.token, "owner")  # who may never come
    assert (await take_out(gateway, merchant_id, owner.id, owner.token)).code == "wrong_state"
    assert (await add(gateway, merchant_id, "admin", "viewer", email)).code == "wrong_state"
    assert (await gateway.ask("DELETE", "/v1/me", who=owner.token)).code == "wrong_state"
    assert (await take_out(gateway, merchant_id, invited.json["id"], owner.token)).status == 204


async def test_of_two_owners_who_take_each_other_out_one_stays(gateway: Gateway, actors: Actors) -> None:
    merchant_id, one = await owned(actors)
    other = await actors.person(merchant_id, "owner")
    answers = await asyncio.gather(
        take_out(gateway, merchant_id, other.id, one.token), take_out(gateway, merchant_id, one.id, other.token)
    )
    assert sorted(answer.status for answer in answers)[0] == 204
    left = await gateway.ask("GET", f"/v1/merchants/{merchant_id}/people", who="admin")
    assert len(left.json["data"]) == 1


@pytest.mark.parametrize("role", ["customer", "analyst"])
async def test_an_account_of_somebody_else_is_not_taken_over(gateway: Gateway, actors: Actors, role: str) -> None:
    merchant_id, owner = await owned(actors)
    victim = await actors.new(role)  # type: ignore[arg-type]
    answer = await add(gateway, merchant_id, owner.token, "viewer", await email_of(gateway, victim.id))
    assert answer.code == "email_taken"
    assert (await gateway.ask("GET", "/v1/me", who=victim.token)).json["role"] == role


async def test_a_person_of_one_merchant_is_not_drawn_to_another(gateway: Gateway, actors: Actors) -> None:
    (one_id, one), (_, other) = await owned(actors), await owned(actors)
    person = await actors.person(one_id, "viewer")
    email = await email_of(gateway, person.id)
    other_id = (await gateway.ask("GET", "/v1/me", who=other.token)).json["merchant"]["id"]
    assert (await add(gateway, other_id, other.token, "owner", email)).code == "email_taken"
    taken = await gateway.ask("DELETE", f"/v1/merchants/{other_id}/people", {"email": email}, other.token)
    assert taken.code == "not_found"
    assert (await take_out(gateway, other_id, person.id, other.token)).code == "not_found"
    assert (await gateway.ask("GET", "/v1/me", who=person.token)).json["merchant"]["id"] == one_id
    assert one.id


async def test_what_is_kept_for_a_repeat_names_nobody(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    email = f"{uuid4().hex}@example.com"
    body = {"email": email, "role": "viewer"}
    answers = [
        await gateway.ask("POST", f"/v1/merchants/{merchant_id}/people", body, owner.token, idempotency_key="one")
        for _ in range(2)
    ]
    assert answers[0].body == answers[1].body
    assert email.encode() not in answers[0].body


async def test_kafka_is_told_a_merchants_trading_name_and_no_persons(gateway: Gateway, actors: Actors) -> None:
    made = (await gateway.ask("POST", "/v1/merchants", {"name": "Old name"}, "admin")).json
    path = f"/v1/merchants/{made['id']}"
    await gateway.ask("PATCH", path, {"name": "New name"}, "admin")
    person = (await add(gateway, made["id"], "admin")).json["id"]
    await take_out(gateway, made["id"], person, "admin")
    assert await told(gateway, made["id"]) == [("Old name", False, 1), ("New name", False, 2)]
    assert await told(gateway, person) == [(None, False, 1), (None, True, 2)]


async def told(gateway: Gateway, account_id: str) -> list[tuple[str | None, bool, int]]:
    """What stands on `accounts.v1` of an account: its trading name, whether it is disabled, and the sequence."""
    rows = await gateway.runtime.books.read(list_history, account_id, 0, 10)
    changed = [msgspec.json.decode(row.value, type=AccountChanged) for row in rows]
    return [(each.trading_name, each.disabled, each.sequence) for each in changed]


async def test_who_is_invited_sets_a_password_and_is_in(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    email, rules = f"{uuid4().hex}@example.com", gateway.runtime.confirmation_rules
    person_id = (await add(gateway, merchant_id, owner.token, "viewer", email)).json["id"]
    seed = await gateway.runtime.books.read(
        lambda conn: conn.exec_driver_sql(f"SELECT seed FROM letters WHERE account_id = '{person_id}'").scalar()
    )
    body = {"token": rules.link_token(bytes(seed)), "password": "an unusual set of words"}
    assert (await gateway.ask("POST", "/v1/password/reset/confirm", body)).status in (200, 204)
    people = (await gateway.ask("GET", f"/v1/merchants/{merchant_id}/people", who=owner.token)).json["data"]
    assert {person["id"]: person["status"] for person in people}[person_id] == "active"
    token = (await gateway.log_in(email, body["password"])).json["access_token"]
    assert (await gateway.ask("GET", "/v1/payments", who=token)).status == 200


async def test_admins_see_who_of_the_accounts_is_a_merchants_person(gateway: Gateway, actors: Actors) -> None:
    merchant_id, owner = await owned(actors)
    viewer = (await add(gateway, merchant_id, owner.token)).json["id"]
    assert (await take_out(gateway, merchant_id, viewer, owner.token)).status == 204
    listed = (await gateway.ask("GET", "/v1/accounts?role=merchant&limit=3", who="admin")).json["data"]
    assert {account["id"]: account["merchant"] for account in listed} == {
        merchant_id: None,
        owner.id: merchant_id,
        viewer: merchant_id,
    }
    email = await email_of(gateway, owner.id)
    (found,) = (await gateway.ask("GET", f"/v1/accounts?email={email}", who="admin")).json["data"]
    assert found["merchant"] == merchant_id
