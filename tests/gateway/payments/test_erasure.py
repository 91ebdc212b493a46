"""`DELETE /v1/me`: nothing of the person is left in any table or in the vault, and what was paid stays."""

import asyncio
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from msgspec.inspect import type_info
from sqlalchemy import Connection

from benchmarks.copies import KEY_BYTES, Today, texts_of
from benchmarks.machine.death import Died, until_death
from gateway.books.accounts import AccountGone
from gateway.books.cards import CardRow, forget_cards, upsert_card
from gateway.books.outbox import OutboxRow, outbox
from gateway.books.persons import LOOKUPS, MARK
from gateway.books.tables import metadata
from gateway.free_text import FREE
from gateway.identity import erasure
from gateway.payments.commit import receive
from gateway.payments.create import NewPayment
from gateway.web.call import Caller, identify
from schemas.accounts import AccountErased
from tests.gateway.actors import Actors
from tests.gateway.payments.conftest import RequestOf, Shop
from tests.patience import eventually

CANARY = "Wilhelmina"
TEXTS: dict[str, Any] = {"description": f"for {CANARY}", "metadata": {"gift": f"to {CANARY}"}}
PAYPAL: dict[str, Any] = {"payment_method": {"type": "paypal"}, "return_url": f"http://localhost/?who={CANARY}"}


class Person:
    """Somebody who has left their name wherever it can be left."""

    def __init__(self, shop: Shop, token: str, account_id: str) -> None:
        self._shop, self.token, self.account_id = shop, token, account_id

    async def pay(self, amount: int = 1_000, **fields: Any) -> Any:
        """The payment; by card unless `fields` say otherwise."""
        return (await self._shop.pay(amount, who=self.token, **TEXTS, **fields)).json

    async def erase(self) -> None:
        """What `DELETE /v1/me` does."""
        assert (await self._shop.gateway.ask("DELETE", "/v1/me", who=self.token)).status == 204


@pytest.fixture
async def person(shop: Shop) -> Person:
    email = f"{CANARY}.{uuid4().hex}@example.com"
    token = await shop.gateway.sign_up(email, name=CANARY, phone="+4930901820", locale="de")
    account_id = (await shop.gateway.ask("GET", "/v1/me", who=token)).json["id"]
    card = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2039, "name": CANARY}
    await shop.gateway.ask("POST", "/v1/cards", card, token, idempotency_key=uuid4().hex)
    return Person(shop, token, account_id)


async def found(shop: Shop, person: Person) -> list[str]:
    """The tables in which something of the person stands: sealed, for in clear nothing of them ever does."""
    rows = await shop.gateway.runtime.books.read(_dump)
    assert [table for table, row in rows if CANARY.lower() in row.lower() or "4930901820" in row] == []
    return [table for table, row in rows if f"{MARK}{person.account_id}:" in row]


def _dump(conn: Connection) -> list[tuple[str, str]]:
    return [
        (table.name, str(tuple(row)))
        for table in metadata.tables.values()
        for row in conn.exec_driver_sql(f"SELECT * FROM {table.name}")
    ]


def in_files(shop: Shop) -> bytes:
    """All bytes of the files in the gateway's data directory, the books' and their log among them."""
    files = shop.gateway.runtime.settings.data.rglob("*")
    return b"".join(file.read_bytes() for file in files if file.is_file())


async def money(shop: Shop) -> list[Any]:
    """What is kept of payments, refunds and postings."""
    return list(await shop.gateway.runtime.books.read(_money))


def _money(conn: Connection) -> list[tuple[Any, ...]]:
    queries = (
        "SELECT id, customer_id, amount, amount_captured, amount_refunded, state, last4, reference FROM payments",
        "SELECT id, amount, status FROM refunds",
        "SELECT account, amount FROM postings",
    )
    return [tuple(row) for query in queries for row in conn.exec_driver_sql(f"{query} ORDER BY 1, 2")]


async def test_nothing_of_the_person_is_left_and_what_was_paid_is_as_it_was(shop: Shop, person: Person) -> None:
    payment = (await person.pay(capture="manual", reference="order-1"))["id"]
    captured = await shop.post(f"/v1/payments/{payment}/capture", {}, who="merchant", key="capture")
    reason = {"reason": f"{CANARY} sent it back", "amount": 100}
    refunded = await shop.post(f"/v1/payments/{payment}/refunds", reason, who="merchant", key="refund")
    await person.pay(**PAYPAL)
    assert set(await found(shop, person)) == {
        "accounts",
        "confirmations",
        "payments",
        "refunds",
        "idempotency_keys",
    }
    assert CANARY.encode() not in in_files(shop)
    before = await money(shop)

    await person.erase()

    assert await found(shop, person) == []
    assert f"{MARK}{person.account_id}".encode() not in in_files(shop)
    assert await shop.gateway.runtime.vault.person_keys([person.account_id], make=True) == {}
    assert await money(shop) == before
    assert (await shop.gateway.runtime.vault.delete_all(person.account_id)) is None
    assert (await shop.gateway.ask("GET", "/v1/me", who=person.token)).status == 401
    again = await shop.post(f"/v1/payments/{payment}/capture", {}, who="merchant", key="capture")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status, again.json) == (200, without(captured.json))
    again = await shop.post(f"/v1/payments/{payment}/refunds", reason, who="merchant", key="refund")
    assert (again.status, again.json) == (201, without(refunded.json))
    assert len(shop.ledger("capture")) == len(shop.ledger("refund")) == 1


