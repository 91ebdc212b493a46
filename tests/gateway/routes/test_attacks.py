"""What somebody with good rights tries beyond them. Each test fails without the defence that its name tells."""

import asyncio
from base64 import b64encode
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.roles import SCOPES
from tests.gateway.actors import FORM, Actor, Actors
from tests.gateway.conftest import Answer, Gateway
from tests.gateway.routes.test_clients import READS, make, trade
from tests.gateway.routes.worlds import PAYERS, SELLERS, World, build

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADERS = (
    "name:with:colons",
    "cli_\u00fc\u4e2d\U0001f511",
    "cli_\u0000",
    "%zz",
    "a" * 5_000,
    "",
    "notifications ",
    "NOTIFICATIONS",
)


@pytest.fixture
def actors(gateway: Gateway) -> Actors:
    return Actors(gateway)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worlds(gateway: Gateway) -> tuple[World, World]:
    """One's own, and one of others."""
    actors = Actors(gateway)
    return await build(actors), await build(actors)


async def pay(gateway: Gateway, who: Actor, merchant_id: str, card: str) -> Answer:
    by_card = {"type": "card", "card": card}
    body = {"amount": 100, "currency": "EUR", "merchant": merchant_id, "payment_method": by_card}
    return await gateway.ask("POST", "/v1/payments", body, who.token, idempotency_key=uuid4().hex)


@pytest.mark.parametrize("who", ["customer", "owner", "client", "app"])
async def test_a_filter_by_somebody_elses_id_shows_nothing(
    gateway: Gateway, worlds: tuple[World, World], who: str
) -> None:
    ours, theirs = worlds
    asked = [f"/v1/refunds?payment={theirs.ids['payment']}", f"/v1/payments?merchant={theirs.ids['merchant']}"]
    if who in ("owner", "client"):
        asked.append(f"/v1/payments?customer={theirs.ids['account']}")
    for path in asked:
        answer = await gateway.ask("GET", path, who=ours.actors[who].token)
        assert (answer.status, answer.json["data"]) == (200, []), path


async def test_a_cursor_of_somebody_else_is_no_way_into_their_list(
    gateway: Gateway, worlds: tuple[World, World]
) -> None:
    ours, theirs = worlds
    for _ in range(2):
        await make(gateway, theirs.actors["owner"].token)
    cursor = (await gateway.ask("GET", "/v1/clients?limit=1", who=theirs.actors["owner"].token)).json[
        "next_cursor"
    ]
    answer = await gateway.ask("GET", f"/v1/clients?limit=1&cursor={cursor}", who=ours.actors["owner"].token)
    assert answer.code == "invalid_request"


@pytest.mark.parametrize("who", ["customer", "owner", "operator", "client", "app", "admin"])
async def test_nobody_pays_with_a_card_of_somebody_else(
    gateway: Gateway, worlds: tuple[World, World], who: str
) -> None:
    ours, theirs = worlds
    for card in theirs.cards.values():
        assert (await pay(gateway, ours.actors[who], ours.ids["merchant"], card)).code == "not_found"


@pytest.mark.parametrize("whom", ["account", "person"])
async def test_no_payment_is_made_to_who_is_no_merchant(
    gateway: Gateway, worlds: tuple[World, World], whom: str
) -> None:
    ours, _ = worlds
    answer = await pay(gateway, ours.actors["customer"], ours.ids[whom], ours.cards["customer"])
    assert answer.code == "not_found"


async def test_an_owner_makes_no_client_of_another_merchant(gateway: Gateway, worlds: tuple[World, World]) -> None:
    ours, theirs = worlds
    for merchant in (theirs.ids["merchant"], ours.ids["account"], "acc_none"):
        assert (await make(gateway, ours.actors["owner"].token, merchant=merchant)).code == "not_found"
    for nobody in (ours.ids["account"], ours.ids["person"]):
        assert (await make(gateway, "admin", merchant=nobody)).code == "not_found"


