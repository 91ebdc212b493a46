"""Labels: what was learned about a payment goes to `labels.v1` with the features it was judged by."""

import msgspec
from sqlalchemy import Connection

from gateway.books.outbox import OutboxRow, add_event
from gateway.books.payments import PaymentRow
from gateway.books.verdicts import select_scored
from schemas.fraud import Label, LabelValue
from schemas.ids import new_id
from schemas.times import from_micros, now_micros
from schemas.topics import LABELS


def add_label(conn: Connection, payment: PaymentRow, label: LabelValue, source: str) -> Label:
    """Write the event of a label in the transaction that learned it."""
    scored = select_scored(conn, payment.id)
    now = now_micros()
    data = Label(
        payment=payment.id,
        instrument=payment.stream_key,
        merchant=payment.merchant,
        label=label,
        source=source,
        amount=payment.amount,
        currency=payment.currency,
        features=scored.features,
        score=scored.score,
        model=scored.model,
        occurred_at=from_micros(payment.occurred_at),
        recorded_at=from_micros(now),
    )
    row = OutboxRow(
        id=0,
        event=new_id("evt"),
        topic=LABELS.name,
        key=payment.stream_key,
        type="label.recorded",
        payment=payment.id,
        sequence=None,
        value=msgspec.json.encode(data),
        traceparent=payment.traceparent,
        recorded_at=now,
    )
    add_event(conn, row)
    return data
