"""Who is shown which print of a number: nobody can compare what they tokenize with payments of others."""

from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.books.cards import select_card
from gateway.vault.client import VaultAway
from gateway.vault.frames import KeepHeads
from tests.gateway.payments.conftest import MASTERCARD, VISA, Shop

JSON = dict[str, Any]


async def pay(shop: Shop, who: str, number: str = VISA, **fields: Any) -> JSON:
    """A payment by `who`, as it was answered."""
    card = {"type": "card", "card": await shop.card(number, who), "cvc": "100"}
    payment: JSON = (await shop.pay(who=who, payment_method=card, **fields)).json
    return payment


async def seen(shop: Shop, payment: JSON, who: str) -> JSON:
    """What `who` sees of the card that paid, alone and in a list."""
    one = (await shop.get(f"/v1/payments/{payment['id']}", who))["payment_method"]
    listed = (await shop.get("/v1/payments?limit=100", who))["data"]
    assert [each["payment_method"] for each in listed if each["id"] == payment["id"]] == [one]
    return {name: one[name] for name in ("fingerprint", "instrument") if name in one}


async def stored(shop: Shop, number: str = VISA, who: str = "customer") -> JSON:
    """A card as its owner is answered."""
    body = {"number": number, "exp_month": 1, "exp_year": 2039}
    card: JSON = (await shop.gateway.ask("POST", "/v1/cards", body, who)).json
    return card


async def vaults(shop: Shop, who: str = "customer") -> str:
    """The vault's own fingerprint of VISA."""
    owner, card = await shop.account(who), await shop.card(VISA, who)
    found = await shop.gateway.runtime.books.read(select_card, card, owner)
    assert found is not None
    return found.fingerprint


async def test_a_payer_sees_on_its_payments_what_it_sees_on_its_card(shop: Shop) -> None:
    card, paid = await stored(shop), await pay(shop, "customer")
    assert paid["payment_method"]["fingerprint"] == card["fingerprint"]
    assert await seen(shop, paid, "customer") == {"fingerprint": card["fingerprint"]}
    other = await shop.gateway.sign_up()
    assert (await stored(shop, who=other))["fingerprint"] != card["fingerprint"]


async def test_a_merchant_knows_a_number_again_and_no_card_of_its_own_tells_which_it_is(shop: Shop) -> None:
    other = await shop.gateway.sign_up()
    first, again = await pay(shop, "customer"), await pay(shop, other)
    shown = await seen(shop, first, "merchant")
    assert shown == await seen(shop, again, "merchant")
    assert shown != await seen(shop, await pay(shop, "customer", MASTERCARD), "merchant")
    own = await stored(shop, who="merchant")
    assert list(shown) == ["fingerprint"]
    assert shown["fingerprint"] != own["fingerprint"]


async def test_a_merchant_who_pays_itself_sees_of_its_card_what_it_sees_as_its_owner(shop: Shop) -> None:
    """Else each number that it tokenizes and pays with would be answered by the print of payments of others."""
    of_others = await seen(shop, await pay(shop, "customer"), "merchant")
    own, paid = await stored(shop, who="merchant"), await pay(shop, "merchant")
    assert paid["payment_method"]["fingerprint"] == own["fingerprint"] != of_others["fingerprint"]
    assert await seen(shop, paid, "merchant") == {"fingerprint": own["fingerprint"]}


async def test_staff_see_the_instrument_and_no_fingerprint(shop: Shop) -> None:
    first, again = await pay(shop, "customer"), await pay(shop, await shop.gateway.sign_up())
    for who in ("analyst", "admin"):
        shown = await seen(shop, first, who)
        assert shown == await seen(shop, again, who)
        assert list(shown) == ["instrument"]


