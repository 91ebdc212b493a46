"""One payment from its request to its answer, and every way it may end."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from gateway.books.accounts import email_domain_hash
from gateway.books.payments import select_payment
from gateway.payments.views import snapshot
from gateway.vault.client import VaultAway
from schemas.states import STATUS
from tests.gateway.payments.conftest import MASTERCARD, VISA, Shop


async def test_a_card_payment_is_captured_by_one_call(shop: Shop) -> None:
    answer = await shop.pay(1234)
    assert answer.status == 201
    payment = answer.json
    assert (payment["state"], payment["status"], payment["amount_captured"]) == ("captured", "succeeded", 1234)
    assert [(row.operation, row.amount, row.currency) for row in shop.ledger()] == [("sale", 1234, "EUR")]
    assert await shop.balance() == {"due:visa": 1234, f"due:{await shop.account('merchant')}": -1234}


@pytest.mark.parametrize(("number", "processor"), [(VISA, "visa"), (MASTERCARD, "mastercard")])
async def test_a_brand_goes_to_its_own_processor(shop: Shop, number: str, processor: str) -> None:
    method = {"type": "card", "card": await shop.card(number)}
    assert (await shop.pay(payment_method=method)).json["processor"] == processor
    assert [row.processor for row in shop.ledger()] == [processor]


async def test_currencies_keep_their_own_decimals(shop: Shop) -> None:
    for currency, amount in (("JPY", 5000), ("BHD", 1234), ("EUR", 99)):  # of the dinar the stand-in has no rate
        paid = await shop.pay(amount, currency=currency)
        assert paid.json["state"] == ("in_review" if currency == "BHD" else "captured")
    assert [(row.currency, row.amount) for row in shop.ledger()] == [("JPY", 5000), ("BHD", 1234), ("EUR", 99)]


async def test_a_decline_is_an_answer_not_an_error(shop: Shop) -> None:
    declined = {"type": "card", "card": await shop.card(MASTERCARD, exp=(5, 2039))}
    answer = await shop.pay(payment_method=declined)
    assert answer.status == 201
    assert (answer.json["status"], answer.json["state"]) == ("failed", "declined")
    assert answer.json["decline_code"]
    assert await shop.balance() == {}


async def test_a_repeat_is_answered_byte_for_byte_and_charges_once(shop: Shop) -> None:
    first = await shop.pay(key="once")
    again = await shop.pay(key="once")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(shop.ledger()) == 1


async def test_a_repeat_needs_neither_the_card_nor_the_vault_any_more(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = await shop.card()
    method = {"type": "card", "card": card}
    first = await shop.pay(key="once", payment_method=method)
    assert (await shop.gateway.ask("DELETE", f"/v1/cards/{card}", who="customer")).status == 204
    monkeypatch.setattr(shop.gateway.runtime.vault, "check", _away)
    again = await shop.pay(key="once", payment_method=method)
    assert (again.status, again.body) == (201, first.body)
    assert (await shop.pay(key="once", payment_method=method, amount=7)).code == "idempotency_key_reused"
    assert (await shop.pay(key="other", payment_method=method)).status == 404


async def _away() -> None:
    raise VaultAway


async def test_the_cvc_is_no_part_of_what_makes_a_request_the_same(shop: Shop) -> None:
    card = await shop.card()
    await shop.pay(key="once", payment_method={"type": "card", "card": card, "cvc": "100"})
    again = await shop.pay(key="once", payment_method={"type": "card", "card": card})
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_a_key_used_for_another_request_is_refused(shop: Shop) -> None:
    await shop.pay(1000, key="once")
    assert (await shop.pay(1001, key="once")).code == "idempotency_key_reused"
    assert len(shop.ledger()) == 1


async def test_a_payment_needs_a_key(shop: Shop) -> None:
    assert (await shop.gateway.ask("POST", "/v1/payments", {}, "customer")).code in (
        "idempotency_key_missing",
        "invalid_request",
    )
    body = {
        "amount": 1,
        "currency": "EUR",
        "merchant": await shop.account("merchant"),
        "payment_method": {"type": "card", "card": await shop.card()},
    }
    answer = await shop.gateway.ask("POST", "/v1/payments", body, "customer")
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"amount": 0}, "$.amount"),
        ({"amount": -1}, "$.amount"),
        ({"amount": 1.5}, "$.amount"),
        ({"amount": True}, "$.amount"),
        ({"amount": "10"}, "$.amount"),
        ({"amount": 2**63}, "$.amount"),
        ({"currency": "eur"}, "$.currency"),
        ({"currency": "ZZZ"}, "$.currency"),
        ({"currency": "XAU"}, "$.currency"),
        ({"capture": "later"}, "$.capture"),
        ({"processor": "paypal"}, "$.processor"),
        ({"processor": "stripe"}, "$.processor"),
        ({"unheard_of": 1}, "$.unheard_of"),
        ({"description": f"card {VISA}"}, "$.description"),
        ({"metadata": {"note": "4111 1111 1111 1111"}}, "$.metadata[0]"),
        ({"device": {"ip": "300.1.1.1"}}, "$.device.ip"),
        ({"device": {"id": "5555-5555-5555-4444"}}, "$.device.id"),
        ({"return_url": "https://evil.example/back"}, "$.return_url"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "$.occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "$.occurred_at"),
    ],
)
async def test_a_wrong_field_is_named_and_never_echoed(shop: Shop, fields: dict[str, Any], path: str) -> None:
    answer = await shop.pay(**fields)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert [error["path"] for error in answer.json["errors"]] == [path]
    for number in (VISA, "4111 1111 1111 1111", "5555-5555-5555-4444"):
        assert number.encode() not in answer.body
    assert shop.ledger() == []


async def test_a_card_number_is_no_key(shop: Shop) -> None:
    for key in (VISA, "4111-1111-1111-1111"):
        answer = await shop.pay(key=key)
        assert (answer.status, answer.json["errors"][0]["path"]) == (422, "Idempotency-Key")


async def test_only_an_importer_says_when_a_payment_happened(shop: Shop) -> None:
    then = "2018-04-01T00:00:31Z"
    assert (await shop.pay(occurred_at=then)).status == 403
    card = {"type": "card", "card": await shop.card(who="replay")}
    paid = await shop.pay(who="replay", occurred_at=then, payment_method=card)
    assert paid.status == 201
    row = await shop.gateway.runtime.books.read(select_payment, paid.json["id"])
    assert row is not None
    assert row.occurred_at < row.created_at


async def test_cards_and_payments_of_others_are_not_there(shop: Shop) -> None:
    foreign = {"type": "card", "card": await shop.card(who="replay")}
    assert (await shop.pay(payment_method=foreign)).status == 404
    assert (await shop.pay(merchant=await shop.account("admin"))).status == 404
    paid = (await shop.pay()).json["id"]
    for who, status in (("customer", 200), ("merchant", 200), ("analyst", 200), ("admin", 200), ("replay", 404)):
        assert (await shop.gateway.ask("GET", f"/v1/payments/{paid}", who=who)).status == status


async def test_risk_is_for_staff(shop: Shop) -> None:
    paid = (await shop.pay()).json
    assert "risk" not in paid
    assert set((await shop.get(f"/v1/payments/{paid['id']}", "merchant"))["risk"]) == {"outcome"}
    assert (await shop.get(f"/v1/payments/{paid['id']}", "analyst"))["risk"]["source"] == "stand_in"


async def test_events_tell_every_step_without_gaps(shop: Shop) -> None:
    paid = (await shop.pay()).json["id"]
    events = (await shop.get(f"/v1/payments/{paid}/events"))["data"]
    assert [event["type"] for event in events] == [
        "payment.initiated",
        "payment.captured",
        "transaction_completed",
    ]
    assert [event["sequence"] for event in events] == [1, 2, 3]


async def test_lists_page_through_everything_once(shop: Shop) -> None:
    paid = [(await shop.pay(100 + n)).json["id"] for n in range(5)]
    seen, cursor = [], ""
    while True:
        page = await shop.get(f"/v1/payments?limit=2{cursor}", "customer")
        seen += [payment["id"] for payment in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == paid[::-1]
    assert (await shop.get("/v1/payments?state=declined", "customer"))["data"] == []
    unseen = await shop.gateway.ask("GET", "/v1/payments?risk=block", who="customer")
    assert (unseen.status, unseen.json["errors"][0]["path"]) == (422, "$.risk")
    assert len((await shop.get("/v1/payments?processor=visa&risk=allow", "analyst"))["data"]) == 5


async def test_nothing_personal_and_no_number_is_on_an_event(shop: Shop) -> None:
    await shop.pay(description="for Ada", metadata={"order": "7"}, device={"id": "dev-1", "ip": "203.0.113.9"})
    values = await shop.gateway.runtime.books.read(_values)
    assert values
    for planted in (b"for Ada", b"203.0.113.9", b"dev-1", VISA.encode(), b"customer@example.com"):
        assert not [value for value in values if planted in value]
    assert msgspec.json.decode(values[0])["payment"]["ip_hash"]


def _values(conn: Any) -> list[bytes]:
    found = conn.exec_driver_sql("SELECT value FROM outbox WHERE topic = 'payments.v1' ORDER BY id")
    return [row[0] for row in found]


def test_every_state_has_a_status() -> None:
    assert set(STATUS.values()) == {"pending", "succeeded", "failed"}


async def test_a_customers_address_is_the_connections_and_a_merchants_is_what_it_says(shop: Shop) -> None:
    addresses = []
    for who, device in (
        ("customer", {"ip": "203.0.113.9"}),
        ("customer", {"ip": "203.0.113.10"}),
        ("customer", None),
        ("merchant", {"ip": "203.0.113.9"}),
        ("merchant", {"ip": "203.0.113.10"}),
        ("replay", {"ip": "203.0.113.9"}),
    ):
        paid = await shop.pay(who=who, **({"device": device} if device else {}))
        row = await shop.gateway.runtime.books.read(select_payment, paid.json["id"])
        assert row is not None
        addresses.append(row.ip_hash)
    of_customer, of_merchant, of_importer = addresses[:3], addresses[3:5], addresses[5]
    assert len(set(of_customer)) == 1
    assert len(set(of_merchant)) == 2
    assert of_importer == of_merchant[0] != of_customer[0]


async def test_a_payment_tells_its_worth_in_euro_and_a_hash_of_its_payers_e_mail_domain(shop: Shop) -> None:
    runtime, rows = shop.gateway.runtime, {}
    for who in ("customer", "replay"):
        paid = await shop.pay(1000, currency="USD", who=who)
        rows[who] = await runtime.books.read(select_payment, paid.json["id"])
    row = rows["customer"]
    assert row is not None
    assert row.amount_eur_cents == runtime.policy.rates.cents(1000, "USD")
    assert row.email_domain_hash
    assert "example" not in row.email_domain_hash
    assert rows["replay"] is not None
    assert rows["replay"].email_domain_hash is None, "an importer pays for many"
    told = snapshot(row)
    assert (told.amount_eur_cents, told.email_domain_hash) == (row.amount_eur_cents, row.email_domain_hash)


async def test_accounts_of_one_domain_share_a_hash_unless_anybody_has_a_mailbox_there(shop: Shop) -> None:
    gateway, found = shop.gateway, []
    for mailbox in ("a@shared.example", "b@SHARED.example", "c@other.example", "d@gmail.com"):
        token = await gateway.sign_up(f"{uuid4().hex}{mailbox}")
        account_id = (await gateway.ask("GET", "/v1/me", who=token)).json["id"]
        found.append(await gateway.runtime.books.read(email_domain_hash, account_id))
    assert found[0] == found[1] != found[2]
    assert found[3] is None
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
