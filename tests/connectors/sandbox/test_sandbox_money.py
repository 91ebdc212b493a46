"""Whatever is asked of the twins, their ledger adds up: nothing above what was authorized or captured."""

import itertools
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from connectors.sandbox import ledger, magic
from connectors.sandbox.http_shapes import TwinRefusal
from connectors.sandbox.mastercard import ledger_rules as mastercard_rules
from connectors.sandbox.mastercard.wire_requests import (
    MastercardAmount,
    MastercardCard,
    MastercardExpiry,
    MastercardRequest,
    Provided,
    SourceOfFunds,
)
from connectors.sandbox.paypal import ledger_rules as paypal_rules
from connectors.sandbox.paypal.wire_requests import (
    PayPalMovementRequest,
    PayPalOrderRequest,
    RequestedAmount,
    RequestedUnit,
)
from connectors.sandbox.port import transaction
from connectors.sandbox.sandbox import open_database
from connectors.sandbox.visa import ledger_rules as visa_rules
from connectors.sandbox.visa.wire_requests import (
    AmountDetails,
    CaptureOptions,
    ClientReferenceInformation,
    OrderInformation,
    PaymentInformation,
    ProcessingInformation,
    ReversalInformation,
    VisaCard,
    VisaFollowUpRequest,
    VisaPaymentRequest,
)
from schemas.cards import check_digit
from schemas.money import Money

AUTHORIZED = 1000
STEPS = st.lists(
    st.tuples(st.sampled_from(["capture", "refund", "void"]), st.integers(1, AUTHORIZED), st.integers(0, 5)),
    max_size=12,
)
CARD_IDS = st.integers(0, 10**9 - 1)


class Shop:
    """Plays one list of steps with each vendor; a step names an earlier one by its position."""

    def __init__(self, conn: Any, sale: bool) -> None:
        self.conn, self.sale = conn, sale
        self.counter = itertools.count()

    def play(self, steps: list[tuple[str, int, int]]) -> list[ledger.LedgerRow]:
        made = [self.pay()]
        for operation, amount, of in steps:
            try:
                with transaction(self.conn):
                    id = self.step(operation, amount, made[of % len(made)])
            except TwinRefusal:
                continue
            made.append(id)
        return ledger.rows_after(self.conn, 0, 1000)

    def pay(self) -> Any:
        raise NotImplementedError

    def step(self, operation: str, amount: int, of: Any) -> Any:
        raise NotImplementedError

    def last(self) -> tuple[str, str]:
        """The vendor's id and kind of what was made last."""
        query = "SELECT id, kind FROM documents ORDER BY number DESC LIMIT 1"
        id, kind = self.conn.execute(query).fetchone()
        return id, kind


class VisaShop(Shop):
    def pay(self) -> tuple[str, str]:
        card = VisaCard("4111111111111111", "01", "2039")
        request = VisaPaymentRequest(
            ClientReferenceInformation("att", "op"),
            OrderInformation(AmountDetails(text(AUTHORIZED), "EUR")),
            PaymentInformation(card),
            ProcessingInformation(self.sale),
        )
        visa_rules.pay(self.conn, request)
        return self.last()

    def step(self, operation: str, amount: int, of: tuple[str, str]) -> tuple[str, str]:
        id, kind = of
        of_part = ProcessingInformation(capture_options=CaptureOptions(1, 2 if amount % 3 else 1))
        details = OrderInformation(AmountDetails(text(amount)))
        request = VisaFollowUpRequest(ClientReferenceInformation("att", "op"), details, None, of_part)
        if operation == "capture":
            visa_rules.capture(self.conn, id, request)
        elif operation == "refund":
            visa_rules.refund(self.conn, id, kind, request)  # type: ignore[arg-type]
        elif kind == "payment" and not self.sale:
            left = AUTHORIZED - ledger.position(self.conn, 1).captured
            rest = ReversalInformation(AmountDetails(text(left or amount)))
            visa_rules.reverse(self.conn, id, VisaFollowUpRequest(reversal_information=rest))
        else:
            visa_rules.void(self.conn, id, kind, VisaFollowUpRequest())  # type: ignore[arg-type]
        return self.last()


