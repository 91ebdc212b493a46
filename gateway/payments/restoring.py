"""Payments that books lost are written back from what the topics tell of them, each once; nothing is told again.

An event of a payment, an operation or a review counts where its `sequence` is above that of the books: then a
second run, or a payment of which the books have a part, changes nothing twice. Each posting stands in exactly one
event of its operation.
"""

from collections.abc import Iterable
from itertools import groupby

import msgspec
from sqlalchemy import Connection

from gateway.books import accounts, restored
from gateway.books.account_rights import set_rights
from gateway.books.assignments import give_back
from gateway.books.cards import select_any_card
from gateway.books.labels import LabelRow, change_waiting, insert_label, labels_of
from gateway.books.operations import OPEN, Operation, select_operation, select_operations
from gateway.books.payments import PaymentRow, select_payment
from gateway.books.postings import post
from gateway.books.refunds import RefundRow, put_refund, select_refund
from gateway.books.reviews import OPENED, decide, insert_review, select_review
from gateway.books.verdicts import insert_late
from gateway.identity.erasure import erase_again
from gateway.payments.retold import (
    ToldPayment,
    WhenAgain,
    attempt_row,
    is_in_doubt,
    operation_row,
    payment_row,
    refund_row,
    review_row,
)
from gateway.payments.telling import reasons_of
from schemas.accounts import AccountChanged, AccountErased
from schemas.events import EventData
from schemas.ids import new_id
from schemas.operations import OperationEvent
from schemas.times import to_micros


class RestoredPayment(msgspec.Struct, frozen=True):
    """What became of a payment. `row`: None where no topic says what it was, and the books do not know it."""

    row: PaymentRow | None
    is_new: bool = False
    in_doubt: bool = False


def restore_payment(conn: Connection, told: ToldPayment, again: WhenAgain) -> RestoredPayment:
    """Write what the books lack of a payment."""
    known = select_payment(conn, told.payment_id)
    if known is None and not told.events:
        return RestoredPayment(None, in_doubt=True)
    operations = _restore_operations(conn, told, known, again)
    row = _restore_row(conn, told, known, any(o.status in OPEN for o in operations), again)
    refunds = _restore_refunds(conn, told, row, operations)
    _restore_reviews(conn, told, row)
    _restore_verdict(conn, told, row, again)
    _restore_labels(conn, told, row)
    return RestoredPayment(row, known is None, is_in_doubt(row, operations, refunds))


def restore_account(conn: Connection, data: EventData, now: int) -> bool:
    """Write what became of an account; False where the books do not know it, or know more. `now`: UTC, µs."""
    assert isinstance(data, AccountChanged | AccountErased), "it stands on accounts.v1"
    account = accounts.bare_by_id(conn, data.account)
    if account is None:
        return False
    if isinstance(data, AccountErased):
        erase_again(conn, account.id, now)
        restored.note_told(conn, account.id, account.events + 1)
        return True
    if data.sequence <= account.events:
        return False
    disabled_at = to_micros(data.recorded_at) if data.disabled else None
    set_rights(conn, msgspec.structs.replace(account, role=data.role, disabled_at=disabled_at), now)
    restored.note_told(conn, account.id, data.sequence)
    return True


def _restore_operations(
    conn: Connection, told: ToldPayment, known: PaymentRow | None, again: WhenAgain
) -> list[Operation]:
    """All operations of the payment, as they are then."""
    by_id = sorted(told.operations, key=lambda event: (event.operation.id, event.sequence))
    for operation_id, events in groupby(by_id, key=lambda event: event.operation.id):
        earlier = select_operation(conn, operation_id)
        since = earlier.sequence if earlier else 0
        newer = [event for event in events if event.sequence > since]
        if newer:
            _restore_operation(conn, newer, earlier, known.version if known else 1, again)
    return select_operations(conn, told.payment_id)


def _restore_operation(
    conn: Connection, events: list[OperationEvent], earlier: Operation | None, ordinal: int, again: WhenAgain
) -> None:
    shown = events[-1].operation
    parent = select_operation(conn, shown.parent) if shown.parent else None
    row = operation_row(earlier, events[-1], ordinal, parent.processor_reference if parent else None, again)
    restored.put_attempt(conn, attempt_row(events[0].operation))
    restored.put_operation(conn, row)
    for event in events:
        entries = tuple((entry.account, entry.amount) for entry in event.entries)
        if entries:
            post(conn, row, entries, to_micros(event.recorded_at))


def _restore_row(
    conn: Connection, told: ToldPayment, known: PaymentRow | None, calls_open: bool, again: WhenAgain
) -> PaymentRow:
    if known is not None and (not told.events or told.told()[-1].sequence < known.sequence):
        return known
    card_id = told.told()[-1].payment.method.card
    card = select_any_card(conn, card_id) if card_id else None
    row = payment_row(known, told, card.fingerprint if card else None, calls_open, again)
    restored.put_payment(conn, row)
    return row


def _restore_refunds(
    conn: Connection, told: ToldPayment, payment: PaymentRow, operations: Iterable[Operation]
) -> list[RefundRow]:
    rows = [
        refund_row(select_refund(conn, refund.id), refund, payment, operations)
        for refund in told.refunds().values()
    ]
    for row in rows:
        put_refund(conn, row)
    return rows


def _restore_reviews(conn: Connection, told: ToldPayment, payment: PaymentRow) -> None:
    for event in told.reviews:
        shown = event.review
        review = select_review(conn, shown.id)
        if review is None:
            opened = review_row(shown, payment, told.verdict)
            insert_review(conn, opened, reasons_of(opened))
            review = msgspec.structs.replace(opened, sequence=OPENED)
        if shown.decision and shown.decided_at and review.decision is None:
            if review.assigned_to:
                give_back(conn, review.id, review.assigned_to)
            decide(conn, review, shown.decision, "", shown.decided_by, to_micros(shown.decided_at))


def _restore_labels(conn: Connection, told: ToldPayment, payment: PaymentRow) -> None:
    for label in told.labels:
        row = LabelRow(
            id=new_id("lbl"),
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            label=label.label,
            source=label.source,
            state="told",
            recorded_at=to_micros(label.recorded_at),
        )
        if not insert_label(conn, row):
            _wait_no_more(conn, row)


def _wait_no_more(conn: Connection, told: LabelRow) -> None:
    """Where the label waits in the books it was told of since: else it would be told of once more."""
    for known in labels_of(conn, told.payment_id):
        if (known.label, known.source) == (told.label, told.source):
            change_waiting(conn, known.id, "told", None, told.recorded_at)


def _restore_verdict(conn: Connection, told: ToldPayment, payment: PaymentRow, again: WhenAgain) -> None:
    risk, verdict = payment.applied_risk(), told.verdict
    if risk is None:
        return
    is_late = risk.source == "stand_in"
    if not restored.is_judged(conn, payment.id):
        restored.put_applied(conn, payment, risk, None if is_late else verdict)
    if is_late and verdict is not None:
        acted_upon = any(event.review.kind == "late" for event in told.reviews)
        insert_late(conn, verdict, None if acted_upon else again.now)
