"""The Mastercard Gateway's rules for money: each function applies one call in the caller's database transaction.

A call is identified by order and transaction id: the same request again is answered as before, declined or not,
and another one under the same ids is refused. The gateway refunds an order, not a capture: the twin assumes that a
refund may be larger than any one capture, and books it across them, one row each under the refund's id.
"""

import sqlite3
from typing import assert_never

import msgspec

from connectors.sandbox import ledger, magic, stored_answers
from connectors.sandbox.http_shapes import LedgerOperation, TwinReply
from connectors.sandbox.mastercard.wire_replies import (
    OrderTotals,
    StoredMastercardTransaction,
    order_reply,
    refusal,
    transaction_reply,
)
from connectors.sandbox.mastercard.wire_requests import (
    ApiOperation,
    MastercardAmount,
    MastercardCard,
    MastercardRequest,
)
from connectors.sandbox.stored_answers import StoredAnswer
from schemas.cards import luhn_valid
from schemas.money import Money
from schemas.times import now

OPERATIONS: dict[ApiOperation, LedgerOperation] = {
    "AUTHORIZE": "authorize",
    "PAY": "sale",
    "CAPTURE": "capture",
    "REFUND": "refund",
    "VOID": "void",
}


class TransactionKey(msgspec.Struct, frozen=True):
    """What identifies a call: the merchant, its order id, its transaction id."""

    merchant: str
    order: str
    transaction: str

    def answer_id(self) -> str:
        """The id of the stored answer to the call."""
        return f"{self.order}/{self.transaction}"


class AppliedTransaction(msgspec.Struct, frozen=True):
    """An applied call of an order, its ledger row, and what later rows did to it."""

    transaction: StoredMastercardTransaction
    row: ledger.LedgerRow
    position: ledger.LedgerPosition


Part = tuple[AppliedTransaction, Money]  # a call that is followed, and how much of it


def put(conn: sqlite3.Connection, key: TransactionKey, request: MastercardRequest) -> TwinReply:
    """Apply a call, or answer it as before where it was applied."""
    if stored := stored_answers.get(conn, "mastercard", key.answer_id()):
        earlier = _transaction(stored)
        if earlier.content != request.content():
            raise refusal("The transaction id was used for another request of this order.", "transaction.id")
        return _answer(conn, 201, key, earlier)
    steps = _steps(conn, key.order)
    match request.api_operation:
        case "AUTHORIZE" | "PAY":
            return _pay(conn, key, request, steps)
        case "CAPTURE" | "REFUND":
            return _take(conn, key, request, steps)
        case "VOID":
            return _void(conn, key, request, steps)
        case _:
            assert_never(request.api_operation)


def look_up(conn: sqlite3.Connection, key: TransactionKey) -> TwinReply:
    """`GET …/order/{orderId}/transaction/{transactionId}`."""
    stored = stored_answers.get(conn, "mastercard", key.answer_id())
    if stored is None:
        raise refusal("Unable to find the transaction of this order.", "transaction.id")
    return _answer(conn, 200, key, _transaction(stored))


def look_up_order(conn: sqlite3.Connection, merchant: str, order: str) -> TwinReply:
    """`GET …/order/{orderId}`."""
    found = [_transaction(stored) for stored in stored_answers.of_family(conn, "mastercard", order)]
    if not found:
        raise refusal("Unable to find the order.", "order.id")
    return order_reply(merchant, order, _totals(found[0].money, _steps(conn, order)), found)


def _pay(
    conn: sqlite3.Connection, key: TransactionKey, request: MastercardRequest, steps: list[AppliedTransaction]
) -> TwinReply:
    if any(step.row.operation in ("authorize", "sale") for step in steps):
        raise refusal("The order has been authorized already.", "order.id")
    money, card = _money(request.order, "order"), _card(request)
    outcome = magic.mastercard_outcome(card.expires(), card.security_code)
    kept = StoredMastercardTransaction(
        order=key.order,
        id=key.transaction,
        operation=request.api_operation,
        result="SUCCESS" if outcome.approved else outcome.status,
        gateway_code="APPROVED" if outcome.approved else outcome.reason,
        money=money,
        at=now(),
        content=request.content(),
        card=card.masked(),
        csc=magic.MASTERCARD_CSC.get(card.security_code or "", ""),
        refused=magic.MASTERCARD_FOLLOW_UPS.get(f"{card.expires():%m/%y}"),
    )
    status: ledger.LedgerStatus = "applied" if outcome.approved else "declined"
    _store(conn, kept, _append(conn, kept, money, None, status) if outcome.recorded else None)
    answered = msgspec.structs.replace(kept, result=outcome.status, gateway_code=outcome.reason)
    return _answer(conn, 201, key, answered)


def _take(
    conn: sqlite3.Connection, key: TransactionKey, request: MastercardRequest, steps: list[AppliedTransaction]
) -> TwinReply:
    money = _money(request.transaction, "transaction")
    if any(step.row.currency != money.currency for step in steps):
        raise refusal("The currency is not the order's.", "transaction.currency")
    parts = _captured(steps, money) if request.api_operation == "CAPTURE" else _refunded(steps, money)
    return _follow(conn, key, request, steps, parts)


def _void(
    conn: sqlite3.Connection, key: TransactionKey, request: MastercardRequest, steps: list[AppliedTransaction]
) -> TwinReply:
    target = request.transaction.target_transaction_id
    step = next((step for step in steps if step.transaction.id == target), None)
    if step is None or step.row.operation == "void":
        raise refusal("Unable to find the target transaction, or it was not approved.", "targetTransactionId")
    if step.position.taken_back:
        raise refusal("The target transaction has been voided already.", "targetTransactionId")
    if step.position.captured or step.position.refunded:
        raise refusal("The target transaction has been captured or refunded.", "targetTransactionId")
    if step.row.amount != step.transaction.money.amount:
        raise refusal("A refund of several captures cannot be voided.", "targetTransactionId")
    return _follow(conn, key, request, steps, [(step, Money(step.row.amount, step.row.currency))])


