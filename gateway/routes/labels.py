"""Labels: what people know about a payment that the fraud flow could not."""

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.payments import select_payment
from gateway.free_text import SourceText
from gateway.payments.reviews import add_label
from gateway.refusals import NoSuchObject
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from schemas.fraud import Label, LabelValue

blueprint = Blueprint("labels", __name__)


class NewLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`source`: who says so, such as `analyst` or `chargeback`."""

    label: LabelValue
    source: SourceText


@blueprint.post("/v1/payments/<payment>/labels")
@endpoint(
    scope="labels:write",
    limit="import",
    body=NewLabel,
    answers={201: Label},
    codes=("not_found",),
    idempotency="accepted",
)
async def create_label(call: Call[NewLabel, None], payment_id: str) -> Reply:
    """Say of a payment that it was fraud, or good; the fraud model learns from it."""
    return Reply(201, await call.runtime.books.write(_label, payment_id, call.body))


def _label(conn: Connection, payment_id: str, given: NewLabel) -> Label:
    row = select_payment(conn, payment_id)
    if row is None:
        raise NoSuchObject
    return add_label(conn, row, given.label, given.source)
