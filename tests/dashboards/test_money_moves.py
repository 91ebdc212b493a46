"""What may be moved of a payment, how much of it, and in which words."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from dashboards import money_moves
from dashboards.money_moves import MoneyMove, NoSuchAmount
from dashboards.payment_reading import ProcessorCall, ShownPayment, ShownRefund, WholePayment
from tests.dashboards import gateway_double

AT = datetime(2026, 11, 27, 7, tzinfo=UTC)


def whole(
    calls: tuple[ProcessorCall, ...] = (), refunds: tuple[ShownRefund, ...] = (), **changes: Any
) -> WholePayment:
    asked = {"currency": "EUR", "amount": 1000} | changes
    return WholePayment(
        msgspec.convert(gateway_double.payment(1, **asked), ShownPayment), [], [*calls], [*refunds]
    )


def call(kind: str = "refund", status: str = "unknown", **changes: Any) -> ProcessorCall:
    made = ProcessorCall("op_1", kind, "visa", status, 400, "EUR", AT)
    ended = {} if status in ("unknown", "sending") else {"finished_at": AT}
    return msgspec.structs.replace(made, **ended, **changes)


@pytest.mark.parametrize(
    ("stands", "possible"),
    [
        ({"state": "authorized", "amount_capturable": 1000}, ["capture", "void"]),
        ({"state": "partially_captured", "amount_captured": 400, "amount_capturable": 600}, [*money_moves.LABELS]),
        ({"state": "captured", "amount_captured": 1000, "amount_refunded": 999}, ["refund"]),
        ({"state": "captured", "amount_captured": 1000, "amount_refunded": 1000}, []),
        ({"state": "requires_action"}, ["void"]),
        ({"state": "in_review", "amount_capturable": 1000}, []),
        ({"state": "declined"}, []),
    ],
)
def test_what_its_state_allows_may_be_asked_for(stands: dict[str, Any], possible: list[str]) -> None:
    assert money_moves.possible(whole(**stands)) == possible
    assert money_moves.possible(whole((call(),), **stands)) == [], "one operation at a time"


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("5", "EUR", 500), (" 5.00 ", "EUR", 500), ("0.01", "EUR", 1), ("9", "JPY", 9), ("1.234", "BHD", 1234)],
)
def test_an_amount_is_read_with_the_currencys_decimals(text: str, currency: str, minor: int) -> None:
    assert money_moves.minor_units(text, whole(currency=currency).payment, 5000) == minor


@pytest.mark.parametrize(
    ("text", "currency", "said"),
    [
        ("5,00", "EUR", "with a point, as 10.00"),
        ("-5", "EUR", "with a point"),
        ("1e3", "EUR", "with a point"),
        ("", "EUR", "with a point"),
        ("5.001", "EUR", "2 decimals at most"),
        ("5.1", "JPY", "no decimals"),
        ("10.01", "EUR", "There is 10.00 EUR at most"),
        ("0", "EUR", "above zero"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_it_is_sent(text: str, currency: str, said: str) -> None:
    with pytest.raises(NoSuchAmount, match=said):
        money_moves.minor_units(text, whole(currency=currency).payment, 1000)


def test_the_second_look_says_what_becomes_of_the_rest() -> None:
    held = whole(state="authorized", amount_capturable=1000).payment
    assert money_moves.means(MoneyMove("pay_1", "capture", 400), held) == [
        "Visa captures 4.00 EUR from Visa ···· 4242.",
        "The other 6.00 EUR is let go, and cannot be captured later.",
    ]
    assert "stays reserved" in money_moves.means(MoneyMove("pay_1", "capture", 400, final=False), held)[1]
    taken = whole(state="captured", amount_captured=1000, amount_refunded=100).payment
    said = money_moves.means(MoneyMove("pay_1", "refund", 500), taken)
    assert said[:2] == ["Visa refunds 5.00 EUR to Visa ···· 4242.", "4.00 EUR stays captured."]


@pytest.mark.parametrize(
    ("refund", "status", "ended"),
    [
        ("pending", "unknown", None),
        ("succeeded", "succeeded", ("Done: 4.00 EUR was refunded.", True)),
        ("failed", "declined", ("Visa refused the refund of 4.00 EUR: call issuer. No money was moved.", False)),
    ],
)
def test_a_pending_refund_has_a_clear_end(refund: Any, status: str, ended: tuple[str, bool] | None) -> None:
    code = "call_issuer" if refund == "failed" else None
    given = ShownRefund("ref_1", 400, "EUR", refund, AT, decline_code=code)
    now = whole((call(status=status, refund="ref_1"),), (given,), state="captured", amount_captured=1000)
    assert money_moves.ending(MoneyMove("pay_1", "refund", 400), now, call(refund="ref_1")) == ended


def test_each_confirmation_has_a_key_of_its_own() -> None:
    assert MoneyMove("pay_1", "void", 1).key != MoneyMove("pay_1", "void", 1).key
