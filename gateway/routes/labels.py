"""Labels: what people know about a payment that the fraud flow could not."""

from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.payments import select_payment
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import FieldError, InvalidRequest, NotFound
from gateway.payments.labels import add_label
from schemas.cards import find_numbers
from schemas.fraud import Label, LabelValue

blueprint = Blueprint("labels", __name__)


class NewLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`source`: who says so, such as `analyst` or `chargeback`."""

    label: LabelValue
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


@blueprint.post("/v1/payments/<payment>/labels")
@endpoint(
    scope="labels:write",
    limit="import",
    body=NewLabel,
    answers={201: Label},
    codes=("not_found",),
    idempotency="accepted",
)
async def create_label(call: Call, payment: str) -> Reply:
    """Say of a payment that it was fraud, or good; the fraud model learns from it."""
    if find_numbers(call.body.source):
        raise InvalidRequest(FieldError("$.source", "A card number stands in it."))
    label = await call.parts.books.write(_label, payment, call.body)
    return Reply(201, label)


def _label(conn: Connection, payment: str, given: NewLabel) -> Label:
    row = select_payment(conn, payment)
    if row is None:
        raise NotFound
    return add_label(conn, row, given.label, given.source)