async def test_staff_who_pay_see_no_instrument_of_their_own_card(shop: Shop) -> None:
    own, paid = await stored(shop, who="admin"), await pay(shop, "admin")
    instrument = (await seen(shop, paid, "analyst"))["instrument"]
    assert instrument not in str((own, paid))
    assert await seen(shop, paid, "admin") == {"fingerprint": own["fingerprint"]}
    label = {"label": "good", "source": "analyst"}
    answers = [await shop.post(f"/v1/payments/{paid['id']}/labels", label, who="admin")]
    answers += [await shop.post(f"/v1/payments/{paid['id']}/refunds", {}, who="admin")]
    for answer in answers:
        assert (answer.status, instrument in answer.body.decode()) == (201, False)


async def test_topics_have_the_instrument_and_no_fingerprint(shop: Shop) -> None:
    card, paid = await stored(shop), await pay(shop, "customer")
    label = {"label": "fraud", "source": "analyst"}
    await shop.post(f"/v1/payments/{paid['id']}/labels", label, who="admin")
    told = await shop.gateway.runtime.books.read(_told)
    instrument = (await seen(shop, paid, "admin"))["instrument"]
    assert {key for topic, key, _ in told if topic in ("payments.v1", "labels.v1")} == {instrument}
    shown = {card["fingerprint"], (await seen(shop, paid, "merchant"))["fingerprint"], await vaults(shop)}
    assert [value for _, _, value in told for one in shown if one in value] == []


async def test_the_vaults_own_fingerprint_is_answered_to_nobody(shop: Shop) -> None:
    paid = await pay(shop, "customer", capture="manual")
    await shop.post(f"/v1/payments/{paid['id']}/capture", {}, who="merchant")
    own = await vaults(shop)
    for who in ("customer", "merchant", "analyst", "admin"):
        for path in ("", f"/{paid['id']}", f"/{paid['id']}/events"):
            answer = await shop.gateway.ask("GET", f"/v1/payments{path}", who=who)
            assert (answer.status, own in answer.body.decode()) == (200, False)
    for path in ("/v1/cards", f"/v1/cards/{await shop.card()}"):
        assert own not in (await shop.gateway.ask("GET", path, who="customer")).body.decode()
    kept = await shop.gateway.runtime.books.read(_kept)
    assert [body for body in kept if own in body] == []


async def test_a_list_of_payments_asks_the_vault_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    paid = await pay(shop, "customer")
    asked: list[object] = []

    async def refuse(request: object, _answer: object) -> None:
        if not isinstance(request, KeepHeads):  # of the audit, which keeps time of its own
            asked.append(request)
        raise VaultAway

    monkeypatch.setattr(shop.gateway.runtime.vault, "_call", refuse)
    for who in ("customer", "merchant", "analyst"):
        assert await seen(shop, paid, who)
    assert asked == []


async def test_a_payment_of_before_keeps_the_key_of_its_events(shop: Shop) -> None:
    """Books of before have the vault's fingerprint there: the order of one payment's events is by its key."""
    paid = await pay(shop, "customer", capture="manual")
    old = await vaults(shop)
    await shop.gateway.runtime.books.write(_as_before, paid["id"])
    done = await shop.post(f"/v1/payments/{paid['id']}/capture", {}, who="merchant")
    assert done.json["state"] == "captured"
    keys = [key for topic, key, value in await shop.gateway.runtime.books.read(_told) if paid["id"] in value]
    assert keys[-1] == old
    assert (await seen(shop, paid, "admin"))["instrument"] == old
    assert old not in str((await seen(shop, paid, "merchant"), await seen(shop, paid, "customer")))


def _as_before(conn: Connection, payment_id: str) -> None:
    conn.exec_driver_sql(f"UPDATE payments SET stream_key = fingerprint WHERE id = '{payment_id}'")


def _told(conn: Connection) -> list[tuple[str, str, str]]:
    rows = conn.exec_driver_sql("SELECT topic, key, value FROM outbox ORDER BY id").all()
    return [(topic, key, bytes(value).decode()) for topic, key, value in rows]


def _kept(conn: Connection) -> list[str]:
    rows = conn.exec_driver_sql("SELECT body FROM idempotency_keys WHERE body IS NOT NULL").all()
    return [bytes(row[0]).decode() for row in rows]
