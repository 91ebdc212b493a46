"""The stand-in, which judges while the fraud flow is away: lists first, then caps in euro."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books.caps import caps
from gateway.books.controls import keep_controls
from gateway.books.payments import PaymentRow, existing_payment
from gateway.payments.stand_in import NEW_CARDS
from schemas.cards import check_digit
from schemas.fraud import ListEntry
from schemas.rules import FraudRule
from schemas.times import EPOCH, from_micros, now, steady_micros
from tests.gateway.payments.conftest import MASTERCARD, Shop

VERSIONS = count(1)
CURRENCIES = [
    "AUD",
    "CAD",
    "CHF",
    "CZK",
    "DKK",
    "GBP",
    "HKD",
    "HUF",
    "IDR",
    "ILS",
    "INR",
    "KRW",
    "MXN",
    "MYR",
    "NOK",
    "NZD",
    "PHP",
    "PLN",
    "SEK",
    "USD",
]


async def listed(shop: Shop, list: str, kind: str, value: str, **given: Any) -> None:
    """Put an instrument or merchant on a list, as `controls.v1` told it."""
    known = {"id": f"{list}-{kind}", "list": list, "kind": kind, "value": value, "reason": "told so"}
    entry = msgspec.convert(known | {"expires_at": None, "recorded_at": EPOCH} | given, ListEntry)
    await shop.gateway.runtime.books.write(keep_controls, [entry])


async def row_of(shop: Shop, payment: str) -> PaymentRow:
    found: PaymentRow = await shop.gateway.runtime.books.read(existing_payment, payment)
    return found


async def known_card(shop: Shop) -> None:
    """Let the shop's card pay for the first time."""
    assert (await shop.pay(100)).json["state"] == "captured"


async def reasons(shop: Shop, payment: str) -> list[str]:
    return list((await shop.get(f"/v1/payments/{payment}", "analyst"))["risk"]["reasons"])


async def ruled(shop: Shop, expression: str, outcome: str = "block", **given: Any) -> None:
    """Put a rule in force, as `controls.v1` told it; in place of the one before."""
    known = {"id": "mine", "expression": expression, "outcome": outcome, "reason": "why", "mode": "live"}
    rule = msgspec.convert(known | {"version": next(VERSIONS), "recorded_at": now()} | given, FraudRule)
    await shop.gateway.runtime.books.write(keep_controls, [rule])


async def hits(shop: Shop) -> int:
    rule = await shop.get("/v1/rules/mine", "analyst")
    return int(rule["hits"]["payments"])


# --- rules and what the merchant wants --------------------------------------------------------------------------


async def test_a_rule_that_reads_fields_alone_is_obeyed_and_counted_and_one_that_reads_more_is_not(
    shop: Shop,
) -> None:
    await known_card(shop)
    await ruled(
        shop, "amount == 4242 and amount_eur < 43 and currency == 'EUR' and brand in ['visa', 'mastercard']"
    )
    before = await hits(shop)
    blocked = (await shop.pay(4242)).json
    assert (blocked["state"], blocked["decline_code"]) == ("declined", "generic_decline")
    assert await reasons(shop, blocked["id"]) == ["mine"]
    assert await hits(shop) == before + 1
    assert (await shop.pay(4243)).json["state"] == "captured"
    for unknown in ("amount > 1 and not count_1h > 3", "amount > 1 or has(score)", "amount > 1 or risk > 1"):
        await ruled(shop, unknown)
        assert (await shop.pay(101)).json["state"] == "captured", unknown
    await ruled(shop, "amount > 1", mode="shadow")
    assert (await shop.pay(101)).json["state"] == "captured"
    await ruled(shop, "amount > 1", mode="off")


async def test_a_rule_holds_or_flags_and_passes_over_whom_it_is_snoozed_for(shop: Shop) -> None:
    await known_card(shop)
    await ruled(shop, "amount == 4244", "review", hold="unsent")
    assert (await shop.pay(4244)).json["state"] == "in_review"
    customer = await shop.account("customer")
    await ruled(shop, "amount == 4244", snoozed=[{"customer": customer, "until": now() + timedelta(days=1)}])
    assert (await shop.pay(4244)).json["state"] == "captured"
    await ruled(shop, "amount == 4244", "flag")
    flagged = (await shop.pay(4244)).json
    assert flagged["state"] == "captured"
    assert (await shop.get(f"/v1/payments/{flagged['id']}", "analyst"))["risk"]["outcome"] == "flag"
    await ruled(shop, "amount > 1", mode="off")


@pytest.mark.parametrize(
    ("choice", "state"), [("decline", "declined"), ("review", "in_review"), ("stand_in", "captured")]
)
async def test_a_merchant_says_what_becomes_of_a_payment_without_a_verdict(
    shop: Shop, choice: str, state: str
) -> None:
    await known_card(shop)
    merchant = await shop.account("merchant")
    changed = await shop.gateway.ask("PATCH", f"/v1/merchants/{merchant}", {"on_no_verdict": choice}, "admin")
    assert (changed.status, changed.json["on_no_verdict"]) == (200, choice)
    paid = (await shop.pay(100)).json
    assert paid["state"] == state
    if choice != "stand_in":
        assert await reasons(shop, paid["id"]) == ["no_verdict"]


