"""Confirming an e-mail address and a phone: what it takes, and what cannot be had by it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Connection, update

from gateway.books.accounts import accounts
from gateway.books.sessions import sessions
from gateway.rate_limits import LIMITS, RateLimit
from gateway.routes import confirmations as routes
from gateway.settings import GatewaySettings
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.gateway.post import Post, with_post

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR_S = 3600.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared_settings: GatewaySettings) -> AsyncIterator[tuple[Gateway, Post]]:
    """A gateway of this file, and what comes by mail and SMS."""
    async with with_post(shared_settings) as both:
        yield both


@pytest.fixture
def gateway(running: tuple[Gateway, Post]) -> Gateway:
    return running[0]


@pytest.fixture
def post(running: tuple[Gateway, Post]) -> Post:
    return running[1]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account's own limit is tried in one test."""
    monkeypatch.setitem(LIMITS, "confirmations", RateLimit(1_000, 1_000))


def address() -> str:
    return f"{uuid4().hex}@example.com"


def number() -> str:
    return f"+49151{uuid4().int % 10**8:08}"


async def confirm(gateway: Gateway, token: str, who: str | None = None) -> Answer:
    return await gateway.ask("POST", "/v1/email/confirm", {"token": token}, who)


async def confirm_phone(gateway: Gateway, who: str, code: str) -> Answer:
    return await gateway.ask("POST", "/v1/phone/confirm", {"code": code}, who)


async def send_anew(gateway: Gateway, who: str, channel: str = "email") -> Answer:
    return await gateway.ask("POST", "/v1/me/confirmations", {"channel": channel}, who)


async def me(gateway: Gateway, who: str) -> Any:
    return (await gateway.ask("GET", "/v1/me", who=who)).json


async def recipient(gateway: Gateway, who: str) -> Any:
    path = f"/v1/accounts/{(await me(gateway, who))['id']}/recipient"
    return (await gateway.ask("GET", path, who=await gateway.service_token())).json


async def test_nothing_goes_to_an_address_before_its_token_came_back(gateway: Gateway, post: Post) -> None:
    email, phone = address(), number()
    who = await gateway.sign_up(email, phone=phone)
    told = await recipient(gateway, who)
    assert not {"email", "phone"} & told.keys()
    assert told["unconfirmed"] == ["email", "sms"]
    assert (await confirm(gateway, await post.token(email))).status == 204
    assert (await confirm_phone(gateway, who, await post.code(phone))).status == 204
    told = await recipient(gateway, who)
    assert (told["email"], told["phone"], told["confirmations"]) == (email, phone, {"email": 1, "sms": 1})
    account = await me(gateway, who)
    assert (account["email_confirmed"], account["phone_confirmed"]) == (True, True)


async def test_the_seeded_accounts_are_confirmed(gateway: Gateway) -> None:
    for who in ("customer", "merchant", "analyst", "admin", "replay"):
        assert (await me(gateway, who))["email_confirmed"]
    assert (await me(gateway, "customer"))["phone_confirmed"]


async def test_a_token_is_good_once(gateway: Gateway, post: Post) -> None:
    email = address()
    await gateway.sign_up(email)
    token = await post.token(email)
    answers = await asyncio.gather(*[confirm(gateway, token) for _ in range(5)])
    assert sorted(answer.status for answer in answers) == [204, 422, 422, 422, 422]
    assert {answer.code for answer in answers if answer.status != 204} == {"confirmation_invalid"}


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "Ü" * 43])
async def test_a_made_up_token_is_good_for_nothing(gateway: Gateway, token: str) -> None:
    assert (await confirm(gateway, token)).code == "confirmation_invalid"


async def test_only_the_newest_token_is_good(gateway: Gateway, post: Post) -> None:
    email = address()
    who = await gateway.sign_up(email)
    old = await post.token(email)
    assert (await send_anew(gateway, who)).status == 202
    new = await post.token(email, 2)
    assert (await confirm(gateway, old)).code == "confirmation_invalid"
    assert (await confirm(gateway, new)).status == 204


async def test_a_token_and_a_code_are_good_for_an_hour(
    gateway: Gateway, post: Post, pass_time: Callable[[float], None]
) -> None:
    email, phone = address(), number()
    who = await gateway.sign_up(email, phone=phone)
    token, code = await post.token(email), await post.code(phone)
    pass_time(HOUR_S)
    assert (await confirm(gateway, token)).code == "confirmation_invalid"
    who = (await gateway.log_in(email, PASSWORD)).json["access_token"]
    assert (await confirm_phone(gateway, who, code)).code == "confirmation_invalid"


async def test_a_new_address_counts_once_it_is_confirmed(gateway: Gateway, post: Post) -> None:
    old, new = address(), address()
    who = await gateway.sign_up(old)
    await confirm(gateway, await post.token(old))
    changed = (await gateway.ask("PATCH", "/v1/me", {"email": new}, who)).json
    assert (changed["email"], changed["new_email"], changed["email_confirmed"]) == (old, new, True)
    assert (await recipient(gateway, who))["email"] == old
    assert (await gateway.log_in(new, PASSWORD)).status == 401
    assert (await confirm(gateway, await post.token(new))).status == 204
    changed = await me(gateway, who)
    assert (changed["email"], changed["new_email"]) == (new, None)
    assert (await recipient(gateway, who))["email"] == new
    assert (await gateway.log_in(new, PASSWORD)).status == 200
    assert (await gateway.log_in(old, PASSWORD)).status == 401
    await gateway.sign_up(old)  # it is free again


