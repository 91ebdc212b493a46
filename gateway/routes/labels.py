"""Labels: what people know about payments, and the fraud model learns from."""

from datetime import datetime

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.payments import select_payment
from gateway.free_text import SourceText
from gateway.payments.reviews import add_label
from gateway.refusals import NoSuchObject
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import write_once
from schemas.fraud import LabelValue

blueprint = Blueprint("labels", __name__)


class NewLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`source`: who says so, such as `analyst` or `chargeback`."""

    label: LabelValue
    source: SourceText


class LabelView(msgspec.Struct, frozen=True):
    """A label as it was recorded, with the features and the score that its payment was judged by.

    Its instrument stands on `labels.v1` and on payments of others: whoever labels may have sent the number.
    """

    payment: str
    merchant: str
    label: LabelValue
    source: str
    amount: int
    currency: str
    features: dict[str, float] | None
    score: float | None
    model: str | None
    occurred_at: datetime
    recorded_at: datetime


@blueprint.post("/v1/payments/<payment>/labels")
@endpoint(
    scope="labels:write",
    limit="import",
    body=NewLabel,
    answers={201: LabelView},
    codes=("not_found",),
    idempotency="accepted",
)
async def create_label(call: Call[NewLabel, None], payment_id: str) -> Reply:
    """Label a payment as fraud or good; the fraud model learns from it."""
    return await write_once(call, 201, _label, payment_id, call.body)


def _label(conn: Connection, payment_id: str, given: NewLabel) -> LabelView:
    row = select_payment(conn, payment_id)
    if row is None:
        raise NoSuchObject
    label = add_label(conn, row, given.label, given.source)
    return msgspec.convert(label, LabelView, from_attributes=True)