# --- lists ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["instrument", "merchant"])
async def test_whom_the_block_list_names_is_declined_and_no_issuer_is_asked(shop: Shop, kind: str) -> None:
    row = await row_of(shop, (await shop.pay(100)).json["id"])
    await listed(shop, "block", kind, row.stream_key if kind == "instrument" else row.merchant_id)
    declined = (await shop.pay(100)).json
    assert (declined["state"], declined["decline_code"]) == ("declined", "generic_decline")
    assert await reasons(shop, declined["id"]) == ["block_list", f"block-{kind}"]
    assert len(shop.ledger()) == 1


async def test_a_payer_at_paypal_is_blocked_as_well(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
    await listed(shop, "block", "instrument", await shop.account("customer"))
    await shop.come_back(await shop.press_at_paypal(asked["next_action"]["url"]))
    assert (await shop.state(asked["id"]), shop.ledger("capture")) == ("declined", [])


@asynccontextmanager
async def blocking(shop: Shop, kind: str, value: str) -> AsyncIterator[str]:
    """The id of a block entry that an analyst puts, and takes away: it stands on a topic that tests share."""
    body = {"list": "block", "kind": kind, "value": value, "reason": "a test"}
    made = await shop.gateway.ask("POST", "/v1/lists", body, "analyst")
    assert made.status == 201
    try:
        yield made.json["id"]
    finally:
        assert (await shop.gateway.ask("DELETE", f"/v1/lists/{made.json['id']}", who="analyst")).status == 204


async def list_hits(shop: Shop, kind: str) -> int:
    found = await shop.get(f"/v1/lists?kind={kind}", "analyst")
    return int(found["data"][0]["hits"])


@pytest.mark.parametrize("kind", ["card", "bin", "customer", "merchant", "ip", "network", "country", "device"])
async def test_an_entry_of_every_kind_decides_at_once_and_counts_each_payment_once(shop: Shop, kind: str) -> None:
    device = {"id": "a phone", "ip": "8.8.8.8"}
    first = (await shop.pay(100, who="merchant", device=device)).json
    row = await row_of(shop, first["id"])
    values = {
        "card": first["id"],
        "bin": str(row.bin),
        "customer": row.customer_id,
        "merchant": row.merchant_id,
        "ip": "8.8.8.8",
        "network": "8.8.8.0/24",
        "country": str(row.country),
        "device": "a phone",
    }
    kind, value = ("ip" if kind == "network" else kind), values[kind]
    async with blocking(shop, kind, value) as entry_id:
        declined = await shop.pay(100, who="merchant", device=device, key="once")
        again = await shop.pay(100, who="merchant", device=device, key="once")
        assert (declined.json["state"], again.body) == ("declined", declined.body)
        assert await reasons(shop, declined.json["id"]) == ["block_list", entry_id]
        assert await list_hits(shop, kind) == 1
    assert (await shop.pay(100, who="merchant", device=device)).json["state"] == "captured"


async def test_a_payer_at_paypal_who_is_blocked_is_not_sent_to_approve(shop: Shop) -> None:
    async with blocking(shop, "customer", await shop.account("customer")):
        asked = (await shop.pay(500, payment_method={"type": "paypal"})).json
        assert (asked["state"], asked["decline_code"]) == ("declined", "generic_decline")
        assert "next_action" not in asked
        assert (shop.ledger(), await list_hits(shop, "customer")) == ([], 1)


async def test_whom_the_allow_list_names_goes_whatever_the_caps_say(shop: Shop) -> None:
    row = await row_of(shop, (await shop.pay(100)).json["id"])
    await listed(shop, "allow", "instrument", row.stream_key)
    for currency, amount in (("EUR", 90_000), ("BHD", 49_000)):
        assert (await shop.pay(amount, currency=currency)).json["state"] == "captured"


async def test_a_block_comes_before_an_allow_and_both_end(shop: Shop) -> None:
    row = await row_of(shop, (await shop.pay(100)).json["id"])
    await listed(shop, "allow", "instrument", row.stream_key)
    await listed(shop, "block", "merchant", row.merchant_id)
    assert (await shop.pay(100)).json["state"] == "declined"
    ended = now() - timedelta(seconds=1)
    await listed(shop, "block", "merchant", row.merchant_id, expires_at=ended, recorded_at=ended)
    assert (await shop.pay(90_000)).json["state"] == "captured"


async def test_a_value_of_another_kind_is_not_meant(shop: Shop) -> None:
    row = await row_of(shop, (await shop.pay(100)).json["id"])
    await listed(shop, "block", "merchant", row.stream_key)
    assert (await shop.pay(100)).json["state"] == "captured"


# --- caps -------------------------------------------------------------------------------------------------------


async def test_past_the_cap_a_payment_is_held(shop: Shop) -> None:
    await known_card(shop)
    assert (await shop.pay(30_000)).json["state"] == "captured"
    held = await shop.pay(30_000)
    assert (held.status, held.json["state"], held.json["status"]) == (202, "in_review", "pending")
    assert await reasons(shop, held.json["id"]) == ["stand_in_cap"]
    assert [row.operation for row in shop.ledger()] == ["sale", "sale", "authorize"]


async def test_an_instrument_that_never_paid_has_a_cap_of_its_own(shop: Shop) -> None:
    held = (await shop.pay(5_001)).json
    assert (held["state"], await reasons(shop, held["id"])) == ("in_review", ["stand_in_first_cap"])
    assert (await shop.pay(5_000)).json["state"] == "captured"
    assert (await shop.pay(45_000)).json["state"] == "captured"  # it paid: the day's cap is 500.00
    assert (await shop.pay(1)).json["state"] == "in_review"


async def test_all_currencies_share_one_cap(shop: Shop) -> None:
    await known_card(shop)
    rates = shop.gateway.runtime.policy.rates
    for currency in CURRENCIES:  # 500.00 of each: what the yen and its like are worth is little
        row = await row_of(shop, (await shop.pay(50_000, currency=currency)).json["id"])
        assert row.state in ("captured", "in_review")
    captured = [row for row in shop.ledger("sale") if row.currency != "EUR"]
    assert 0 < sum(rates.cents(row.amount, row.currency) or 0 for row in captured) <= 50_000


async def test_minor_units_are_those_of_the_currency(shop: Shop) -> None:
    assert (await shop.pay(60_000, currency="KRW")).json["state"] == "captured"  # some 40 EUR


@pytest.mark.parametrize(("currency", "amount"), [("KWD", 49_000), ("BHD", 1), ("RUB", 100)])
async def test_a_currency_without_a_rate_is_held(shop: Shop, currency: str, amount: int) -> None:
    held = (await shop.pay(amount, currency=currency)).json
    assert (held["state"], await reasons(shop, held["id"])) == ("in_review", ["stand_in_no_rate"])


async def test_what_came_to_nothing_gives_its_caps_back(shop: Shop) -> None:
    declined = {"type": "card", "card": await shop.card(MASTERCARD, exp=(5, 2039))}
    assert (await shop.pay(5_000, payment_method=declined)).json["state"] == "declined"
    fine = {"type": "card", "card": await shop.card(MASTERCARD)}
    voided = (await shop.pay(5_000, payment_method=fine, capture="manual")).json["id"]
    await shop.post(f"/v1/payments/{voided}/void", {}, who="merchant")
    assert (await shop.pay(5_500, currency="USD", payment_method=fine)).json["state"] == "captured"
    assert (await shop.pay(45_001, payment_method=fine)).json["state"] == "captured"


async def test_of_cards_that_never_paid_a_customer_has_so_many_a_day(shop: Shop) -> None:
    runtime = shop.gateway.runtime
    runtime.policy = msgspec.structs.replace(runtime.policy, new_cards=2)
    paid = []
    for digit in range(4):
        digits = f"4{digit}5555555555555"
        card = {"type": "card", "card": await shop.card(digits + check_digit(digits)), "cvc": "100"}
        paid.append((await shop.pay(100, payment_method=card)).json)
    assert [payment["state"] for payment in paid] == ["captured", "captured", "in_review", "in_review"]
    assert await reasons(shop, paid[2]["id"]) == ["stand_in_new_cards"]
    assert (await shop.get(f"/v1/payments/{paid[2]['id']}"))["risk"]["hold"] == "unsent"
    assert len(shop.ledger()) == 2
    known = {"type": "card", "card": paid[0]["payment_method"]["card"], "cvc": "100"}
    assert (await shop.pay(100, payment_method=known)).json["state"] == "captured"


async def test_a_payer_at_paypal_spends_the_caps_of_the_day_they_approve(
    shop: Shop, pass_midnight: Callable[[], None]
) -> None:
    """Else whoever begins a payment a day, for a month, approves thirty at once."""
    pass_midnight()
    asked = (await shop.pay(4_000, payment_method={"type": "paypal"}, capture="manual")).json
    books = shop.gateway.runtime.books
    await books.write(_begun_yesterday)
    await shop.come_back(await shop.press_at_paypal(asked["next_action"]["url"]))
    today = from_micros(steady_micros()).date().isoformat()
    assert set(await books.read(_caps)) == {
        (await shop.account("customer"), today, 4_000),
        (await shop.account("merchant"), today, 4_000),
    }
    await shop.post(f"/v1/payments/{asked['id']}/void", {}, who="merchant")
    assert {used for _, _, used in await books.read(_caps)} == {0}  # given back on that day


def _begun_yesterday(conn: Connection) -> None:
    conn.exec_driver_sql("UPDATE payments SET created_at = created_at - 86400000000")


def _caps(conn: Connection) -> list[tuple[str, str, int]]:
    return [tuple(row) for row in conn.execute(caps.select()) if not row.subject.startswith(NEW_CARDS)]