async def test_a_token_of_an_earlier_address_confirms_nothing(gateway: Gateway, post: Post) -> None:
    first, second, third = address(), address(), address()
    who = await gateway.sign_up(first)
    tokens = [await post.token(first)]
    for email in (second, third):
        await gateway.ask("PATCH", "/v1/me", {"email": email}, who)
        tokens.append(await post.token(email))
    for token in tokens[:2]:
        assert (await confirm(gateway, token)).code == "confirmation_invalid"
    await gateway.sign_up(second)  # an address that was left again belongs to nobody
    await gateway.ask("PATCH", "/v1/me", {"email": first}, who)
    assert (await me(gateway, who))["new_email"] is None
    assert (await confirm(gateway, tokens[2])).code == "confirmation_invalid"
    assert (await confirm(gateway, await post.token(first, 2))).status == 204


async def test_of_two_who_confirm_an_address_one_has_it(gateway: Gateway, post: Post) -> None:
    email = address()
    people = [await gateway.sign_up(), await gateway.sign_up()]
    tokens = []
    for n, who in enumerate(people):
        assert (await gateway.ask("PATCH", "/v1/me", {"email": email.upper() if n else email}, who)).status == 200
        tokens.append(await post.token(email if not n else email.upper().replace("EXAMPLE.COM", "example.com")))
    answers = await asyncio.gather(*[confirm(gateway, token) for token in tokens])
    assert sorted(answer.status for answer in answers) == [204, 409]
    assert {answer.code for answer in answers} == {None, "email_taken"}
    owners = [who for who in people if (await me(gateway, who))["email_confirmed"]]
    assert len(owners) == 1


async def test_a_confirmed_address_is_taken_from_nobody(gateway: Gateway, post: Post) -> None:
    who = await gateway.sign_up()
    assert (await gateway.ask("PATCH", "/v1/me", {"email": "merchant@example.com"}, who)).status == 200
    assert (await confirm(gateway, await post.token("merchant@example.com"))).code == "email_taken"
    assert (await gateway.log_in("merchant@example.com")).status == 200


async def test_who_confirms_an_address_has_it_and_not_who_entered_it_first(gateway: Gateway, post: Post) -> None:
    email = address()
    squatter, owner = await gateway.sign_up(email), await gateway.sign_up()
    await post.token(email)
    await gateway.ask("PATCH", "/v1/me", {"email": email}, owner)
    token = await post.token(email, 2)
    assert (await confirm(gateway, token, owner)).status == 204
    assert (await me(gateway, squatter))["email"] is None
    assert (await me(gateway, owner))["email"] == email


async def test_who_just_registered_gives_the_address_to_nobody_by_the_wrong_token(
    gateway: Gateway, post: Post
) -> None:
    """Somebody else asked to change theirs to it: of two mails the person might paste the newer one."""
    email = address()
    person, other = await gateway.sign_up(email), await gateway.sign_up()
    own = await post.token(email)
    await gateway.ask("PATCH", "/v1/me", {"email": email}, other)
    wrong = await post.token(email, 2)
    for who in (None, person):
        assert (await confirm(gateway, wrong, who)).code == "confirmation_invalid"
    assert (await confirm(gateway, own)).status == 204
    assert (await me(gateway, person))["email_confirmed"]
    assert (await gateway.log_in(email, PASSWORD)).status == 200
    assert (await confirm(gateway, wrong, other)).code == "email_taken"


async def test_whoever_reads_the_mailbox_gets_its_account_by_a_reset(gateway: Gateway, post: Post) -> None:
    """However somebody else's account came to have the address: their sessions end, and they have no way back."""
    email = address()
    stranger = await gateway.sign_up(phone=number())
    await gateway.ask("PATCH", "/v1/me", {"email": email}, stranger)
    assert (await confirm(gateway, await post.token(email))).status == 204
    await gateway.ask("PATCH", "/v1/me", {"email": address()}, stranger)
    await gateway.ask("POST", "/v1/password/reset", {"email": email})
    body = {"token": await post.link(email, 3), "password": "plum under the kestrel"}
    assert (await gateway.ask("POST", "/v1/password/reset/confirm", body)).status == 204
    assert (await gateway.ask("GET", "/v1/me", who=stranger)).status == 401
    mine = (await gateway.log_in(email, "plum under the kestrel")).json["access_token"]
    assert (await me(gateway, mine))["new_email"] is None


