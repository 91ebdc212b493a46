"""What CyberSource does with money: each function applies one call inside the caller's transaction."""

import sqlite3
from typing import NoReturn

import msgspec

from connectors.sandbox import documents, ledger, magic
from connectors.sandbox.documents import Document
from connectors.sandbox.visa_replies import (
    PLURAL,
    STATUS,
    Kind,
    Transaction,
    created,
    details,
    new_transaction_id,
    not_found,
    refusal,
    search_results,
)
from connectors.sandbox.visa_requests import Card, Client, FollowUpRequest, PaymentRequest, SearchRequest
from connectors.sandbox.wire import Operation, Reply
from schemas.cards import brand_of
from schemas.money import Money
from schemas.times import now

KINDS: dict[str, Kind] = {plural: kind for kind, plural in PLURAL.items()}
CARD_TYPES = {"visa": "001", "mastercard": "002"}


class Earlier(msgspec.Struct, frozen=True):
    """A call that a later one follows: what CyberSource shows of it, and its row."""

    transaction: Transaction
    row: ledger.Row
    standing: ledger.Standing


def pay(conn: sqlite3.Connection, request: PaymentRequest) -> Reply:
    """Authorize and, with `capture`, settle. A payment held for review is not settled."""
    money, card = _asked_payment(request)
    outcome = _outcome(request, card)
    if outcome is magic.VISA_PARTIAL:
        money = Money(money.amount // 2, money.currency)
    client = request.client_reference_information
    sale = request.processing_information.capture and outcome.status in ("AUTHORIZED", "DECLINED")
    transaction = Transaction(
        id=new_transaction_id(),
        kind="payment",
        status=outcome.status,
        reason=outcome.reason,
        code=client.code,
        transaction_id=client.transaction_id,
        money=money,
        at=now(),
        capture=sale and outcome.approved,
        card=_shown_card(card),
    )
    row = None
    if outcome.recorded:
        status: ledger.Status = "applied" if outcome.approved else "declined"
        row = _append(conn, "sale" if sale else "authorize", transaction, status=status)
    _put(conn, transaction, row)
    return created(transaction)


def capture(conn: sqlite3.Connection, id: str, request: FollowUpRequest) -> Reply:
    """Settle an authorization or a part of it."""
    of = _earlier(conn, id, ("payment",)) or _refuse("MISSING_AUTH", "There is no such authorization.")
    money = _asked(request, _money(of))
    if of.row.operation == "sale":
        raise refusal("TRANSACTION_ALREADY_SETTLED", "The authorization has already been settled.")
    if of.standing.taken_back:
        raise refusal("AUTH_ALREADY_REVERSED", "The authorization has already been reversed.")
    if of.standing.captured + money.amount > of.row.amount:
        raise refusal("EXCEEDS_AUTH_AMOUNT", "The capture amount exceeds the authorized amount.")
    return _follow(conn, "capture", of, request.client_reference_information, money)


def refund(conn: sqlite3.Connection, id: str, kind: Kind, request: FollowUpRequest) -> Reply:
    """Give back a settled payment or capture, or a part of it."""
    of = _earlier(conn, id, (kind,)) or _refuse("INVALID_DATA", "There is no such transaction.")
    money = _asked(request, _money(of))
    if of.row.operation not in ("sale", "capture"):
        raise refusal("INVALID_DATA", "The payment has not been captured.")
    if of.standing.taken_back:
        raise refusal("CAPTURE_ALREADY_VOIDED", "The capture has been voided.")
    if of.standing.refunded + money.amount > of.row.amount:
        raise refusal("INVALID_AMOUNT", "The refund exceeds what was captured.")
    return _follow(conn, "refund", of, request.client_reference_information, money)


def reverse(conn: sqlite3.Connection, id: str, request: FollowUpRequest) -> Reply:
    """Release an authorization by CyberSource's id."""
    return _reverse(conn, _earlier(conn, id, ("payment",)), request, request.client_reference_information)


def void(conn: sqlite3.Connection, id: str, kind: Kind, request: FollowUpRequest) -> Reply:
    """Take back a sale, a capture or a refund that has not been transmitted yet, by CyberSource's id."""
    return _void(conn, _earlier(conn, id, (kind,)), request.client_reference_information)


def reverse_by_request(conn: sqlite3.Connection, request: FollowUpRequest, own_id: str) -> Reply:
    """Release the authorization that the merchant made under its transaction id (a timeout reversal)."""
    client = request.client_reference_information
    of = _of_request(conn, client.transaction_id, ("payment",))
    return _reverse(conn, of, request, client, own_id)


def void_by_request(conn: sqlite3.Connection, request: FollowUpRequest, own_id: str) -> Reply:
    """Take back what the merchant did under its transaction id (a timeout void)."""
    client = request.client_reference_information
    return _void(conn, _of_request(conn, client.transaction_id, ("payment", "capture", "refund")), client, own_id)


def look_up(conn: sqlite3.Connection, id: str) -> Reply:
    """`GET /tss/v2/transactions/{id}`, with the ids of what belongs to the same payment."""
    document = documents.get(conn, "visa", id)
    if document is None:
        raise not_found()
    family = documents.of_family(conn, "visa", document.family)
    return details(_transaction(document), [other.id for other in family if other.id != id])


def search(conn: sqlite3.Connection, request: SearchRequest) -> Reply:
    """Transactions by the merchant's own ids, oldest first."""
    wanted = dict(_condition(part) for part in request.query.split(" AND "))
    transaction_id = wanted.get("clientReferenceInformation.transactionId")
    code = wanted.get("clientReferenceInformation.code")
    if transaction_id is None:
        found = documents.of_family(conn, "visa", code or "")
    else:
        found = documents.of_request(conn, "visa", transaction_id)
    transactions = [_transaction(document) for document in found]
    matching = [transaction for transaction in transactions if code in (None, transaction.code)]
    return search_results(request.query, request.offset, request.limit, matching)


def _reverse(
    conn: sqlite3.Connection, of: Earlier | None, request: FollowUpRequest, client: Client, own_id: str = ""
) -> Reply:
    if of is None:
        raise refusal("MISSING_AUTH", "There is no such authorization.")
    if of.standing.taken_back:
        raise refusal("AUTH_ALREADY_REVERSED", "The authorization has already been reversed.")
    if of.row.operation == "sale" or of.standing.captured:
        raise refusal("TRANSACTION_ALREADY_SETTLED", "The authorization has already been settled.")
    if _asked(request, _money(of)) != _money(of):
        raise refusal("INVALID_AMOUNT", "An authorization is reversed as a whole.")
    return _follow(conn, "reversal", of, client, _money(of), own_id)


def _void(conn: sqlite3.Connection, of: Earlier | None, client: Client, own_id: str = "") -> Reply:
    if of is None or of.row.operation not in ("sale", "capture", "refund"):
        raise refusal("NOT_VOIDABLE", "There is no capture or credit to void.")
    if of.standing.taken_back:
        raise refusal("NOT_VOIDABLE", "The transaction has already been voided.")
    if of.standing.refunded:
        raise refusal("NOT_VOIDABLE", "The transaction has been refunded.")
    return _follow(conn, "void", of, client, _money(of), own_id)


def _follow(
    conn: sqlite3.Connection, operation: Operation, of: Earlier, client: Client, money: Money, own_id: str = ""
) -> Reply:
    kind = KINDS[f"{operation}s"]
    transaction = Transaction(
        id=new_transaction_id(),
        kind=kind,
        status=STATUS[kind],
        reason="",
        code=client.code or of.row.reference,
        transaction_id=client.transaction_id,
        money=money,
        at=now(),
        root=of.transaction.root or of.transaction.id,
    )
    _put(conn, transaction, _append(conn, operation, transaction, own_id, of.row.id))
    return created(transaction)


def _append(
    conn: sqlite3.Connection,
    operation: Operation,
    transaction: Transaction,
    own_id: str = "",
    of: int | None = None,
    status: ledger.Status = "applied",
) -> int:
    """`own_id`: the call's, where its transaction id names the call it takes back."""
    return ledger.append(
        conn,
        "visa",
        operation,
        reference=transaction.code,
        request_id=own_id or transaction.transaction_id,
        money=transaction.money,
        of=of,
        status=status,
    )


def _asked_payment(request: PaymentRequest) -> tuple[Money, Card]:
    card = request.payment_information.card
    try:
        money = request.money()
    except ValueError as error:
        raise refusal("INVALID_DATA", str(error), "orderInformation.amountDetails.totalAmount") from None
    if not (card.number.isascii() and card.number.isdigit() and 12 <= len(card.number) <= 19):
        raise refusal("INVALID_DATA", "The card number is not one.", "paymentInformation.card.number")
    try:
        card.expiry()
    except ValueError:
        raise refusal("INVALID_DATA", "No such month.", "paymentInformation.card.expirationMonth") from None
    return money, card


def _outcome(request: PaymentRequest, card: Card) -> magic.Outcome:
    by_card = magic.visa_card_outcome(card.number, card.expiry())
    if by_card is not magic.VISA_APPROVED:
        return by_card
    return magic.visa_amount_outcome(
        request.order_information.amount_details.total_amount,
        cvn=card.security_code is not None,
        address=bool(request.order_information.bill_to),
        partial=request.processing_information.authorization_options.partial_auth_indicator,
    )


def _asked(request: FollowUpRequest, whole: Money) -> Money:
    try:
        return request.money(whole)
    except ValueError as error:
        raise refusal("INVALID_DATA", str(error), "orderInformation.amountDetails.totalAmount") from None


def _money(of: Earlier) -> Money:
    return Money(of.row.amount, of.row.currency)


def _refuse(reason: str, message: str) -> NoReturn:
    raise refusal(reason, message)


def _earlier(conn: sqlite3.Connection, id: str, kinds: tuple[Kind, ...]) -> Earlier | None:
    document = documents.get(conn, "visa", id)
    return _applied(conn, document) if document and document.kind in kinds else None


def _of_request(conn: sqlite3.Connection, transaction_id: str, kinds: tuple[Kind, ...]) -> Earlier | None:
    """The call under the merchant's id; of several (nothing dedupes them) one that still stands, if any does."""
    if not transaction_id:
        raise refusal(
            "MISSING_FIELD", "The transaction id is missing.", "clientReferenceInformation.transactionId"
        )
    found = documents.of_request(conn, "visa", transaction_id)
    applied = [of for document in found if document.kind in kinds and (of := _applied(conn, document))]
    standing = [of for of in applied if not of.standing.taken_back]
    return next(iter(standing or applied), None)


def _applied(conn: sqlite3.Connection, document: Document) -> Earlier | None:
    if document.row is None:
        return None
    row = ledger.row(conn, document.row)
    if row.status != "applied":
        return None
    return Earlier(_transaction(document), row, ledger.standing(conn, row.id))


def _put(conn: sqlite3.Connection, transaction: Transaction, row: int | None) -> None:
    family = transaction.code
    body = msgspec.to_builtins(transaction)
    document = Document(transaction.id, transaction.kind, family, transaction.transaction_id, row, body)
    documents.put(conn, "visa", document)


def _transaction(document: Document) -> Transaction:
    return msgspec.convert(document.body, Transaction)


def _condition(text: str) -> tuple[str, str]:
    field, _, value = text.strip().partition(":")
    return field, value.strip('"')


def _shown_card(card: Card) -> dict[str, str]:
    kind = CARD_TYPES.get(brand_of(card.number) or "", "")
    return {"type": kind, "prefix": card.number[:6], "suffix": card.number[-4:]}
