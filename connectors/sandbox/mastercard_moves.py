"""What the Mastercard Gateway does with money: each function applies one call inside the caller's transaction.

A call is known by order and transaction id: the same again is answered as before, another one under the same ids
is refused.
"""

import sqlite3

import msgspec

from connectors.sandbox import documents, ledger, magic
from connectors.sandbox.documents import Document
from connectors.sandbox.mastercard_replies import (
    Totals,
    Transaction,
    order_reply,
    refusal,
    transaction_reply,
)
from connectors.sandbox.mastercard_requests import Amount, ApiOperation, Card, OperationRequest
from connectors.sandbox.wire import Operation, Reply
from schemas.cards import luhn_valid
from schemas.money import Money
from schemas.times import now

OPERATIONS: dict[ApiOperation, Operation] = {
    "AUTHORIZE": "authorize",
    "PAY": "sale",
    "CAPTURE": "capture",
    "REFUND": "refund",
    "VOID": "void",
}


class Key(msgspec.Struct, frozen=True):
    """Where a call stands in the gateway: the merchant, its order id, its transaction id."""

    merchant: str
    order: str
    transaction: str

    def document(self) -> str:
        """The id of the call's document."""
        return f"{self.order}/{self.transaction}"


class Step(msgspec.Struct, frozen=True):
    """An applied call of an order, and what became of it."""

    transaction: Transaction
    row: ledger.Row
    standing: ledger.Standing


def put(conn: sqlite3.Connection, key: Key, request: OperationRequest) -> Reply:
    """Apply a call once."""
    if document := documents.get(conn, "mastercard", key.document()):
        earlier = _transaction(document)
        if earlier.content != request.content():
            raise refusal("The transaction id was used for another request of this order.", "transaction.id")
        return _answer(conn, 201, key, earlier)
    steps = _steps(conn, key.order)
    if request.api_operation in ("AUTHORIZE", "PAY"):
        return _pay(conn, key, request, steps)
    if request.api_operation == "VOID":
        return _void(conn, key, request, steps)
    return _take(conn, key, request, steps)


def look_up(conn: sqlite3.Connection, key: Key) -> Reply:
    """`GET …/order/{orderId}/transaction/{transactionId}`."""
    document = documents.get(conn, "mastercard", key.document())
    if document is None:
        raise refusal("Unable to find the transaction of this order.", "transaction.id")
    return _answer(conn, 200, key, _transaction(document))


def look_up_order(conn: sqlite3.Connection, merchant: str, order: str) -> Reply:
    """`GET …/order/{orderId}`."""
    found = [_transaction(document) for document in documents.of_family(conn, "mastercard", order)]
    if not found:
        raise refusal("Unable to find the order.", "order.id")
    return order_reply(merchant, order, _totals(found[0].money, _steps(conn, order)), found)


def _pay(conn: sqlite3.Connection, key: Key, request: OperationRequest, steps: list[Step]) -> Reply:
    if any(step.row.operation in ("authorize", "sale") for step in steps):
        raise refusal("The order has been authorized already.", "order.id")
    money, card = _money(request.order, "order"), _card(request)
    outcome = magic.mastercard_outcome(card.expires(), card.security_code)
    kept = Transaction(
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
    )
    status: ledger.Status = "applied" if outcome.approved else "declined"
    _keep(conn, kept, status=status, recorded=outcome.recorded)
    answered = msgspec.structs.replace(kept, result=outcome.status, gateway_code=outcome.reason)
    return _answer(conn, 201, key, answered)


def _take(conn: sqlite3.Connection, key: Key, request: OperationRequest, steps: list[Step]) -> Reply:
    money = _money(request.transaction, "transaction")
    capture = request.api_operation == "CAPTURE"
    step = _capturable(steps, money) if capture else _refundable(steps, money)
    if step.row.currency != money.currency:
        raise refusal("The currency is not the order's.", "transaction.currency")
    return _follow(conn, key, request, step, money)


