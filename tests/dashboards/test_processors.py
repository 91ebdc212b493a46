"""The page Processors: what it finds by the calls to processors, and each of its tiles against counted rows."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.warehouse import Table, WarehouseReader
from dashboards.look import Look
from dashboards.processor_course import APPROVED, ERRORS, LATENCY, shares, values
from dashboards.processor_health import HEALTH, ProcessorHealth
from dashboards.processor_now import NOW, ProcessorCalls, condition_of, findings
from dashboards.processor_tables import (
    DECLINES_BY_REASON,
    FAILOVERS,
    OPEN,
    VOLUMES_BY_PROCESSOR,
    decline_rows,
    failover_rows,
    open_rows,
    volume_rows,
)
from dashboards.tables import Cell
from dashboards.tile import Tile
from dashboards.wording import DECLINES, WHOSE
from schemas.ids import new_id
from schemas.operations import ProcessorOperation
from schemas.states import DECLINE_CODES
from schemas.times import now

HOUR = Look("1h")
NONE: frozenset[str] = frozenset()


def call(minutes_ago: float, status: Any = "succeeded", **changes: Any) -> ProcessorOperation:
    """A call to Visa."""
    made: dict[str, Any] = {"id": new_id("op"), "payment": new_id("pay"), "attempt": new_id("att")}
    made |= {"attempt_number": 1, "merchant": "acc_shop", "processor": "visa", "kind": "sale", "status": status}
    at = now() - timedelta(minutes=minutes_ago)
    ended = {} if status == "unknown" else {"finished_at": at, "milliseconds": 40.0}
    return ProcessorOperation(**made | {"amount": 1000, "currency": "EUR", "created_at": at} | ended | changes)


@pytest.fixture
def answer_to(reader: WarehouseReader) -> Any:
    def answer(tile: Tile, look: Look = HOUR) -> Table:
        return reader.query(tile.statement(look))

    return answer


def test_who_fails_stands_first_with_since_when_and_how(shop: Any, answer_to: Any) -> None:
    failed = [call(minutes, "failed") for minutes in (6, 5, 4, 3)]
    shop.call(*(call(minutes) for minutes in (60, 50, 40, 30, 20, 12)), *failed)
    shop.call(*(call(2, processor="mastercard", kind="authorize") for _ in range(5)))
    shop.call(*(call(minutes, "unknown", processor="paypal", kind="order") for minutes in (9, 8, 7)))
    found = findings(answer_to(NOW), HOUR, NONE)
    shown = [(one.name, one.condition, one.title) for one in found]
    clocks = [f"{now() - timedelta(minutes=ago):%H:%M}" for ago in (6, 9)]
    assert shown == [
        ("Visa", "failing", f"Refuses our calls since {clocks[0]}"),
        ("PayPal", "failing", f"Does not answer since {clocks[1]}"),
        ("Mastercard", "well", "Works"),
    ]
    assert found[0].detail == "4 of 5 calls in 15 min"
    stopped = findings(answer_to(NOW), HOUR, frozenset({"visa"}))
    assert [one.condition for one in stopped if one.name == "Visa"] == ["stopped"]


def test_one_that_works_again_does_not_fail_any_more(shop: Any, answer_to: Any) -> None:
    """What was silent is found out when it works again."""
    shop.call(*(call(minutes, "failed") for minutes in (9, 8, 7, 6)), *(call(minutes) for minutes in (4, 3)))
    shop.call(*(call(8, finished_at=now()) for _ in range(3)), sequence=2)
    assert findings(answer_to(NOW), HOUR, NONE)[0].condition == "well"


@pytest.mark.parametrize(("last", "condition"), [((), "failing"), (("succeeded",), "well")])
def test_calls_that_all_fail_are_told_in_a_minute_that_began_well(
    shop: Any, answer_to: Any, last: tuple[str, ...], condition: str
) -> None:
    """Three of forty in a minute are few, and were those that failed last."""
    minute = now().replace(second=0, microsecond=0) - timedelta(minutes=2)
    ends = [*["succeeded"] * 40, *["failed"] * 3, *last]
    moments = [minute + timedelta(seconds=at) for at in range(len(ends))]
    shop.call(*(call(0, end, created_at=at, finished_at=at) for end, at in zip(ends, moments, strict=True)))
    [visa] = [one for one in findings(answer_to(NOW), HOUR, NONE) if one.name == "Visa"]
    assert (visa.condition, "since" in visa.title) == (condition, condition == "failing")


@pytest.mark.parametrize(
    ("changes", "condition"),
    [
        ({"calls": 0}, "quiet"),
        ({"refused": 9, "spell_refused": 1, "spell_silent": 1}, "well"),  # too few to tell
        ({"spell_refused": 1, "spell_silent": 2}, "failing"),
        ({"approved": 50}, "declining"),
        ({"approved": 5, "decided": 10, "calls": 10}, "well"),  # too few to tell
        ({"p99": 2_000.0}, "slow"),
        ({"p99": 900.0}, "well"),  # slower than usual, and fast enough
        ({"p99": 2_000.0, "usual_p99": 1_000.0}, "well"),
    ],
)
def test_what_calls_show_is_what_is_said(changes: dict[str, Any], condition: str) -> None:
    usual: dict[str, Any] = {"usual_decided": 1000, "usual_approved": 900, "usual_p99": 80.0}
    well = {
        "processor": "visa",
        "calls": 100,
        "refused": 0,
        "silent": 0,
        "decided": 100,
        "approved": 90,
        "p99": 90.0,
        "spell_refused": 0,
        "spell_silent": 0,
        "failing_since": None,
    }
    calls = ProcessorCalls(**well | usual | changes)
    assert condition_of(calls, stopped=False) == condition


def test_the_period_is_counted_beside_the_one_before(shop: Any, answer_to: Any) -> None:
    shop.call(call(10), call(11, milliseconds=60.0), call(12, "declined"), call(13, "failed"), call(14, "unknown"))
    shop.call(call(15, milliseconds=90_000.0), sequence=2)  # silent, and found later
    shop.call(call(70), call(80, "declined", milliseconds=80.0))
    shop.call(call(130), call(5, kind="capture"), call(5, kind="refund", status="failed"))
    shop.take(shop.payment(now() - timedelta(minutes=10), processor="visa"))
    (row,) = answer_to(HEALTH).rows
    assert ProcessorHealth(*row) == ProcessorHealth(
        processor="visa",
        payments=1,
        asked=6,
        approved=3,
        declined=1,
        failed=1,
        unknown=1,
        silent=2,
        p50=40.0,
        p99=pytest.approx(59.4),
        asked_before=2,
        approved_before=1,
        p50_before=60.0,
        p99_before=pytest.approx(79.6),
    )


def test_the_course_is_that_of_the_calls(shop: Any, answer_to: Any) -> None:
    moment = now().replace(second=10, microsecond=0) - timedelta(minutes=20)
    at = {"created_at": moment}
    shop.call(call(0, **at), call(0, "declined", milliseconds=80.0, **at), call(0, "unknown", **at))
    table = answer_to(APPROVED)
    assert table.rows == answer_to(ERRORS).rows == answer_to(LATENCY).rows
    start = moment.replace(minute=moment.minute // 2 * 2, second=0, tzinfo=None)
    ((when, share),) = shares(table, "approved", "asked")["visa"]
    assert (when.replace(tzinfo=None), round(share, 1)) == (start, 33.3)
    assert [round(share, 1) for _, share in shares(table, "errors", "calls")["visa"]] == [33.3]
    assert [value for _, value in values(table, "p99")["visa"]] == [pytest.approx(79.6)]


def test_declines_are_counted_by_reason_and_processor(shop: Any, answer_to: Any) -> None:
    moment = now() - timedelta(minutes=5)
    blocked = {"decline_code": "blocked", "processor": None, "state": "declined", "status": "failed"}
    for changes in (
        *[{"decline_code": "insufficient_funds", "processor": "visa", "state": "declined", "status": "failed"}]
        * 2,
        {"decline_code": "insufficient_funds", "processor": "paypal", "state": "declined", "status": "failed"},
        blocked,
    ):
        shop.take(shop.payment(moment, **changes))
    shop.take(shop.payment(moment, state="captured", status="succeeded", decline_code=None))
    assert decline_rows(answer_to(DECLINES_BY_REASON)) == [
        ["Not enough money on the account", "The issuer", "2", "", "1", "", Cell("3", "75.0%")],
        ["Our fraud check blocked it", "We", "", "", "", "1", Cell("1", "25.0%")],
    ]


def test_every_code_has_words() -> None:
    assert set(DECLINES) == set(DECLINE_CODES)
    assert all(words.whose in WHOSE for words in DECLINES.values())


def test_failovers_are_counted_where_they_came_from_and_went_to(shop: Any, answer_to: Any) -> None:
    for end in ("succeeded", "succeeded", "declined"):
        payment = new_id("pay")
        second = {"payment": payment, "attempt_number": 2, "processor": "mastercard"}
        shop.call(call(5, "failed", payment=payment), call(5, end, **second))
    shop.call(call(5))
    assert failover_rows(answer_to(FAILOVERS)) == [
        ["Visa", "4", "0", "3", Cell("2", "66.7%")],
        ["Mastercard", "3", "3", "0", Cell("0", "")],
    ]


def test_open_calls_are_listed_by_their_age(shop: Any, answer_to: Any) -> None:
    shop.call(*(call(60 * hours, "unknown", kind="refund", amount=100 * hours) for hours in range(1, 11)), call(1))
    table = answer_to(OPEN)
    assert [row[-1] for row in table.rows] == [10] * 8
    rows = open_rows(table)
    assert [row[1:] for row in rows[:2]] == [
        ["Visa", "refund", "10.00 EUR", "10 h"],
        ["Visa", "refund", "9.00 EUR", "9 h"],
    ]
    assert str(getattr(rows[0][0], "href", "")).startswith("payments?payment=pay_")


def test_volumes_are_counted_by_currency(shop: Any, answer_to: Any) -> None:
    moment = now() - timedelta(minutes=5)
    captured = {"state": "captured", "status": "succeeded"}
    for processor, currency, amount in (
        ("visa", "EUR", 150),
        ("visa", "EUR", 250),
        ("paypal", "EUR", 100),
        ("visa", "JPY", 7),
    ):
        shop.take(shop.payment(moment, processor=processor, currency=currency, amount=amount, **captured))
    assert volume_rows(answer_to(VOLUMES_BY_PROCESSOR)) == [
        ["EUR", "Visa", Cell("2", "66.7%"), "4.00", "4.00", "0.00"],
        ["EUR", "PayPal", Cell("1", "33.3%"), "1.00", "1.00", "0.00"],
        ["JPY", "Visa", Cell("1", "100%"), "7", "7", "0"],
    ]