def _captured(steps: list[AppliedTransaction], money: Money) -> list[Part]:
    step = next((step for step in steps if step.row.operation == "authorize"), None)
    if step is None or step.position.taken_back:
        raise refusal("The order has no authorization to capture.", "order.id")
    if step.position.captured + money.amount > step.row.amount:
        raise refusal("The capture exceeds what is left of the authorization.", "transaction.amount")
    return [(step, money)]


def _refunded(steps: list[AppliedTransaction], money: Money) -> list[Part]:
    """The captures that a refund gives back: the first that has enough left, else the oldest ones."""
    taken = [s for s in steps if s.row.operation in ("sale", "capture") and not s.position.taken_back]
    if not taken:
        raise refusal("The order has nothing to refund.", "order.id")
    left = [(step, step.row.amount - step.position.refunded) for step in taken]
    if sum(amount for _, amount in left) < money.amount:
        raise refusal("The refund exceeds what is left of the captured amount.", "transaction.amount")
    if enough := next((step for step, amount in left if amount >= money.amount), None):
        return [(enough, money)]
    return _spread(left, money)


def _spread(left: list[tuple[AppliedTransaction, int]], money: Money) -> list[Part]:
    parts, rest = list[Part](), money.amount
    for step, amount in left:
        if part := min(amount, rest):
            parts.append((step, Money(part, money.currency)))
            rest -= part
    return parts


def _follow(
    conn: sqlite3.Connection,
    key: TransactionKey,
    request: MastercardRequest,
    steps: list[AppliedTransaction],
    parts: list[Part],
) -> TwinReply:
    """Apply a call that follows others, or decline it: a magic card's issuer refuses it."""
    refused = any(step.transaction.refused == OPERATIONS[request.api_operation] for step in steps)
    parent, first = parts[0]
    transaction = StoredMastercardTransaction(
        order=key.order,
        id=key.transaction,
        operation=request.api_operation,
        result="FAILURE" if refused else "SUCCESS",
        gateway_code="DECLINED" if refused else "APPROVED",
        money=Money(sum(money.amount for _, money in parts), first.currency),
        at=now(),
        content=request.content(),
        target=parent.transaction.id,
    )
    status: ledger.LedgerStatus = "declined" if refused else "applied"
    rows = [_append(conn, transaction, money, step.row.id, status) for step, money in parts]
    _store(conn, transaction, rows[0])
    return _answer(conn, 201, key, transaction)


def _append(
    conn: sqlite3.Connection,
    transaction: StoredMastercardTransaction,
    money: Money,
    parent_id: int | None,
    status: ledger.LedgerStatus,
) -> int:
    return ledger.append(
        conn,
        "mastercard",
        OPERATIONS[transaction.operation],
        reference=transaction.order,
        request_id=transaction.id,
        money=money,
        parent_id=parent_id,
        status=status,
    )


def _store(conn: sqlite3.Connection, transaction: StoredMastercardTransaction, row: int | None) -> None:
    id, body = f"{transaction.order}/{transaction.id}", msgspec.to_builtins(transaction)
    stored = StoredAnswer(id, transaction.operation, transaction.order, transaction.id, row, body)
    stored_answers.put(conn, "mastercard", stored)


def _answer(
    conn: sqlite3.Connection, status: int, key: TransactionKey, transaction: StoredMastercardTransaction
) -> TwinReply:
    totals = _totals(transaction.money, _steps(conn, key.order))
    return transaction_reply(status, key.merchant, transaction, totals)


def _steps(conn: sqlite3.Connection, order: str) -> list[AppliedTransaction]:
    """The applied calls of an order, oldest first."""
    found = []
    for stored in stored_answers.of_family(conn, "mastercard", order):
        if stored.row is not None and (row := ledger.row(conn, stored.row)).status == "applied":
            found.append(AppliedTransaction(_transaction(stored), row, ledger.position(conn, row.id)))
    return found


def _totals(fallback: Money, steps: list[AppliedTransaction]) -> OrderTotals:
    """The order's totals; `fallback` is its amount while nothing was approved."""
    paid = next((step for step in steps if step.row.operation in ("authorize", "sale")), None)
    if paid is None:
        return OrderTotals(fallback)
    money = Money(paid.row.amount, paid.row.currency)
    sale = paid.row.operation == "sale"
    return OrderTotals(
        money,
        authorized=money.amount,
        captured=money.amount if sale else paid.position.captured,
        refunded=sum(step.position.refunded for step in steps if step.row.operation in ("sale", "capture")),
        cancelled=paid.position.taken_back,
    )


def _money(asked: MastercardAmount, field: str) -> Money:
    try:
        return asked.money()
    except ValueError as error:
        raise refusal(f"The amount is not valid: {error}.", f"{field}.amount") from None


def _card(request: MastercardRequest) -> MastercardCard:
    if request.source_of_funds is None:
        raise refusal("A card is required.", "sourceOfFunds", "MISSING")
    card = request.source_of_funds.provided.card
    if not (card.number.isascii() and card.number.isdigit() and luhn_valid(card.number)):
        raise refusal("The card number is not valid.", "sourceOfFunds.provided.card.number")
    try:
        card.expires()
    except ValueError:
        raise refusal("The expiry is not valid.", "sourceOfFunds.provided.card.expiry") from None
    return card


def _transaction(stored: StoredAnswer) -> StoredMastercardTransaction:
    return msgspec.convert(stored.body, StoredMastercardTransaction)