class MastercardShop(Shop):
    def put(self, request: MastercardRequest) -> str:
        key = mastercard_rules.TransactionKey("SLUICE", "att", f"op{next(self.counter)}")
        mastercard_rules.put(self.conn, key, request)
        return key.transaction

    def pay(self) -> str:
        card = MastercardCard("5123450000000008", MastercardExpiry("01", "39"))
        order, funds = MastercardAmount(text(AUTHORIZED), "EUR"), SourceOfFunds(Provided(card))
        return self.put(MastercardRequest("PAY" if self.sale else "AUTHORIZE", order, source_of_funds=funds))

    def step(self, operation: str, amount: int, of: str) -> str:
        if operation == "void":
            return self.put(MastercardRequest("VOID", transaction=MastercardAmount(target_transaction_id=of)))
        taking = MastercardAmount(text(amount), "EUR")
        return self.put(MastercardRequest("CAPTURE" if operation == "capture" else "REFUND", transaction=taking))


class PayPalShop(Shop):
    def context(self) -> paypal_rules.CallContext:
        return paypal_rules.CallContext(self.conn, "http://localhost", f"op{next(self.counter)}")

    def pay(self) -> tuple[str, str]:
        intent = "CAPTURE" if self.sale else "AUTHORIZE"
        unit = RequestedUnit(RequestedAmount("EUR", text(AUTHORIZED)), "att")
        paypal_rules.create_order(self.context(), PayPalOrderRequest(intent, [unit]))
        order = paypal_rules.find_order(self.conn, self.last()[0])
        paypal_rules.approve_order(self.conn, order)
        paypal_rules.complete_order(self.context(), order.id, intent)  # type: ignore[arg-type]
        return self.last()

    def step(self, operation: str, amount: int, of: tuple[str, str]) -> tuple[str, str]:
        id, _kind = of
        request = PayPalMovementRequest(RequestedAmount("EUR", text(amount)))
        if operation == "capture":
            paypal_rules.capture(self.context(), id, request)
        elif operation == "refund":
            paypal_rules.refund(self.context(), id, request)
        else:
            paypal_rules.void(self.context(), id, representation=False)
        return self.last()


def text(amount: int) -> str:
    return Money(amount, "EUR").decimal()


@given(STEPS, st.booleans(), st.sampled_from([VisaShop, MastercardShop, PayPalShop]))
@settings(max_examples=150)
def test_no_step_takes_more_than_there_is(steps: list[tuple[str, int, int]], sale: bool, shop: type[Shop]) -> None:
    conn = open_database(Path(":memory:"))
    rows = shop(conn, sale).play(steps)
    conn.close()
    taken_back = {row.of: row for row in rows if row.operation in ("void", "reversal")}
    assert len(taken_back) == sum(row.operation in ("void", "reversal") for row in rows)
    for row in rows:
        assert (row.of is None) == (row.operation in ("authorize", "sale"))
        followers = [f for f in rows if f.of == row.id and f.id not in taken_back]
        assert sum(follower.amount for follower in followers) <= row.amount
        if row.id in taken_back:  # what is left of an authorization is released after its captures, all else whole
            assert all(follower.id <= taken_back[row.id].id for follower in followers)
            assert row.operation == "authorize" or taken_back[row.id].amount == row.amount


@given(CARD_IDS, st.sampled_from(["411111", "424242", "401288", "512345", "555555", "222300"]))
def test_every_card_made_of_a_test_bin_is_approved(card_id: int, bin: str) -> None:
    payload = f"{bin}{card_id:09}"
    number = payload + check_digit(payload)
    assert number not in magic.VISA_FOLLOW_UPS
    card = MastercardCard(number, MastercardExpiry("01", "39"))
    assert magic.visa_card_outcome(number, card.expires()) is magic.VISA_APPROVED
    assert magic.mastercard_outcome(card.expires(), None) is magic.MASTERCARD_APPROVED
    assert f"{card.expires():%m/%y}" not in magic.MASTERCARD_FOLLOW_UPS


@given(st.integers(1, 10**9))
def test_no_amount_is_magic_for_a_card_without_address_and_cvn_but_the_partial_one(amount: int) -> None:
    total = text(amount)
    if total != magic.VISA_PARTIAL_AMOUNT:
        outcome = magic.visa_amount_outcome(total, cvn=False, address=False, partial=False)
        assert outcome is magic.VISA_APPROVED
