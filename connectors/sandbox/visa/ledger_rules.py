"""CyberSource's rules for money: each function applies one call inside the caller's database transaction.

CyberSource's word: after the final capture, or one without a number, there is no other. The twin assumes that what
captures left of an authorization is reversed by a reversal of exactly that, and that nothing follows one.
"""

import sqlite3
from typing import NoReturn

import msgspec

from connectors.sandbox import ledger, magic, stored_answers
from connectors.sandbox.http_shapes import LedgerOperation, TwinReply
from connectors.sandbox.stored_answers import StoredAnswer
from connectors.sandbox.visa.wire_replies import (
    PLURAL,
    REFUSED_STATUS,
    STATUS,
    StoredVisaTransaction,
    TransactionKind,
    created,
    details,
    new_transaction_id,
    not_found,
    refusal,
    search_results,
)
from connectors.sandbox.visa.wire_requests import (
    ClientReferenceInformation,
    VisaCard,
    VisaFollowUpRequest,
    VisaPaymentRequest,
    VisaSearchRequest,
)
from schemas.cards import brand_of
from schemas.money import Money
from schemas.times import now

KINDS: dict[str, TransactionKind] = {plural: kind for kind, plural in PLURAL.items()}
CARD_TYPES = {"visa": "001", "mastercard": "002"}


class EarlierTransaction(msgspec.Struct, frozen=True):
    """A call that a later one follows: as CyberSource shows it, its ledger row, and what later rows did to it."""

    transaction: StoredVisaTransaction
    row: ledger.LedgerRow
    position: ledger.LedgerPosition


