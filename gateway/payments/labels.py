"""Labels: what people and banks say a payment was, bounded by who says it before the fraud model learns from it.

A label can be wrong, or meant to be (docs/decisions/0078). So each source, and each merchant, has a quota a day;
labels that say otherwise than the scores wait for a person once they are unusually many; and of two that say the
opposite the one of more authority is told, or the newer one.
"""

from datetime import date, timedelta

import msgspec
from sqlalchemy import Connection

from gateway.books.caps import give_back, spend, spent_since
from gateway.books.labels import (
    Burst,
    LabelRow,
    LabelState,
    change_waiting,
    due_labels,
    insert_label,
    labels_of,
)
from gateway.books.outbox import add_event
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.verdicts import select_scored
from gateway.payments.alerting import raise_alert
from gateway.payments.label_bursts import USUAL_DAYS, is_burst, usual_number
from gateway.policy import LabelBounds, Policy, seconds_left
from gateway.refusals import Refusal
from schemas.alerts import LABEL_BURST, LABEL_QUOTA
from schemas.fraud import Label, LabelValue
from schemas.ids import new_id
from schemas.times import from_micros, now_micros, steady_micros, to_micros
from schemas.topics import LABELS

# Whose word counts more: a bank that took the money back, then whoever decided the review, then everybody else.
CHARGEBACKS = frozenset({"chargeback", "bank", "visa", "mastercard", "paypal"})
BANK, REVIEWER, ANYBODY = 3, 2, 1
COUNT_MAX = 2**53  # a count without a cap
UNDECIDED = 0.5  # a score on the other side of it than the label says otherwise


class LabelQuotaSpent(Refusal):
    """The source, or the merchant, has had as many labels today as are taken; `whose` says which."""

    def __init__(self, whose: Burst) -> None:
        super().__init__("Too many labels of this source or merchant today.", seconds_left(steady_micros()))
        self.whose: Burst = whose


class LabelAsked(msgspec.Struct, frozen=True):
    """What somebody says of a payment. `bounded`: False for who is trusted to say any number of them."""

    payment: PaymentRow
    label: LabelValue
    source: str
    by: str | None
    bounded: bool = True


def take_label(conn: Connection, policy: Policy, asked: LabelAsked) -> LabelRow:
    """Store a label, and tell of it where the model may learn it. The same again changes nothing.

    Raises `LabelQuotaSpent`.
    """
    known = labels_of(conn, asked.payment.id)
    same = next((row for row in known if (row.label, row.source) == (asked.label, asked.source)), None)
    if same is not None:
        return same
    day = from_micros(steady_micros()).date()
    if asked.bounded:
        _spend_quota(conn, policy.labels, asked, day)
    state = _standing(known, asked)
    burst = _burst(conn, policy.labels, asked, day) if state == "told" and asked.bounded else None
    row = LabelRow(
        id=new_id("lbl"),
        payment_id=asked.payment.id,
        merchant_id=asked.payment.merchant_id,
        label=asked.label,
        source=asked.source,
        state=state if burst is None else "waiting",
        waits_for=burst,
        due_at=steady_micros() + policy.labels.hold_us if burst else None,
        recorded_by=asked.by,
        recorded_at=now_micros(),
    )
    if insert_label(conn, row) and row.state == "told":
        tell(conn, asked.payment, asked.label, asked.source)
    return row


def release_due(conn: Connection, policy: Policy, most: int) -> int:
    """Tell of labels that waited long enough; of a burst that goes on they wait as long again. Returns how many.

    A burst goes on until its source or merchant had a day with no unusual number.
    """
    due = due_labels(conn, steady_micros(), most)
    day = from_micros(steady_micros()).date()
    for row in due:
        assert row.waits_for
        name = row.source if row.waits_for == "source" else row.merchant_id
        if _is_unusual(conn, policy.labels, row.waits_for, name, day):
            change_waiting(conn, row.id, "waiting", None, None, steady_micros() + policy.labels.hold_us)
        else:
            end_waiting(conn, row, learn=True, by=None)
    return len(due)


def end_waiting(conn: Connection, row: LabelRow, *, learn: bool, by: str | None) -> None:
    """Tell of a label that waits, or drop it; `by`: the account that decided."""
    payment = existing_payment(conn, row.payment_id)
    others = [other for other in labels_of(conn, row.payment_id) if other.id != row.id]
    asked = LabelAsked(payment, row.label, row.source, row.recorded_by)
    state: LabelState = _standing(others, asked) if learn else "dropped"
    if learn and by is not None:
        _believe(conn, row.source, row.merchant_id, from_micros(row.recorded_at).date())
    if change_waiting(conn, row.id, state, by, now_micros()) and state == "told":
        tell(conn, payment, row.label, row.source)