@pytest.mark.parametrize("who", ["customer", "operator", "viewer", "analyst", "client", "app", "service"])
async def test_who_is_no_owner_makes_no_client(gateway: Gateway, worlds: tuple[World, World], who: str) -> None:
    assert (await make(gateway, worlds[0].actors[who].token)).code == "forbidden"


@pytest.mark.parametrize("scope", sorted(SCOPES.keys() - set(SELLERS.split())))
async def test_no_client_of_a_merchant_has_more_than_its_owner_and_less_than_a_person(
    gateway: Gateway, worlds: tuple[World, World], scope: str
) -> None:
    ours, _ = worlds
    for who, fields in ((ours.actors["owner"].token, {}), ("admin", {"merchant": ours.ids["merchant"]})):
        made = await make(gateway, who, scopes=["payments:read", scope], **fields)
        assert made.code == "forbidden"


@pytest.mark.parametrize("scope", sorted(SCOPES.keys() - set(PAYERS.split())))
async def test_no_app_has_more_than_a_customer(gateway: Gateway, worlds: tuple[World, World], scope: str) -> None:
    fields = {"type": "public", "redirect_uris": ["http://localhost/"]}
    for who in (worlds[0].actors["owner"].token, "admin"):
        assert (await make(gateway, who, scopes=[scope], **fields)).code == "forbidden"


@pytest.mark.parametrize("scope", sorted(SCOPES.keys() - {"merchants:write"}))
async def test_no_service_that_an_admin_makes_reads_or_moves_what_is_others(gateway: Gateway, scope: str) -> None:
    assert (await make(gateway, "admin", scopes=[scope])).code == "forbidden"


async def test_a_client_has_no_more_than_its_merchant_has_now(gateway: Gateway, actors: Actors) -> None:
    merchant_id = await actors.merchant()
    client = await actors.client(merchant_id, " ".join(SCOPES))  # as if its row had been written by somebody
    for path in ("/v1/reviews", "/v1/tasks", "/v1/me", "/v1/clients", f"/v1/merchants/{merchant_id}/people"):
        assert (await gateway.ask("GET", path, who=client.token)).code == "forbidden", path


@pytest.mark.parametrize("role", ["analyst", "admin", "merchant"])
async def test_a_merchants_app_acts_for_customers_alone(gateway: Gateway, actors: Actors, role: Any) -> None:
    app = await actors.client(await actors.merchant(), PAYERS, type="public")
    victim = await actors.log_in(await actors.account(role), role, app.id, PAYERS)
    assert (await gateway.ask("GET", "/v1/payments", who=victim.token)).code == "unauthenticated"


async def test_an_app_that_is_revoked_takes_its_logins_along(gateway: Gateway, actors: Actors) -> None:
    app = await actors.client(await actors.merchant(), PAYERS, type="public")
    customer = await actors.log_in(await actors.account("customer"), "customer", app.id, PAYERS)
    assert (await gateway.ask("GET", "/v1/payments", who=customer.token)).status == 200
    assert (await gateway.ask("DELETE", f"/v1/clients/{app.id}", who="admin")).status == 204
    assert (await gateway.ask("GET", "/v1/payments", who=customer.token)).code == "unauthenticated"


async def test_a_viewer_refunds_nothing_and_an_operator_lets_nobody_in(
    gateway: Gateway, worlds: tuple[World, World]
) -> None:
    ours, _ = worlds
    merchant, payment = ours.ids["merchant"], ours.ids["payment"]
    refund = await gateway.ask(
        "POST", f"/v1/payments/{payment}/refunds", {"amount": 1}, ours.actors["viewer"].token, idempotency_key="v"
    )
    assert refund.code == "forbidden"
    for role in ("owner", "operator", "viewer"):
        body = {"email": f"{uuid4().hex}@example.com", "role": role}
        added = await gateway.ask("POST", f"/v1/merchants/{merchant}/people", body, ours.actors["operator"].token)
        assert added.code == "forbidden"