def _void(conn: sqlite3.Connection, key: Key, request: OperationRequest, steps: list[Step]) -> Reply:
    target = request.transaction.target_transaction_id
    step = next((step for step in steps if step.transaction.id == target), None)
    if step is None or step.row.operation == "void":
        raise refusal("Unable to find the target transaction, or it was not approved.", "targetTransactionId")
    if step.standing.taken_back:
        raise refusal("The target transaction has been voided already.", "targetTransactionId")
    if step.standing.captured or step.standing.refunded:
        raise refusal("The target transaction has been captured or refunded.", "targetTransactionId")
    return _follow(conn, key, request, step, Money(step.row.amount, step.row.currency))


def _capturable(steps: list[Step], money: Money) -> Step:
    step = next((step for step in steps if step.row.operation == "authorize"), None)
    if step is None or step.standing.taken_back:
        raise refusal("The order has no authorization to capture.", "order.id")
    if step.standing.captured + money.amount > step.row.amount:
        raise refusal("The capture exceeds what is left of the authorization.", "transaction.amount")
    return step


def _refundable(steps: list[Step], money: Money) -> Step:
    taken = [s for s in steps if s.row.operation in ("sale", "capture") and not s.standing.taken_back]
    if not taken:
        raise refusal("The order has nothing to refund.", "order.id")
    step = next((s for s in taken if s.standing.refunded + money.amount <= s.row.amount), None)
    if step is None:
        raise refusal("The refund exceeds what is left of the captured amount.", "transaction.amount")
    return step


def _follow(conn: sqlite3.Connection, key: Key, request: OperationRequest, of: Step, money: Money) -> Reply:
    transaction = Transaction(
        order=key.order,
        id=key.transaction,
        operation=request.api_operation,
        result="SUCCESS",
        gateway_code="APPROVED",
        money=money,
        at=now(),
        content=request.content(),
        target=of.transaction.id,
    )
    _keep(conn, transaction, of=of.row.id)
    return _answer(conn, 201, key, transaction)


def _keep(
    conn: sqlite3.Connection,
    transaction: Transaction,
    *,
    of: int | None = None,
    status: ledger.Status = "applied",
    recorded: bool = True,
) -> None:
    row = None
    if recorded:
        row = ledger.append(
            conn,
            "mastercard",
            OPERATIONS[transaction.operation],
            reference=transaction.order,
            request_id=transaction.id,
            money=transaction.money,
            of=of,
            status=status,
        )
    id = f"{transaction.order}/{transaction.id}"
    body = msgspec.to_builtins(transaction)
    document = Document(id, transaction.operation, transaction.order, transaction.id, row, body)
    documents.put(conn, "mastercard", document)


def _answer(conn: sqlite3.Connection, status: int, key: Key, transaction: Transaction) -> Reply:
    totals = _totals(transaction.money, _steps(conn, key.order))
    return transaction_reply(status, key.merchant, transaction, totals)


def _steps(conn: sqlite3.Connection, order: str) -> list[Step]:
    """The applied calls of an order, oldest first."""
    found = []
    for document in documents.of_family(conn, "mastercard", order):
        if document.row is not None and (row := ledger.row(conn, document.row)).status == "applied":
            found.append(Step(_transaction(document), row, ledger.standing(conn, row.id)))
    return found


def _totals(fallback: Money, steps: list[Step]) -> Totals:
    """What the order stands at; `fallback` is its amount while nothing was approved."""
    paid = next((step for step in steps if step.row.operation in ("authorize", "sale")), None)
    if paid is None:
        return Totals(fallback)
    money = Money(paid.row.amount, paid.row.currency)
    sale = paid.row.operation == "sale"
    return Totals(
        money,
        authorized=money.amount,
        captured=money.amount if sale else paid.standing.captured,
        refunded=sum(step.standing.refunded for step in steps if step.row.operation in ("sale", "capture")),
        cancelled=paid.standing.taken_back,
    )


def _money(asked: Amount, field: str) -> Money:
    try:
        return asked.money()
    except ValueError as error:
        raise refusal(f"The amount is not valid: {error}.", f"{field}.amount") from None


def _card(request: OperationRequest) -> Card:
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


def _transaction(document: Document) -> Transaction:
    return msgspec.convert(document.body, Transaction)