async def test_what_was_copied_before_opens_for_nobody_after(shop: Shop, person: Person) -> None:
    """The short form of `python -m benchmarks.shredding`."""
    runtime = shop.gateway.runtime
    await person.pay(**PAYPAL)
    copy = [row for _, row in await runtime.books.read(_dump)]
    secrets = [path.read_bytes() for path in runtime.settings.secrets().iterdir()]
    others = [secret for secret in secrets if len(secret) == KEY_BYTES]
    everybody = [person.account_id, await shop.account("merchant"), LOOKUPS]
    assert hits(copy, Today(await runtime.vault.person_keys(everybody), others))
    await person.erase()
    keys = Today(await runtime.vault.person_keys(everybody, make=True), others)
    assert (len(keys.persons), hits(copy, keys)) == (2, [])


def hits(copy: list[str], keys: Today) -> list[str]:
    """What these keys show of the person in a copy."""
    texts = [text for row in copy for text in texts_of(row, keys)]
    return [text for text in texts if CANARY.lower() in text.lower() or "4930901820" in text]


def without(shown: dict[str, Any]) -> dict[str, Any]:
    """What is shown, without what people wrote."""
    return {name: value for name, value in shown.items() if name not in ("description", "metadata", "reason")}


def test_whatever_a_payer_may_write_goes_or_is_an_id() -> None:
    """A new field of a payment is named here, and forgotten unless it stays for a reason."""
    ids = {"merchant", "payment_method", "device", "reference"}  # the device as a keyed hash
    fields = msgspec.structs.fields(NewPayment)
    free = {field.name for field in fields if str(FREE) in str(type_info(field.type))}
    assert free - ids == {"description", "metadata", "return_url"}


async def test_others_are_told_by_an_event_of_the_same_transaction(shop: Shop, person: Person) -> None:
    await person.erase()
    (event,) = await shop.gateway.runtime.books.read(_erasures)
    assert (event.topic, event.key, event.subject_id) == ("accounts.v1", person.account_id, person.account_id)
    told = msgspec.json.decode(event.value, type=AccountErased)
    assert (told.account, told.role) == (person.account_id, "customer")


def _erasures(conn: Connection) -> list[OutboxRow]:
    rows = conn.execute(outbox.select().where(outbox.c.type == "account.erased"))
    return [OutboxRow(*row) for row in rows]