def authority(source: str) -> int:
    """How much the word of a source counts against others."""
    if source in CHARGEBACKS:
        return BANK
    return REVIEWER if source == "review" else ANYBODY


def tell(conn: Connection, payment: PaymentRow, label: LabelValue, source: str) -> Label:
    """Write the event of a label, with the features the payment was judged by, where it was learned."""
    data = label_of(conn, payment, label, source)
    add_event(
        conn,
        topic=LABELS.name,
        key=payment.stream_key,
        type="label.recorded",
        subject_id=payment.id,
        sequence=None,
        data=data,
        traceparent=payment.traceparent,
        now=to_micros(data.recorded_at),
    )
    return data


def label_of(conn: Connection, payment: PaymentRow, label: LabelValue, source: str) -> Label:
    """What would be told of a label now."""
    scored = select_scored(conn, payment.id)
    return Label(
        payment=payment.id,
        instrument=payment.stream_key,
        merchant=payment.merchant_id,
        label=label,
        source=source,
        amount=payment.amount,
        currency=payment.currency,
        features=scored.features,
        score=scored.score,
        model=scored.model,
        occurred_at=from_micros(payment.occurred_at),
        recorded_at=from_micros(max(now_micros(), payment.occurred_at)),  # the clock may have been set back since
        customer=payment.customer_id,
        bin=payment.bin,
        ip_hash=payment.ip_hash,
        ip_network_hash=payment.ip_network_hash,
        device_hash=payment.device_hash,
        email_domain_hash=payment.email_domain_hash,
    )


def _standing(known: list[LabelRow], asked: LabelAsked) -> LabelState:
    """What a label is beside those that were told of its payment before: the newest of them is what holds."""
    told = [row for row in known if row.state == "told"]
    if not told:
        return "told"
    if told[-1].label == asked.label:
        return "confirms"
    return "told" if authority(asked.source) >= authority(told[-1].source) else "outvoted"


def _spend_quota(conn: Connection, bounds: LabelBounds, asked: LabelAsked, day: date) -> None:
    merchant_id = asked.payment.merchant_id
    if not spend(conn, f"labels of source {asked.source}", day, 1, bounds.per_source):
        raise_alert(conn, LABEL_QUOTA, asked.source, day, {"labels": float(bounds.per_source)})
        raise LabelQuotaSpent("source")
    if not spend(conn, f"labels of merchant {merchant_id}", day, 1, bounds.per_merchant):
        give_back(conn, f"labels of source {asked.source}", day, 1)
        raise_alert(conn, LABEL_QUOTA, merchant_id, day, {"labels": float(bounds.per_merchant)})
        raise LabelQuotaSpent("merchant")


def _burst(conn: Connection, bounds: LabelBounds, asked: LabelAsked, day: date) -> Burst | None:
    """Whose burst a label comes in that says otherwise than the score; None: it says the same, or in none."""
    score = select_scored(conn, asked.payment.id).score
    if score is None or (score >= UNDECIDED) == (asked.label == "fraud"):
        return None
    names: dict[Burst, str] = {"source": asked.source, "merchant": asked.payment.merchant_id}
    for burst, name in names.items():
        spend(conn, _odd(burst, name), day, 1, bounds.per_source)
    found = next((b for b, name in names.items() if _is_unusual(conn, bounds, b, name, day)), None)
    if found is None:
        _believe(conn, asked.source, asked.payment.merchant_id, day)
    return found


def _believe(conn: Connection, source: str, merchant_id: str, day: date) -> None:
    """Count a label that says otherwise than the score, and may: so many become usual."""
    for burst, name in (("source", source), ("merchant", merchant_id)):
        spend(conn, f"believed labels of {burst} {name}", day, 1, COUNT_MAX)


def _is_unusual(conn: Connection, bounds: LabelBounds, burst: Burst, name: str, day: date) -> bool:
    since = day - timedelta(days=USUAL_DAYS + 1)
    counts = spent_since(conn, _odd(burst, name), since)
    believed = spent_since(conn, f"believed labels of {burst} {name}", since)
    floor = bounds.source_burst if burst == "source" else bounds.merchant_burst
    if not is_burst(counts, believed, day, floor):
        return False
    facts = {"labels": float(counts.get(day.isoformat(), 0)), "usual": usual_number(believed, day)}
    raise_alert(conn, LABEL_BURST, name, day, facts)
    return True


def _odd(burst: Burst, name: str) -> str:
    return f"odd labels of {burst} {name}"
