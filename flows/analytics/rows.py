"""The rows of the warehouse: one type per table, with the names of its columns."""

from datetime import datetime

import msgspec

from schemas.accounts import Role
from schemas.alerts import Alert
from schemas.features import LAYOUT
from schemas.fraud import LabelValue, ListEntry, Rule, Verdict
from schemas.lists import FraudListing
from schemas.operations import ProcessorOperation
from schemas.reviews import PaymentReview
from schemas.rules import FraudRule

LAST = 2**63 - 1  # the sequence of what nothing is told after


class WarehousePayment(msgspec.Struct, frozen=True):
    """A payment as of its event `sequence`. `trace_id` is the first event's, null in the row of a later one.

    `last_refusal_*`: of the last capture, void or refund that the processor refused.
    """

    id: str
    sequence: int
    state: str
    status: str
    amount: int
    amount_captured: int
    amount_refunded: int
    currency: str
    customer: str
    merchant: str
    instrument: str
    processor: str | None
    attempts: int
    capture: str
    method: str
    card: str | None
    brand: str | None
    bin: str | None
    last4: str | None
    country: str | None
    risk_outcome: str | None
    risk_source: str | None
    risk_score: float | None
    risk_reasons: list[str]
    risk_model: str | None
    waited_ms: float | None
    decline_code: str | None
    occurred_at: datetime
    created_at: datetime
    updated_at: datetime
    recorded_at: datetime
    trace_id: str | None
    amount_capturable: int
    last_refusal_kind: str | None
    last_refusal_code: str | None
    amount_eur_cents: int | None


class WarehouseRefund(msgspec.Struct, frozen=True):
    """A refund as of the event `sequence` of its payment; customer to brand are the payment's."""

    id: str
    payment: str
    sequence: int
    amount: int
    currency: str
    status: str
    decline_code: str | None
    customer: str
    merchant: str
    processor: str | None
    brand: str | None
    created_at: datetime
    updated_at: datetime
    recorded_at: datetime


class WarehouseOperation(ProcessorOperation, frozen=True, kw_only=True, omit_defaults=False):
    """A call to a processor as of its event `sequence`."""

    sequence: int
    recorded_at: datetime


class WarehouseLedgerEntry(msgspec.Struct, frozen=True):
    """The entry `number` (from 0) of the event `sequence` of an operation: `amount` minor units onto `account`.

    Payment to kind are the operation's.
    """

    operation: str
    sequence: int
    number: int
    payment: str
    merchant: str
    processor: str
    kind: str
    account: str
    amount: int
    currency: str
    recorded_at: datetime


class WarehouseReview(PaymentReview, frozen=True, kw_only=True):
    """A review as of its event `sequence`."""

    sequence: int
    recorded_at: datetime


class WarehouseAccount(msgspec.Struct, frozen=True):
    """An account as of its event `sequence`, which of its erasure is `LAST`.

    `created_at` is the time in its id; null where that has none.
    """

    id: str
    sequence: int
    role: Role
    disabled: bool
    erased: bool
    trading_name: str | None
    created_at: datetime | None
    recorded_at: datetime


class WarehouseVerdict(Verdict, frozen=True, kw_only=True):
    """A verdict of the fraud flow. `event` is the id of its event.

    `numbers`: its features again, in the places of `layout`: to read a few of very many verdicts takes a tenth of
    the time that their JSON takes.
    """

    event: str
    numbers: list[float | None]
    layout: str = LAYOUT


class WarehouseLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A label of a payment. `event` is the id of its event. Its customer and hashes are the payment's."""

    event: str
    payment: str
    instrument: str
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


class WarehouseAlert(Alert, frozen=True, kw_only=True):
    """An alert as of an event of it, whose id is `event`."""

    event: str


class WarehouseNotification(msgspec.Struct, frozen=True):
    """A message that was delivered, failed or was suppressed. `cause` is the id of the event it is about.

    `caused_at`: when that was recorded; `recorded_at` in what does not say so.
    """

    event: str
    payment: str
    cause: str
    sequence: int
    kind: str
    channel: str
    address: str
    outcome: str
    reason: str | None
    message_id: str
    recorded_at: datetime
    caused_at: datetime


class WarehouseControl(msgspec.Struct, frozen=True):
    """A fraud rule or list entry."""

    id: str
    kind: str
    setting: Rule | FraudRule | ListEntry | FraudListing
    recorded_at: datetime


class RemovedControl(msgspec.Struct, frozen=True):
    """A control that a tombstone took away: its row goes."""

    id: str
    recorded_at: datetime


class WarehouseDeadLetter(msgspec.Struct, frozen=True):
    """The place of an unreadable record. `event` is null where that record is itself a dead letter."""

    event: str | None
    topic: str
    partition: int
    offset: int
    reason: str
    recorded_at: datetime


# Each is told anew, whole, whenever it changes: the row with the highest `sequence` is how it stands.
ReplacedRow = WarehouseRefund | WarehouseOperation | WarehouseReview | WarehouseAccount

WarehouseRow = (
    WarehousePayment
    | WarehouseRefund
    | WarehouseOperation
    | WarehouseLedgerEntry
    | WarehouseReview
    | WarehouseAccount
    | WarehouseVerdict
    | WarehouseLabel
    | WarehouseAlert
    | WarehouseNotification
    | WarehouseControl
    | RemovedControl
    | WarehouseDeadLetter
)


class PartitionPosition(msgspec.Struct, frozen=True):
    """The next offset to read of a partition, and Kafka's time of the newest record read.

    `told_offset`: where the batch began.
    """

    topic: str
    partition: int
    next_offset: int
    newest_at: datetime
    told_offset: int


class PartitionLag(msgspec.Struct, frozen=True):
    """How many records of a partition are not read yet."""

    topic: str
    partition: int
    lag: int