async def test_a_payment_in_the_middle_of_a_call_brings_nothing_back(
    shop: Shop, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (await shop.gateway.ask("GET", "/v1/cards", who=person.token)).json["data"][0]["id"]
    visa = shop.gateway.runtime.processors["visa"]
    authorize, erased = visa.authorize, asyncio.Event()

    async def authorize_later(*asked: Any, **how: Any) -> Any:
        await erased.wait()
        return await authorize(*asked, **how)

    monkeypatch.setattr(visa, "authorize", authorize_later)
    method = {"payment_method": {"type": "card", "card": card}}
    paying = asyncio.create_task(person.pay(**method))
    await eventually(lambda: _is_sending(shop))
    await person.erase()
    erased.set()
    shown = await paying
    assert shown["state"] == "captured"
    assert shown == without(shown)
    assert await found(shop, person) == []


async def _is_sending(shop: Shop) -> bool:
    count = "SELECT count(*) FROM operations WHERE status = 'sending'"
    return bool(await shop.gateway.runtime.books.read(lambda conn: conn.exec_driver_sql(count).scalar()))


async def test_what_is_under_way_ends_as_it_would(shop: Shop, person: Person) -> None:
    waits = await person.pay(**PAYPAL)
    held = await person.pay(5_001)
    shop.fault("visa", "apply_then_silence", times=1)
    unknown = await person.pay(100, capture="manual")
    assert [payment["state"] for payment in (waits, held, unknown)] == ["requires_action", "in_review", "unknown"]
    await person.erase()
    back = await shop.come_back(await shop.press_at_paypal(waits["next_action"]["url"]))
    assert (back.status, back.json["state"]) == (200, "captured")  # where they came from is not known any more
    (review, *_) = (await shop.get("/v1/reviews", "analyst"))["data"]
    await shop.post(
        f"/v1/reviews/{review['id']}/decision", {"decision": "approve", "reason": "known"}, who="analyst"
    )
    for _ in range(3):
        await shop.expire()
    assert [await shop.state(payment["id"]) for payment in (held, unknown)] == ["captured", "authorized"]
    assert await found(shop, person) == []


async def test_killed_anywhere_it_is_done_when_asked_again(
    shop: Shop, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "AT_ONCE", 2)
    for _ in range(3):
        await person.pay(100)
    made = shop.gateway.runtime
    for dies_at in count(1):
        try:
            erasing = erasure.erase_account(made.books, made.vault, made.key_ring, person.account_id, actor_id="")
            await until_death(erasing, dies_at)
        except Died:
            if running := getattr(shop.gateway.runtime.books._books, "_running", None):
                await asyncio.wait(running)
        else:
            break
    assert dies_at > 1
    assert await found(shop, person) == []
    assert len(await shop.gateway.runtime.books.read(_erasures)) == 1


async def test_nothing_is_written_for_whom_was_erased_meanwhile(
    shop: Shop, person: Person, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = shop.gateway.runtime
    request, row = await request_of(description=CANARY)
    late = msgspec.structs.replace(row, customer_id=person.account_id)
    number, store = "4000000000000002", runtime.vault.store

    async def erase_and_store(*card: Any) -> Any:
        await person.erase()
        return await store(*card)

    monkeypatch.setattr(runtime.vault, "store", erase_and_store)
    cards = (await runtime.vault.count()).cards
    body = {"number": number, "exp_month": 1, "exp_year": 2039}
    assert (await shop.gateway.ask("POST", "/v1/cards", body, person.token)).code == "unauthenticated"
    assert (await runtime.vault.count()).cards == cards - 1  # the one before is gone, and this one too
    with pytest.raises(AccountGone):
        await runtime.books.write(receive, runtime.policy, request, late)
    assert await found(shop, person) == []


async def test_a_payment_that_comes_in_behind_an_erasure_is_met_by_it(
    shop: Shop, person: Person, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id was made before those that the erasure is past; so may a card be stored and deleted."""
    runtime = shop.gateway.runtime
    request, row = await request_of(description=CANARY)
    late = msgspec.structs.replace(row, customer_id=person.account_id)
    past = [(await person.pay())["id"] for _ in range(2)][-1]
    assert late.id < past
    await runtime.books.write(forget_cards, person.account_id)
    monkeypatch.setattr(erasure, "AT_ONCE", 2)
    step = await runtime.books.write(erasure.erase_some, person.account_id, erasure.Erased(), "")
    assert step == erasure.Erased(past)
    await runtime.books.write(receive, runtime.policy, request, late)
    await runtime.books.write(_store_and_delete, person.account_id)
    await finish(shop, person, step)
    assert await found(shop, person) == []
    owned = f"SELECT count(*) FROM cards WHERE owner_id = '{person.account_id}'"
    assert await runtime.books.read(lambda conn: conn.exec_driver_sql(owned).scalar()) == 0


async def test_a_refund_that_is_made_behind_an_erasure_is_met_by_it(
    shop: Shop, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, payment = shop.gateway.runtime.books, (await person.pay())["id"]
    await books.write(forget_cards, person.account_id)
    monkeypatch.setattr(erasure, "AT_ONCE", 1)
    step = await books.write(erasure.erase_some, person.account_id, erasure.Erased(), "")
    reason = {"reason": CANARY, "amount": 100}
    assert (await shop.post(f"/v1/payments/{payment}/refunds", reason, who="merchant")).status == 201
    await finish(shop, person, step)
    assert await found(shop, person) == []


async def finish(shop: Shop, person: Person, step: erasure.Erased) -> None:
    """The rest of an erasure in the books."""
    while not step.done:
        step = await shop.gateway.runtime.books.write(erasure.erase_some, person.account_id, step, "")


def _store_and_delete(conn: Connection, owner_id: str) -> None:
    upsert_card(conn, CardRow("card_x", owner_id, "visa", "411111", "1111", 1, 2039, "fp", 1, 2))


async def test_who_was_erased_meanwhile_is_nobody_at_their_own_account(
    shop: Shop, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was let in before is answered as whoever comes now."""
    caller = await identify(shop.gateway.runtime, person.token)
    await person.erase()

    async def let_in(*_: Any) -> Caller:
        return caller

    monkeypatch.setattr("gateway.web.endpoint.identify", let_in)
    for method, path, body in (
        ("GET", "/v1/me", None),
        ("PATCH", "/v1/me", {"name": CANARY}),
        ("GET", "/v1/me/notifications", None),
        ("PUT", "/v1/me/notifications", {"preferences": {}}),
    ):
        assert (await shop.gateway.ask(method, path, body, person.token)).code == "unauthenticated"


async def test_who_sells_and_the_only_admin_do_not_vanish(shop: Shop, person: Person) -> None:
    await person.pay()
    for who in ("merchant", "admin"):
        refused = await shop.gateway.ask("DELETE", "/v1/me", who=who)
        assert (refused.status, refused.code) == (409, "wrong_state")
        assert (await shop.get("/v1/me", who))["email"] == f"{who}@example.com"
    analyst = await Actors(shop.gateway).new("analyst")  # the vault forgets a person for all tests
    assert (await shop.gateway.ask("DELETE", "/v1/me", who=analyst.token)).status == 204
