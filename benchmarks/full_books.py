"""Books full of payments, written at once: what a gateway would have after a long time."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, insert, text
from sqlalchemy.schema import CreateIndex, DropIndex

from gateway.books.cards import CardRow, cards
from gateway.books.operations import Operation, operations
from gateway.books.payments import PaymentRow, payments
from gateway.books.refunds import RefundRow, refunds
from gateway.books.reviews import ReviewRow, reviews
from schemas.fraud import Outcome
from schemas.ids import earliest_id, new_id
from schemas.states import PaymentState

FIRST_US = 1_700_000_000_000_000
EVERY_US = 10_000  # one payment after the other
AT_ONCE = 10_000  # rows per INSERT
BIG_CUSTOMER, BIG_MERCHANT = "acc_big_customer", "acc_big_merchant"
CUSTOMERS, MERCHANTS = 50_000, 500
LISTED = (payments, refunds, reviews, cards, operations)
RISK = '{"outcome":"allow","source":"model","score":0.12,"reasons":[],"model":"m1","waited_ms":4.1}'


def fill(conn: Connection, count: int) -> None:
    """Write `count` payments, a refund of each tenth, a review of each twentieth, and one customer's cards.

    A tenth are the big customer's, half the big merchant's. What is rare stands among the oldest alone.
    """
    chance = random.Random(1)
    with indexed_afterwards(conn, LISTED):
        _write(conn, payments, (_payment(chance, number, count) for number in range(count)))
        _write(conn, refunds, (_refund(number) for number in range(0, count, 10)))
        _write(conn, reviews, (_review(number) for number in range(0, count, 20)))
        _write(conn, cards, (_card(number) for number in range(count // 10)))
        _write(conn, operations, (_operation(number) for number in range(count // 100)))


@contextmanager
def indexed_afterwards(conn: Connection, tables: Iterable[Table]) -> Iterator[None]:
    """Without the indexes of these tables meanwhile: made of all rows at once they take a fraction of the time."""
    indexes = [index for table in tables for index in table.indexes]
    for index in indexes:
        conn.execute(DropIndex(index))
    yield
    for index in indexes:
        conn.execute(CreateIndex(index))
    if conn.dialect.name == "postgresql":  # as its autovacuum does
        conn.execute(text("ANALYZE"))


def _write(conn: Connection, table: Any, rows: Iterator[msgspec.Struct]) -> None:
    while some := [msgspec.structs.asdict(row) for row in islice(rows, AT_ONCE)]:
        conn.execute(insert(table), some)


def _id(prefix: str, number: int) -> str:
    return earliest_id(prefix, FIRST_US + number * EVERY_US)


def _payment(chance: random.Random, number: int, count: int) -> PaymentRow:
    rare, at = number < count // 10_000, FIRST_US + number * EVERY_US
    state: PaymentState = "in_review" if rare else chance.choices(("captured", "declined"), (9, 1))[0]
    outcome: Outcome = "block" if rare else "allow"
    customer = chance.randrange(CUSTOMERS)
    merchant = chance.randrange(MERCHANTS)
    return PaymentRow(
        id=_id("pay", number),
        stream_key=f"{customer:032x}",
        customer_id=BIG_CUSTOMER if number % 10 == 0 else f"acc_c{customer:026}",
        merchant_id=BIG_MERCHANT if number % 2 == 0 else f"acc_m{merchant:026}",
        amount=1 if rare else 2 + int(chance.lognormvariate(8, 1)),
        currency="KWD" if rare else chance.choice(("EUR", "USD")),
        method="card",
        card_id=f"card_{customer:026}",
        brand="visa",
        bin="411111",
        last4="0000" if rare else f"{1 + customer % 9999:04}",
        fingerprint=f"{customer:032x}",
        capture="automatic",
        reference=f"order {number}" if number % 3 == 0 else None,
        occurred_at=at,
        created_at=at,
        updated_at=at,
        state=state,
        recovery_point="finished",
        sequence=3,
        amount_captured=1,
        processor="paypal" if rare else chance.choice(("visa", "mastercard")),
        risk=RISK.replace("allow", outcome),
        risk_outcome=outcome,
        attempts=1,
    )


def _refund(number: int) -> RefundRow:
    at = FIRST_US + number * EVERY_US
    return RefundRow(
        id=_id("ref", number),
        payment_id=_id("pay", number),
        customer_id=BIG_CUSTOMER,
        merchant_id=BIG_MERCHANT,
        currency="EUR",
        created_at=at,
        amount=1,
        status="succeeded",
        updated_at=at,
    )


def _review(number: int) -> ReviewRow:
    decision: Any = {"decision": "approve", "reason": "known", "decided_by": "acc", "decided_at": 1}
    decided = {} if number % 200 == 0 else decision
    return ReviewRow(id=_id("rev", number), payment_id=_id("pay", number), opened_at=1, **decided)


def _card(number: int) -> CardRow:
    """Of the big customer's cards all but each tenth are deleted."""
    deleted_at = None if number % 10 == 0 else 1
    made = FIRST_US + number
    return CardRow(new_id("card"), BIG_CUSTOMER, "visa", "411111", "1111", 1, 2039, "fp", made, deleted_at)


def _operation(number: int) -> Operation:
    """All of the first payment, as after a void that was tried for days."""
    return Operation(
        id=_id("op", number),
        payment_id=_id("pay", 0),
        attempt_id="att_1",
        processor="visa",
        kind="void",
        amount=1,
        currency="EUR",
        status="declined",
        ordinal=number,
        created_at=FIRST_US + number,
        finished_at=FIRST_US + number + 1,
    )
