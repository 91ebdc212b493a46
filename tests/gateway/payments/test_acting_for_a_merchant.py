"""A merchant's people and clients move its money under its keys, and each answers for what they did."""

from uuid import uuid4

import pytest

from gateway.roles import MerchantRole
from tests.gateway.actors import Actor, Actors
from tests.gateway.payments.conftest import VISA, Shop


async def acting(shop: Shop, role: MerchantRole) -> Actor:
    """Somebody who acts for the merchant of the demo."""
    return await Actors(shop.gateway).person(await shop.account("merchant"), role)


async def test_an_operators_capture_and_refund_are_laid_at_their_door(shop: Shop) -> None:
    operator = await acting(shop, "operator")
    payment = (await shop.pay(capture="manual")).json["id"]
    assert (await shop.post(f"/v1/payments/{payment}/capture", {}, who=operator.token)).status == 200
    refund = await shop.post(f"/v1/payments/{payment}/refunds", {"amount": 10}, who=operator.token)
    assert refund.status == 201
    operations = (await shop.get(f"/v1/payments/{payment}/operations"))["data"]
    assert {(o["kind"], o["requested_by"]) for o in operations if o["kind"] != "authorize"} == {
        ("capture", operator.id),
        ("refund", operator.id),
    }


async def test_a_key_of_one_is_a_key_of_all_who_act_for_the_merchant(shop: Shop) -> None:
    one, other = await acting(shop, "operator"), await acting(shop, "owner")
    client = await Actors(shop.gateway).client(await shop.account("merchant"), "refunds:write")
    payment, key = (await shop.pay()).json["id"], uuid4().hex
    path, body = f"/v1/payments/{payment}/refunds", {"amount": 10}
    answers = [await shop.post(path, body, who=actor.token, key=key) for actor in (one, other, client)]
    assert [answer.status for answer in answers] == [201] * 3
    assert len({answer.body for answer in answers}) == 1
    assert len((await shop.get(f"/v1/refunds?payment={payment}"))["data"]) == 1


async def test_a_client_pays_with_its_merchants_card(shop: Shop) -> None:
    merchant = await shop.account("merchant")
    client = await Actors(shop.gateway).client(merchant, "cards:write payments:write payments:read")
    card = await shop.gateway.ask(
        "POST", "/v1/cards", {"number": VISA, "exp_month": 1, "exp_year": 2039}, client.token
    )
    by_card = {"type": "card", "card": card.json["id"], "cvc": "100"}
    paid = await shop.pay(who=client.token, payment_method=by_card)
    assert (paid.status, paid.json["customer"], paid.json["state"]) == (201, merchant, "captured")


@pytest.mark.parametrize("verb", ["capture", "void", "refunds"])
async def test_staff_still_deal_with_what_was_paid_while_the_merchant_is_suspended(shop: Shop, verb: str) -> None:
    merchant = await shop.account("merchant")
    payment = (await shop.pay(capture="automatic" if verb == "refunds" else "manual")).json["id"]
    suspended = {"suspended": True, "reason": "asked for it"}
    assert (await shop.gateway.ask("PATCH", f"/v1/merchants/{merchant}", suspended, "admin")).status == 200
    assert (await shop.pay()).code == "stopped"
    done = await shop.post(f"/v1/payments/{payment}/{verb}", {}, who="admin")
    assert done.status == (201 if verb == "refunds" else 200)
