"""Lists of payments: under any filter each that fulfils it, once, the newest first; few rows are looked at."""

import random
from collections.abc import Callable
from itertools import combinations
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books import payment_lists
from gateway.books.clock import anchor, keep
from gateway.books.payment_lists import PaymentFilter, list_payments
from gateway.books.payments import PaymentRow, insert_payment, may_be_unasked
from schemas.ids import earliest_id, new_id
from schemas.states import STATUS
from schemas.times import STEADY, now_micros, steady_micros
from tests.gateway.payments import situations

ACCOUNTS = ("acc_1", "acc_2", "acc_3")
VALUES: dict[str, tuple[Any, ...]] = {
    "customer_id": ACCOUNTS,
    "merchant_id": ACCOUNTS,
    "state": ("captured", "declined", "processing"),
    "processor": ("visa", "paypal", None),
    "risk_outcome": ("allow", "block", None),
    "currency": ("EUR", "JPY"),
    "last4": ("1111", None),
    "amount": (500, 1),
    "reference": ("order 1", None),
}
FIRST_US = 1_700_000_000_000_000
MS_US = 1000


def stored(conn: Connection, count: int) -> list[PaymentRow]:
    """Payments a millisecond apart, with values at random; the newest first."""
    chance = random.Random(7)
    rows = [_random(chance, FIRST_US + number * MS_US) for number in range(count)]
    for row in rows:
        insert_payment(conn, row)
    return rows[::-1]


def _random(chance: random.Random, at: int) -> PaymentRow:
    born = earliest_id("pay", at)[:14] + new_id("pay")[14:]
    values = {name: chance.choice(values) for name, values in VALUES.items()}
    return msgspec.structs.replace(situations.payment(), id=born, created_at=at, **values)


def fulfils(row: PaymentRow, wanted: PaymentFilter) -> bool:
    """What a list shows, said once more without an index."""
    asked = [(getattr(row, name), getattr(wanted, name)) for name in VALUES]
    if any(value is not None and own != value for own, value in asked):
        return False
    if wanted.status not in (None, STATUS[row.state]):
        return False
    if not (wanted.created_from or 0) <= row.created_at < (wanted.created_before or 2**63):
        return False
    if wanted.party_id is None or row.merchant_id == wanted.party_id:
        return True
    veiled = wanted.risk_outcome or (wanted.processor and may_be_unasked(row.state))
    return row.customer_id == wanted.party_id and not veiled


def pages(conn: Connection, wanted: PaymentFilter, most: int = 5) -> list[str]:
    seen: list[str] = []
    after: str | None = None
    while True:
        found = list_payments(conn, after, most, wanted)
        seen += [row.id for row in found.rows]
        after = found.reached
        if after is None:
            return seen


@pytest.mark.parametrize("scans", [payment_lists.SCANS, (3, 7)])
def test_each_page_under_any_filters_has_what_fulfils_them(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, scans: tuple[int, ...]
) -> None:
    monkeypatch.setattr(payment_lists, "SCANS", scans)
    rows = stored(conn, 120)
    for names in [(), *combinations(VALUES, 1), *combinations(VALUES, 2), tuple(VALUES)]:
        for party_id in (None, "acc_1"):
            wanted = PaymentFilter(party_id=party_id, **{name: VALUES[name][0] for name in names})
            assert pages(conn, wanted) == [row.id for row in rows if fulfils(row, wanted)], wanted


@pytest.mark.parametrize("status", ["succeeded", "failed", "pending"])
def test_a_status_is_any_of_its_states(conn: Connection, monkeypatch: pytest.MonkeyPatch, status: Any) -> None:
    monkeypatch.setattr(payment_lists, "SCANS", (3, 7))
    rows = stored(conn, 60)
    for more in ({}, {"party_id": "acc_1"}, {"currency": "EUR"}, {"state": "declined"}):
        wanted = PaymentFilter(status=status, **more)
        assert pages(conn, wanted) == [row.id for row in rows if fulfils(row, wanted)], wanted


def test_a_time_is_a_place_in_the_list(conn: Connection) -> None:
    rows = stored(conn, 50)
    for start, end in ((10, 30), (0, 1), (49, 60), (20, 20), (-100, 2000)):
        wanted = PaymentFilter(created_from=FIRST_US + start * MS_US, created_before=FIRST_US + end * MS_US)
        assert pages(conn, wanted) == [row.id for row in rows if fulfils(row, wanted)]


def test_a_time_finds_what_was_made_while_the_wall_clock_was_set(
    conn: Connection, set_clock: Callable[[float], None]
) -> None:
    anchor(conn)
    rows = []
    for hours in (0, 3, -2, 0):
        set_clock(hours)
        keep(conn, steady_micros(), STEADY.offset_us, abs(now_micros() - steady_micros()))
        rows.append(msgspec.structs.replace(situations.payment(), id=new_id("pay"), created_at=now_micros()))
        insert_payment(conn, rows[-1])
    times = sorted(row.created_at for row in rows)
    for start in (None, *times):
        for end in (None, *times):
            wanted = PaymentFilter(created_from=start, created_before=end)
            assert set(pages(conn, wanted)) == {row.id for row in rows if fulfils(row, wanted)}


def test_a_time_finds_what_is_made_before_a_jump_of_the_clock_is_kept(
    conn: Connection, set_clock: Callable[[float], None]
) -> None:
    set_clock(3)
    row = msgspec.structs.replace(situations.payment(), id=new_id("pay"), created_at=now_micros())
    insert_payment(conn, row)
    assert pages(conn, PaymentFilter(created_from=row.created_at)) == [row.id]


def test_a_page_looks_at_a_bounded_number_of_rows(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payment_lists, "SCANS", (3, 7))
    rows = stored(conn, 120)
    never_both = PaymentFilter(customer_id="acc_1", merchant_id="acc_2", last4="9999")
    assert list_payments(conn, None, 5, never_both) == payment_lists.Slice([], None)  # nobody has that card
    common = PaymentFilter(currency="EUR", last4="1111", amount=500, state="captured", reference="order 1")
    found = list_payments(conn, None, 100, common)
    assert found.reached is not None
    assert found.reached > rows[-1].id


def test_the_rarest_filter_leads(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payment_lists, "SCANS", (3,))
    rare = stored(conn, 60)[-1]
    wanted = PaymentFilter(currency=rare.currency, amount=rare.amount, customer_id="acc_rare")
    insert_payment(conn, msgspec.structs.replace(rare, id=earliest_id("pay", 1), customer_id="acc_rare"))
    assert [row.id for row in list_payments(conn, None, 5, wanted).rows] == [earliest_id("pay", 1)]
