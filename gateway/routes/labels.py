"""Labels: what people and banks know about payments, and the fraud model learns from."""

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.audit import Act, record
from gateway.books.labels import Burst, LabelRow, LabelState, list_waiting, waiting_of
from gateway.books.payments import select_payment
from gateway.csv_lines import batches
from gateway.free_text import Reason, SourceText
from gateway.payments.label_import import LabelImport, LabelsTaken, import_labels
from gateway.payments.label_reports import ReportName, required_columns, without_heading
from gateway.payments.labels import LabelAsked, end_waiting, label_of, take_label
from gateway.policy import Policy
from gateway.refusals import FieldError, InvalidFields, NoSuchObject
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import write_once
from gateway.web.paging import Listing, Page, read_page
from schemas.fraud import LabelValue
from schemas.times import from_micros

DECIDED_AT_ONCE = 1_000  # labels; who has more waiting decides again

blueprint = Blueprint("labels", __name__)


class NewLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`source`: who says so, such as `analyst` or `chargeback`."""

    label: LabelValue
    source: SourceText


class LabelView(msgspec.Struct, frozen=True):
    """A label as it was recorded, with the features and the score that its payment was judged by.

    Its instrument stands on `labels.v1` and on payments of others: whoever labels may have sent the number.
    `status`: `told` to the fraud model; `waiting` for a person, as it came in a burst; `outvoted` by a source of
    more authority; `confirms` what was told before; `dropped` by a person.
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
    status: LabelState = "told"


class FileQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`report`: the kind of file; `labels` are our own, with the columns `payment,label,source`."""

    report: ReportName = "labels"


class WaitingLabel(msgspec.Struct, frozen=True):
    """A label that waits for a person or its time: it came in a burst of its source, or merchant."""

    id: str
    payment: str
    merchant: str
    label: LabelValue
    source: str
    waits_for: Burst | None
    recorded_at: datetime


class WaitingList(Listing[WaitingLabel], frozen=True):
    """A page of the labels that wait, the newest first. `next_cursor` is null on the last one."""


class LabelDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """About all that wait of a `source`, or of a `merchant`: whether the model is to `learn` them, and why."""

    source: SourceText | None = None
    merchant: SourceText | None = None
    learn: bool
    reason: Reason


class LabelsDecided(msgspec.Struct, frozen=True):
    """How many waiting labels were decided: at most 1,000 at once."""

    decided: int


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
    """Label a payment as fraud or good; the fraud model learns from it. The same of one source counts once."""
    by, bounded, policy = call.caller.actor_id, _is_bounded(call), call.runtime.policy
    return await write_once(call, 201, _label, policy, payment_id, call.body, by, bounded)


@blueprint.post("/v1/labels")
@endpoint(scope="labels:write", limit="import", query=FileQuery, answers={200: LabelsTaken}, takes_csv=True)
async def import_file(call: Call[None, FileQuery]) -> Reply:
    """Label payments by a file (`text/csv`, UTF-8, up to 16 MiB): our own, or a chargeback report.

    Its first line names the columns; a report may have up to five lines before it. The answer says how many lines
    were taken and which were refused, and why. The same file again changes nothing.
    """
    if call.file is None:
        raise InvalidFields(FieldError("Content-Type", "text/csv."))
    report = call.query.report
    asked = LabelImport(report, call.caller.actor_id, _is_bounded(call))
    columns = required_columns(report)
    file: AsyncIterator[bytes] = without_heading(call.file, columns)
    runtime = call.runtime
    return Reply(200, await import_labels(runtime.books, runtime.policy, asked, batches(file, columns)))


@blueprint.get("/v1/labels")
@endpoint(scope="labels:write", query=Page, answers={200: WaitingList})
async def list_labels(call: Call[None, Page]) -> Reply:
    """List the labels that wait for a person, the newest first."""
    shown, cursor = await read_page(call, list_waiting, lambda row: row.id, str)
    return Reply(200, WaitingList([_waiting(row) for row in shown], cursor))


@blueprint.post("/v1/labels/decisions")
@endpoint(scope="labels:write", body=LabelDecision, answers={200: LabelsDecided}, idempotency="accepted")
async def decide_labels(call: Call[LabelDecision, None]) -> Reply:
    """Say of the labels that wait, of a source or of a merchant, whether the model learns them or never does."""
    if (call.body.source is None) == (call.body.merchant is None):
        raise InvalidFields(FieldError("$", "Name a source or a merchant: one of them."))
    return await write_once(call, 200, _decide, call.body, call.caller.actor_id)


def _is_bounded(call: Call[NewLabel | None, FileQuery | None]) -> bool:
    """A replay of history brings its labels as fast as it can."""
    return "payments:import" not in call.caller.scopes


def _label(
    conn: Connection, policy: Policy, payment_id: str, given: NewLabel, by: str, bounded: bool
) -> LabelView:
    payment = select_payment(conn, payment_id)
    if payment is None:
        raise NoSuchObject
    row = take_label(conn, policy, LabelAsked(payment, given.label, given.source, by, bounded))
    label = label_of(conn, payment, given.label, given.source)
    return msgspec.structs.replace(msgspec.convert(label, LabelView, from_attributes=True), status=row.state)


def _decide(conn: Connection, given: LabelDecision, by: str) -> LabelsDecided:
    burst: Burst = "merchant" if given.source is None else "source"
    name = given.merchant if given.source is None else given.source
    assert name is not None
    rows = waiting_of(conn, burst, name, DECIDED_AT_ONCE)
    for row in rows:
        end_waiting(conn, row, learn=given.learn, by=by)
    detail = {"learn": str(given.learn).lower(), "labels": str(len(rows)), "reason": given.reason}
    record(conn, Act("labels_decided", by, name, detail))
    return LabelsDecided(len(rows))


def _waiting(row: LabelRow) -> WaitingLabel:
    return WaitingLabel(
        row.id,
        row.payment_id,
        row.merchant_id,
        row.label,
        row.source,
        row.waits_for,
        from_micros(row.recorded_at),
    )