@pytest.mark.parametrize("role", ["admin", "analyst", "merchant", "customer", "service", "", "Owner"])
async def test_a_person_is_given_no_role_but_a_merchants(
    gateway: Gateway, worlds: tuple[World, World], role: str
) -> None:
    ours, _ = worlds
    body = {"email": f"{uuid4().hex}@example.com", "role": role}
    path = f"/v1/merchants/{ours.ids['merchant']}/people"
    assert (await gateway.ask("POST", path, body, ours.actors["owner"].token)).code == "invalid_request"


async def test_a_client_of_a_merchant_whose_address_is_not_confirmed_may_nothing(
    gateway: Gateway, actors: Actors
) -> None:
    merchant_id = await actors.account("merchant", email_confirmed_at=None)
    client = await actors.client(merchant_id, "payments:read")
    assert (await gateway.ask("GET", "/v1/payments", who=client.token)).code == "not_confirmed"
    owner = await actors.log_in(merchant_id, "merchant")
    assert (await make(gateway, owner.token)).code == "not_confirmed"


@pytest.mark.parametrize("end", ["revoke", "rotate"])
async def test_a_secret_that_ends_while_it_is_used_gives_no_token_afterwards(gateway: Gateway, end: str) -> None:
    made = (await make(gateway)).json

    async def stop() -> Answer:
        path = f"/v1/clients/{made['id']}"
        if end == "revoke":
            return await gateway.ask("DELETE", path, who="merchant")
        return await gateway.ask("POST", f"{path}/rotate", {"overlap_s": 0}, "merchant")

    def use() -> list[asyncio.Task[Answer]]:
        return [asyncio.create_task(trade(gateway, made["id"], made["secret"])) for _ in range(8)]

    before, stopped, beside = use(), await stop(), use()
    assert stopped.status in (200, 204)
    tokens = [answer.json["access_token"] for answer in await asyncio.gather(*before) if answer.status == 200]
    assert {answer.status for answer in await asyncio.gather(*beside)} == {401}
    statuses = {(await gateway.ask("GET", "/v1/payments", who=token)).status for token in tokens}
    assert statuses <= ({401} if end == "revoke" else {200})


@pytest.mark.parametrize("client_id", HEADERS)
@pytest.mark.parametrize("is_encoded", [True, False])
async def test_a_strange_id_in_basic_authentication_is_a_client_that_nobody_knows(
    gateway: Gateway, client_id: str, is_encoded: bool
) -> None:
    if is_encoded:
        answer = await trade(gateway, client_id, "sk_sluice_x")
    else:
        header = "Basic " + b64encode(f"{client_id}:sk_sluice_x".encode()).decode()
        form = b"grant_type=client_credentials"
        answer = await gateway.ask("POST", "/oauth/token", form, content_type=FORM, authorization=header)
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")


async def test_no_public_client_gets_a_token_in_its_own_name(gateway: Gateway) -> None:
    made = (await make(gateway, type="public", redirect_uris=["http://localhost/"], scopes=READS)).json
    form = f"grant_type=client_credentials&client_id={made['id']}".encode()
    answer = await gateway.ask("POST", "/oauth/token", form, content_type=FORM)
    assert answer.json["error"] in ("invalid_client", "unauthorized_client")
    for secret in ("", "x", "None"):
        assert (await trade(gateway, made["id"], secret)).status == 401


async def test_a_secret_stands_nowhere_but_in_its_one_answer(
    gateway: Gateway, capfd: pytest.CaptureFixture[str]
) -> None:
    made = (await make(gateway)).json
    await gateway.ask(
        "POST", f"/v1/clients/{made['id']}/rotate", {"overlap_s": 1}, "merchant", idempotency_key="k"
    )
    rows = await gateway.runtime.books.read(
        lambda conn: (
            [str(tuple(row)) for row in conn.exec_driver_sql("SELECT * FROM client_secrets")]
            + [str(tuple(row)) for row in conn.exec_driver_sql("SELECT * FROM idempotency_keys")]
        )
    )
    listed = (await gateway.ask("GET", "/v1/clients", who="merchant")).body.decode()
    await asyncio.sleep(0.06)  # the log is written together
    everything = "".join(rows) + listed + capfd.readouterr().out
    assert made["secret"][10:] not in everything