async def test_a_code_is_tried_five_times(gateway: Gateway, post: Post) -> None:
    phone = number()
    who = await gateway.sign_up(phone=phone)
    code = await post.code(phone)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for guess in (wrong, wrong, wrong, wrong, "", code):
        assert (await confirm_phone(gateway, who, guess)).code == "confirmation_invalid"
    assert (await send_anew(gateway, who, "sms")).status == 202
    assert (await confirm_phone(gateway, who, await post.code(phone, 2))).status == 204
    assert (await confirm_phone(gateway, who, code)).code == "confirmation_invalid"


async def test_guesses_at_once_are_five_too(gateway: Gateway, post: Post) -> None:
    phone = number()
    who = await gateway.sign_up(phone=phone)
    code = await post.code(phone)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    await asyncio.gather(*[confirm_phone(gateway, who, wrong) for _ in range(20)])
    assert (await confirm_phone(gateway, who, code)).code == "confirmation_invalid"


async def test_one_request_beside_itself_gets_one_answer(
    gateway: Gateway, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one is past its look for an answer when the first one is given it."""
    phone, key = number(), uuid4().hex
    who = await gateway.sign_up(phone=phone)
    body = {"code": await post.code(phone)}
    look, looks = routes.answered_before, count(1)

    async def ask() -> Answer:
        return await gateway.ask("POST", "/v1/phone/confirm", body, who, idempotency_key=key)

    async def meet(call: Any) -> Any:
        found, is_first = await look(call), next(looks) == 1
        if is_first:
            assert (await ask()).status == 204
        return found

    monkeypatch.setattr(routes, "answered_before", meet)
    late = await ask()
    assert (late.status, late.headers["Idempotent-Replayed"]) == (204, "true")


async def test_a_code_is_good_for_its_own_account_and_phone_alone(gateway: Gateway, post: Post) -> None:
    phone, other = number(), number()
    people, codes = list[str](), list[str]()
    for number_of_message in (1, 2):
        people.append(await gateway.sign_up(phone=phone))
        codes.append(await post.code(phone, number_of_message))
    mine, yours = people
    assert (await confirm_phone(gateway, mine, codes[1])).code == "confirmation_invalid"
    assert (await confirm_phone(gateway, mine, codes[0])).status == 204
    assert (await confirm_phone(gateway, yours, codes[1])).status == 204  # a phone may be of two accounts
    await gateway.ask("PATCH", "/v1/me", {"phone": other}, mine)
    assert not (await me(gateway, mine))["phone_confirmed"]
    assert "phone" not in await recipient(gateway, mine)
    await post.code(other)
    await gateway.ask("PATCH", "/v1/me", {"phone": phone}, mine)
    assert not (await me(gateway, mine))["phone_confirmed"]


async def test_what_stays_the_same_is_not_asked_for_again(gateway: Gateway, post: Post) -> None:
    email, phone = address(), number()
    who = await gateway.sign_up(email, phone=phone)
    await post.token(email)
    await confirm_phone(gateway, who, await post.code(phone))
    for body in ({"phone": phone}, {"email": email}, {"name": "Another"}):
        assert (await gateway.ask("PATCH", "/v1/me", body, who)).json["phone_confirmed"]
    await send_anew(gateway, who)
    await post.token(email, 2)
    assert (len(post.to(email)), len(post.to(phone))) == (2, 1)


async def test_there_must_be_something_to_confirm(gateway: Gateway, post: Post) -> None:
    email = address()
    who = await gateway.sign_up(email)
    assert (await send_anew(gateway, who, "sms")).code == "wrong_state"
    await confirm(gateway, await post.token(email))
    assert (await send_anew(gateway, who)).code == "wrong_state"
    assert (await send_anew(gateway, who, "webhook")).code == "invalid_request"
    premium = await gateway.sign_up(phone="+19005550006")
    assert (await send_anew(gateway, premium, "sms")).code == "wrong_state"
    assert post.to("+19005550006") == []


async def test_an_erased_account_confirms_nothing(gateway: Gateway, post: Post) -> None:
    email = address()
    who = await gateway.sign_up(email)
    token = await post.token(email)
    assert (await gateway.ask("DELETE", "/v1/me", who=who)).status == 204
    assert (await confirm(gateway, token)).code == "confirmation_invalid"


async def test_staff_confirm_their_address_before_they_do_anything_else(gateway: Gateway, post: Post) -> None:
    email = address()
    who = await gateway.sign_up(email)
    account_id = (await me(gateway, who))["id"]
    change = update(accounts).where(accounts.c.id == account_id).values(role="analyst")
    proved = update(sessions).where(sessions.c.account_id == account_id).values(second_factor_at=1)
    for done in (change, proved):
        await gateway.runtime.books.write(_run, done)
    assert (await gateway.ask("GET", "/v1/reviews", who=who)).code == "not_confirmed"
    assert (await gateway.ask("GET", "/v1/me", who=who)).status == 200
    await confirm(gateway, await post.token(email))
    assert (await gateway.ask("GET", "/v1/reviews", who=who)).status == 200


async def test_an_unconfirmed_customer_may_keep_a_card_and_pay(gateway: Gateway) -> None:
    card = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2039}
    assert (await gateway.ask("POST", "/v1/cards", card, await gateway.sign_up())).status == 201


def _run(conn: Connection, change: Any) -> None:
    conn.execute(change)
