"""Answers while a part of the stack is down, and that nothing is lost or charged twice meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from benchmarks.canary.looks import all_records
from connectors.kafka import producer
from connectors.kafka_login import login
from schemas.events import decode, encode, new_event
from schemas.fraud import ListEntry
from schemas.ids import new_id
from schemas.times import now, now_micros
from schemas.topics import CONTROLS, PAYMENTS
from tests.end_to_end.charges import assert_charged_once
from tests.end_to_end.shop import Answer, Shop, number
from tests.end_to_end.stack import Stack
from tests.patience import until

UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
LATE = "SELECT count(*) FROM verdicts WHERE payment_id = ? AND NOT applied AND source != 'stand_in'"
INSTRUMENT = "SELECT stream_key FROM payments WHERE id = ?"
LISTED = "SELECT count(*) FROM controls WHERE id = ?"
SENDING = "SELECT count(*) FROM operations WHERE status = 'sending'"
STATE = "SELECT state FROM payments WHERE id = ?"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def test_kafka_away_stops_no_sale_and_events_follow_in_order(stack: Stack, shop: Shop) -> None:
    card = number("visa", 450_001)
    shop.card(card)
    with stack.frozen("kafka"):
        paid = [shop.pay(card) for _ in range(3)]
        assert [(answer.status, answer.json["state"]) for answer in paid] == [(201, "captured")] * 3
        assert stack.count(UNPUBLISHED) >= 3
    until(lambda: stack.count(UNPUBLISHED) == 0, 120)
    for answer in paid:
        assert shop.payment(answer.json["id"])["risk"]["source"] == "stand_in"
        sequences = _sequences(stack, answer.json["id"])
        assert list(dict.fromkeys(sequences)) == [1, 2, 3]
    stack.await_ready()
    stack.reconcile()


def test_late_verdicts_of_a_paused_flow_are_stored_beside(stack: Stack, shop: Shop) -> None:
    card = number("visa", 450_002)
    with stack.frozen("fraud"):
        paid = [shop.pay(card).json for _ in range(2)]
        assert [shop.payment(payment["id"])["risk"]["source"] for payment in paid] == ["stand_in"] * 2
    until(lambda: [stack.count(LATE, payment["id"]) for payment in paid] == [1, 1], 120)
    assert [shop.payment(payment["id"])["risk"]["source"] for payment in paid] == ["stand_in"] * 2


def test_a_card_on_the_block_list_is_declined_while_the_flow_is_away(stack: Stack, shop: Shop) -> None:
    card = number("visa", 450_020)
    ((instrument_id,),) = stack.books(INSTRUMENT, shop.pay(card).json["id"])
    entry = ListEntry(new_id("le"), "block", "instrument", instrument_id, "stolen", None, now())
    headers, value = encode(new_event("control.list_entry", "/test", entry.id, entry, now()))
    analyst = producer(login(stack.settings, "gateway"))  # nobody else may write there
    analyst.produce(CONTROLS.name, value, entry.id, headers=headers)
    analyst.flush(10)
    until(lambda: stack.count(LISTED, entry.id) == 1)
    with stack.frozen("fraud"):
        declined = shop.pay(card).json
        assert declined["state"] == "declined"
        assert shop.payment(declined["id"])["risk"]["source"] == "stand_in"


def test_a_gateway_frozen_past_its_lease_in_the_middle_of_calls_charges_once(stack: Stack, shop: Shop) -> None:
    cards = [number(brand, 450_010 + n) for n in range(2) for brand in ("visa", "mastercard")]
    for card in cards:
        shop.card(card)
    for processor in ("visa", "mastercard"):
        shop.fault(processor, "slow", operation="authorize", seconds=600, times=2)
    with ThreadPoolExecutor(len(cards)) as clients:
        answers = [clients.submit(shop.pay, card) for card in cards]
        until(lambda: shop.faults() == [])  # every call has reached its processor
        with stack.frozen("gateway"):
            shop.clear_faults()  # and now they take the money
            _wait_for_the_lease(stack)
        states = [answer.result().json["state"] for answer in answers]
    assert set(states) <= {"captured", "unknown"}
    stack.reconcile()
    ends = [stack.books(STATE, answer.result().json["id"])[0][0] for answer in answers]
    assert ends == ["captured"] * len(cards)
    assert_charged_once(shop)


def test_a_sale_that_lands_after_timeout_and_window_is_booked_and_taken_back(stack: Stack, shop: Shop) -> None:
    card = number("visa", 450_003)
    shop.card(card)
    shop.fault("visa", "slow", operation="authorize", seconds=600, times=1)
    answer = shop.pay(card, processor="visa")
    assert (answer.status, answer.json["state"], answer.json["status"]) == (202, "unknown", "pending")
    id = answer.json["id"]
    until(lambda: shop.payment(id)["state"] == "failed")
    before = len(shop.ledger())
    shop.clear_faults()  # and now it takes the money
    until(lambda: len(shop.ledger()) > before)
    stack.reconcile()  # which waits for the next look at what was given up
    assert _operations(stack, id)["reversal"] == "succeeded"
    assert shop.payment(id)["state"] == "failed"
    assert_charged_once(shop)


def test_with_the_vault_away_nothing_begins_and_the_same_key_works_later(stack: Stack, shop: Shop) -> None:
    order = shop.order(number("visa", 450_004))
    before = stack.count("SELECT count(*) FROM payments")
    with stack.frozen("vault"):
        card = {"number": number("visa", 450_005), "exp_month": 1, "exp_year": 2039}
        _assert_unavailable(shop.ask("POST", "/v1/cards", card, "customer"))
        _assert_unavailable(shop.ask("POST", "/v1/payments", order, "customer", "later"))
        assert shop.ask("GET", "/readyz").status == 503
    assert stack.count("SELECT count(*) FROM payments") == before
    until(lambda: shop.ask("GET", "/readyz").status == 200)
    assert shop.ask("POST", "/v1/payments", order, "customer", "later").json["state"] == "captured"


def test_a_client_that_hangs_up_in_the_middle_finds_its_payment_by_its_key(stack: Stack, shop: Shop) -> None:
    order, key = shop.order(number("visa", 450_006), processor="visa"), uuid4().hex
    shop.fault("visa", "slow", operation="authorize", seconds=2, times=1)
    line = shop.hang_up_on(order, key)
    until(lambda: stack.count(SENDING) == 1)
    line.close()
    until(lambda: stack.count(SENDING) == 0)
    again = shop.ask("POST", "/v1/payments", order, "customer", key)
    assert (again.status, again.json["state"]) == (201, "captured")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert_charged_once(shop)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"amount": 1', 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b'{"metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41, 400, "invalid_json"),
        (b"[" * 30_000 + b"]" * 30_000, 400, "invalid_json"),
        (b'"' + b"a" * 70_000 + b'"', 413, "body_too_large"),
        (b'{"amount": "ten"}', 422, "invalid_request"),
    ],
    ids=["cut short", "not text", "deep", "very deep", "large", "wrong"],
)
def test_a_bad_body_is_refused(shop: Shop, body: bytes, status: int, code: str) -> None:
    answer = shop.ask("POST", "/v1/payments", body, "customer", "bad-body")
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


def _assert_unavailable(answer: Answer) -> None:
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def _wait_for_the_lease(stack: Stack) -> None:
    last = stack.count("SELECT coalesce(max(lease_until), 0) FROM operations WHERE status = 'sending'")
    until(lambda: now_micros() > last)


def _operations(stack: Stack, payment: str) -> dict[str, str]:
    return {"void": "", **dict(stack.books("SELECT kind, status FROM operations WHERE payment_id = ?", payment))}


def _sequences(stack: Stack, payment: str) -> list[int]:
    records = all_records(stack.settings.bootstrap(), [PAYMENTS.name])
    events = [decode(record.headers, record.value) for record in records]
    return [event.data.sequence for event in events if event.subject == payment]  # type: ignore[union-attr]