def pay(conn: sqlite3.Connection, request: VisaPaymentRequest) -> TwinReply:
    """Authorize and, with `capture`, settle. A payment held for review is not settled."""
    money, card = _asked_payment(request)
    outcome = _outcome(request, card)
    if outcome is magic.VISA_PARTIAL:
        money = Money(money.amount // 2, money.currency)
    client = request.client_reference_information
    sale = request.processing_information.capture and outcome.status in ("AUTHORIZED", "DECLINED")
    transaction = StoredVisaTransaction(
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
        refused=magic.VISA_FOLLOW_UPS.get(card.number),
    )
    row = None
    if outcome.recorded:
        status: ledger.LedgerStatus = "applied" if outcome.approved else "declined"
        row = _append(conn, "sale" if sale else "authorize", transaction, status=status)
    _put(conn, transaction, row)
    return created(transaction)


def capture(conn: sqlite3.Connection, id: str, request: VisaFollowUpRequest) -> TwinReply:
    """Settle an authorization, or a part of it."""
    parent = _earlier(conn, id, ("payment",)) or _refuse("MISSING_AUTH", "There is no such authorization.")
    money, final = _asked(request, _money(parent)), _is_final(request)
    if parent.row.operation == "sale":
        raise refusal("TRANSACTION_ALREADY_SETTLED", "The authorization has already been settled.")
    if parent.position.taken_back:
        raise refusal("AUTH_ALREADY_REVERSED", "The authorization has already been reversed.")
    if _finally_captured(conn, parent):
        raise refusal("MISSING_AUTH", "The authorization has already been used in its final capture.")
    if money.amount > _left(parent).amount:
        raise refusal("EXCEEDS_AUTH_AMOUNT", "The capture amount exceeds the authorized amount.")
    return _follow(conn, "capture", parent, request.client_reference_information, money, final=final)


def refund(conn: sqlite3.Connection, id: str, kind: TransactionKind, request: VisaFollowUpRequest) -> TwinReply:
    """Give back a settled payment or capture, or a part of it."""
    parent = _earlier(conn, id, (kind,)) or _refuse("INVALID_DATA", "There is no such transaction.")
    money = _asked(request, _money(parent))
    if parent.row.operation not in ("sale", "capture"):
        raise refusal("INVALID_DATA", "The payment has not been captured.")
    if parent.position.taken_back:
        raise refusal("CAPTURE_ALREADY_VOIDED", "The capture has been voided.")
    if parent.position.refunded + money.amount > parent.row.amount:
        raise refusal("INVALID_AMOUNT", "The refund exceeds what was captured.")
    return _follow(conn, "refund", parent, request.client_reference_information, money)


def reverse(conn: sqlite3.Connection, id: str, request: VisaFollowUpRequest) -> TwinReply:
    """Release what is left of an authorization by CyberSource's id."""
    return _reverse(conn, _earlier(conn, id, ("payment",)), request, request.client_reference_information)


def void(conn: sqlite3.Connection, id: str, kind: TransactionKind, request: VisaFollowUpRequest) -> TwinReply:
    """Take back a sale, a capture or a refund that has not been transmitted yet, by CyberSource's id."""
    return _void(conn, _earlier(conn, id, (kind,)), request.client_reference_information)


def reverse_by_request(conn: sqlite3.Connection, request: VisaFollowUpRequest, own_id: str) -> TwinReply:
    """Release the authorization that the merchant made under its transaction id (a timeout reversal)."""
    client = request.client_reference_information
    parent = _of_request(conn, client.transaction_id, ("payment",))
    return _reverse(conn, parent, request, client, own_id)


def void_by_request(conn: sqlite3.Connection, request: VisaFollowUpRequest, own_id: str) -> TwinReply:
    """Take back what the merchant did under its transaction id (a timeout void)."""
    client = request.client_reference_information
    return _void(conn, _of_request(conn, client.transaction_id, ("payment", "capture", "refund")), client, own_id)


def look_up(conn: sqlite3.Connection, id: str) -> TwinReply:
    """`GET /tss/v2/transactions/{id}`, with the ids of what belongs to the same payment."""
    stored = stored_answers.get(conn, "visa", id)
    if stored is None:
        raise not_found()
    family = stored_answers.of_family(conn, "visa", stored.family)
    return details(_transaction(stored), [other.id for other in family if other.id != id])


def search(conn: sqlite3.Connection, request: VisaSearchRequest) -> TwinReply:
    """Transactions by the merchant's own ids, oldest first or, where asked for, newest first."""
    wanted = dict(_condition(part) for part in request.query.split(" AND "))
    transaction_id = wanted.get("clientReferenceInformation.transactionId")
    code = wanted.get("clientReferenceInformation.code")
    if transaction_id is None:
        found = stored_answers.of_family(conn, "visa", code or "")
    else:
        found = stored_answers.of_request(conn, "visa", transaction_id)
    transactions = [_transaction(stored) for stored in found]
    matching = [transaction for transaction in transactions if code in (None, transaction.code)]
    if request.sort.endswith(":desc"):
        matching.reverse()
    return search_results(request.query, request.offset, request.limit, matching)


def _reverse(
    conn: sqlite3.Connection,
    parent: EarlierTransaction | None,
    request: VisaFollowUpRequest,
    client: ClientReferenceInformation,
    own_id: str = "",
) -> TwinReply:
    if parent is None:
        raise refusal("MISSING_AUTH", "There is no such authorization.")
    if parent.position.taken_back:
        raise refusal("AUTH_ALREADY_REVERSED", "The authorization has already been reversed.")
    if parent.row.operation == "sale" or not _left(parent).amount:
        raise refusal("TRANSACTION_ALREADY_SETTLED", "The authorization has already been settled.")
    if _asked(request, _money(parent)) != _left(parent):
        raise refusal("INVALID_AMOUNT", "What is left of an authorization is reversed as a whole.")
    return _follow(conn, "reversal", parent, client, _left(parent), own_id)


def _void(
    conn: sqlite3.Connection,
    parent: EarlierTransaction | None,
    client: ClientReferenceInformation,
    own_id: str = "",
) -> TwinReply:
    if parent is None or parent.row.operation not in ("sale", "capture", "refund"):
        raise refusal("NOT_VOIDABLE", "There is no capture or credit to void.")
    if parent.position.taken_back:
        raise refusal("NOT_VOIDABLE", "The transaction has already been voided.")
    if parent.position.refunded:
        raise refusal("NOT_VOIDABLE", "The transaction has been refunded.")
    return _follow(conn, "void", parent, client, _money(parent), own_id)


def _follow(
    conn: sqlite3.Connection,
    operation: LedgerOperation,
    parent: EarlierTransaction,
    client: ClientReferenceInformation,
    money: Money,
    own_id: str = "",
    *,
    final: bool = False,
) -> TwinReply:
    kind, earlier = KINDS[f"{operation}s"], parent.transaction
    # What is taken back by the merchant's own id is never refused: silence would have no end.
    refused = earlier.refused == ("void" if operation == "reversal" else operation) and not own_id
    transaction = StoredVisaTransaction(
        id=new_transaction_id(),
        kind=kind,
        status=REFUSED_STATUS[kind] if refused else STATUS[kind],
        reason="PROCESSOR_DECLINED" if refused else "",
        code=client.code or parent.row.reference,
        transaction_id=client.transaction_id,
        money=money,
        at=now(),
        root=earlier.root or earlier.id,
        final=final and not refused,
        refused=earlier.refused,
    )
    status: ledger.LedgerStatus = "declined" if refused else "applied"
    _put(conn, transaction, _append(conn, operation, transaction, own_id, parent.row.id, status))
    return created(transaction)


def _append(
    conn: sqlite3.Connection,
    operation: LedgerOperation,
    transaction: StoredVisaTransaction,
    own_id: str = "",
    parent_id: int | None = None,
    status: ledger.LedgerStatus = "applied",
) -> int:
    """`own_id` is the call's id, where its transaction id names the call it takes back."""
    return ledger.append(
        conn,
        "visa",
        operation,
        reference=transaction.code,
        request_id=own_id or transaction.transaction_id,
        money=transaction.money,
        parent_id=parent_id,
        status=status,
    )


def _asked_payment(request: VisaPaymentRequest) -> tuple[Money, VisaCard]:
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


def _outcome(request: VisaPaymentRequest, card: VisaCard) -> magic.MagicOutcome:
    by_card = magic.visa_card_outcome(card.number, card.expiry())
    if by_card is not magic.VISA_APPROVED:
        return by_card
    return magic.visa_amount_outcome(
        request.order_information.amount_details.total_amount,
        cvn=card.security_code is not None,
        address=bool(request.order_information.bill_to),
        partial=request.processing_information.authorization_options.partial_auth_indicator,
    )


def _asked(request: VisaFollowUpRequest, whole: Money) -> Money:
    try:
        return request.money(whole)
    except ValueError as error:
        raise refusal("INVALID_DATA", str(error), "orderInformation.amountDetails.totalAmount") from None


def _money(parent: EarlierTransaction) -> Money:
    return Money(parent.row.amount, parent.row.currency)


def _left(authorization: EarlierTransaction) -> Money:
    return Money(authorization.row.amount - authorization.position.captured, authorization.row.currency)


def _is_final(request: VisaFollowUpRequest) -> bool:
    try:
        return request.processing_information.capture_options.final()
    except ValueError as error:
        raise refusal("INVALID_DATA", str(error), "processingInformation.captureOptions") from None


def _finally_captured(conn: sqlite3.Connection, authorization: EarlierTransaction) -> bool:
    """Whether a capture stands that is the last one: it was not voided."""
    family = stored_answers.of_family(conn, "visa", authorization.row.reference)
    captures = [one for stored in family if stored.kind == "capture" and (one := _applied(conn, stored))]
    mine = [one for one in captures if one.row.of == authorization.row.id]
    return any(one.transaction.final and not one.position.taken_back for one in mine)


def _refuse(reason: str, message: str) -> NoReturn:
    raise refusal(reason, message)


def _earlier(conn: sqlite3.Connection, id: str, kinds: tuple[TransactionKind, ...]) -> EarlierTransaction | None:
    stored = stored_answers.get(conn, "visa", id)
    return _applied(conn, stored) if stored and stored.kind in kinds else None


def _of_request(
    conn: sqlite3.Connection, transaction_id: str, kinds: tuple[TransactionKind, ...]
) -> EarlierTransaction | None:
    """The call under the merchant's id; of several (nothing dedupes them) one not taken back, if there is one."""
    if not transaction_id:
        raise refusal(
            "MISSING_FIELD", "The transaction id is missing.", "clientReferenceInformation.transactionId"
        )
    found = stored_answers.of_request(conn, "visa", transaction_id)
    applied = [one for stored in found if stored.kind in kinds and (one := _applied(conn, stored))]
    standing = [one for one in applied if not one.position.taken_back]
    return next(iter(standing or applied), None)


def _applied(conn: sqlite3.Connection, stored: StoredAnswer) -> EarlierTransaction | None:
    if stored.row is None:
        return None
    row = ledger.row(conn, stored.row)
    if row.status != "applied":
        return None
    return EarlierTransaction(_transaction(stored), row, ledger.position(conn, row.id))


def _put(conn: sqlite3.Connection, transaction: StoredVisaTransaction, row: int | None) -> None:
    family = transaction.code
    body = msgspec.to_builtins(transaction)
    stored = StoredAnswer(transaction.id, transaction.kind, family, transaction.transaction_id, row, body)
    stored_answers.put(conn, "visa", stored)


def _transaction(stored: StoredAnswer) -> StoredVisaTransaction:
    return msgspec.convert(stored.body, StoredVisaTransaction)


def _condition(text: str) -> tuple[str, str]:
    field, _, value = text.strip().partition(":")
    return field, value.strip('"')


def _shown_card(card: VisaCard) -> dict[str, str]:
    kind = CARD_TYPES.get(brand_of(card.number) or "", "")
    return {"type": kind, "prefix": card.number[:6], "suffix": card.number[-4:]}
