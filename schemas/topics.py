"""The topics: a public contract. Names, keys, partitions and retention never change inside a version."""

import msgspec

PARTITIONS = 6
DAY_MS = 24 * 60 * 60 * 1000


class Topic(msgspec.Struct, frozen=True):
    """A topic with what stands on it. `key` says in words what a record's key is; `config` is Kafka's own."""

    name: str
    key: str
    about: str
    events: tuple[str, ...]
    config: dict[str, str]
    partitions: int = PARTITIONS


COMPACTED = {"cleanup.policy": "compact"}
# Kafka compacts whole segments, once a fifth of the log is newer than the last time: who joins late reads little
# more than a record for each key, and the cleaner writes each record five times. A segment is full after some
# minutes of 170 payments a second, and closed after an hour in any case.
COMPACTED_SOON = COMPACTED | {
    "min.cleanable.dirty.ratio": "0.2",
    "segment.bytes": str(16 * 1024 * 1024),
    "segment.ms": str(60 * 60 * 1000),
}
FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}

PAYMENTS = Topic(
    "payments.v1",
    "stream_key of the payment (the card's instrument; for PayPal the customer id)",
    "Every step of a payment and its refunds; `transaction_completed` when its `status` is answered or changes.",
    (
        "payment.initiated",
        "payment.requires_action",
        "payment.approved",
        "payment.in_review",
        "payment.authorized",
        "payment.partially_captured",
        "payment.captured",
        "payment.voided",
        "payment.declined",
        "payment.failed",
        "payment.unknown",
        "payment.capture_declined",
        "payment.void_declined",
        "refund.pending",
        "refund.succeeded",
        "refund.failed",
        "transaction_completed",
    ),
    FOR_EVER,
)
RISK = Topic("risk.v1", "payment id", "Verdicts of the fraud flow.", ("risk.verdict",), FOR_EVER)
LABELS = Topic("labels.v1", "stream_key of the payment", "What was learned later.", ("label.recorded",), FOR_EVER)
CONTROLS = Topic(
    "controls.v1",
    "id of the rule or list entry",
    "Fraud rules and lists as set by analysts.",
    ("control.rule", "control.fraud_rule", "control.list_entry", "control.listing"),
    COMPACTED,
)
OPERATIONS = Topic(
    "operations.v1",
    "stream_key of the payment",
    "What each call to a processor came to, with its entries in the ledger.",
    ("operation.succeeded", "operation.declined", "operation.failed", "operation.unknown"),
    FOR_EVER,
)
REVIEWS = Topic(
    "reviews.v1",
    "payment id",
    "Payments that wait for a person, and what was decided.",
    ("review.opened", "review.decided", "review.expired"),
    FOR_EVER,
)
LATEST_PAYMENTS = Topic(
    "payments.latest.v1",
    "payment id",
    "Each payment as it stands, for who joins late.",
    ("payment.latest",),
    COMPACTED_SOON,
)
NOTIFICATIONS = Topic(
    "notifications.v1", "payment id", "What was sent to whom.", ("notification.recorded",), FOR_EVER
)
ACCOUNTS = Topic(
    "accounts.v1", "account id", "What became of accounts.", ("account.changed", "account.erased"), COMPACTED
)
ALERTS = Topic(
    "alerts.v1",
    "alert id",
    "What needs a person.",
    ("alert.raised", "alert.over"),
    {"retention.ms": str(90 * DAY_MS), "cleanup.policy": "delete"},
)
DEAD_LETTER = Topic(
    "dead_letter.v1",
    "name of the source topic",
    "Records nobody could read.",
    ("dead_letter",),
    {"retention.ms": str(30 * DAY_MS), "cleanup.policy": "delete"},
)

TOPICS: tuple[Topic, ...] = (
    PAYMENTS,
    OPERATIONS,
    REVIEWS,
    RISK,
    LABELS,
    CONTROLS,
    ACCOUNTS,
    NOTIFICATIONS,
    ALERTS,
    DEAD_LETTER,
    LATEST_PAYMENTS,
)
WITH_TOMBSTONES = frozenset(topic.name for topic in TOPICS if topic.config["cleanup.policy"] == "compact")
