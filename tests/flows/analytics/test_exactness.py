"""Every view is what a plain model makes of the events so far: in any order, repeated, cut into batches."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Event
from schemas.fraud import Label
from schemas.operations import OperationEvent
from schemas.payments import PaymentEvent, RefundEvent
from schemas.reviews import ReviewEvent
from tests.flows.analytics.conftest import Kept, Log
from tests.flows.analytics.lives import lives_of_payments

Rows = list[tuple[Any, ...]]

QUALITY = "SELECT hour, model, labels, frauds, round(expected_frauds, 9), round(brier, 9) FROM model_quality"


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Event]]:
    """Batches in which each event comes at least once, whatever came before it."""
    events = [event for life in draw(lives_of_payments()) for event in life]
    repeats = draw(st.lists(st.sampled_from(events), max_size=len(events)))
    mixed = draw(st.permutations(events + repeats))
    cuts = sorted(draw(st.lists(st.integers(0, len(mixed)), max_size=3)))
    return [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True) if a < b]


@settings(max_examples=30, deadline=None)
@given(deliveries())
def test_every_view_is_what_the_events_so_far_say(one_kept: Kept, batches: list[list[Event]]) -> None:
    log = Log()
    one_kept.empty()
    told: dict[str, Event] = {}
    for number, batch in enumerate(batches):
        one_kept.write(*(log.event(_topic(each), each) for each in batch))
        if number % 2:
            one_kept.fold()
        told |= {each.id: each for each in batch}
    for ask, expect in VIEWS.items():
        assert sorted(one_kept.ask(ask), key=repr) == sorted(expect(told.values()), key=repr), ask


@settings(max_examples=5, deadline=None)
@given(deliveries(), st.integers(1, 4))
def test_and_so_it_is_at_any_offset(one_kept: Kept, delivered: list[list[Event]], size: int) -> None:
    log = Log()
    one_kept.empty()
    events = [event for batch in delivered for event in batch]
    for end in range(size, len(events), size):
        one_kept.write(*(log.event(_topic(each), each) for each in events[end - size : end]))
        if end % 3 == 0:
            one_kept.fold()
        so_far = {each.id: each for each in events[:end]}
        for ask in (BALANCES, RISK, MINUTES, CALLS, QUALITY):
            assert sorted(one_kept.ask(ask), key=repr) == sorted(VIEWS[ask](so_far.values()), key=repr), ask


def _topic(event: Event) -> str:
    match event.data:
        case OperationEvent():
            return "operations.v1"
        case ReviewEvent():
            return "reviews.v1"
        case Label():
            return "labels.v1"
        case _:
            return "payments.v1"


def _newest(events: Iterable[Event], kinds: Any, key: Callable[[Any], str]) -> list[Any]:
    """The data with the highest sequence of each thing that the events tell of."""
    newest: dict[str, Any] = {}
    for event in events:
        if isinstance(event.data, kinds):
            known = newest.get(key(event.data))
            if known is None or event.data.sequence > known.sequence:
                newest[key(event.data)] = event.data
    return list(newest.values())


def _payments(events: Iterable[Event]) -> list[Any]:
    return _newest(events, PaymentEvent | RefundEvent, lambda data: data.payment.id)


def _operations(events: Iterable[Event]) -> list[Any]:
    return [data.operation for data in _newest(events, OperationEvent, lambda data: data.operation.id)]


def _entries(events: Iterable[Event]) -> list[tuple[OperationEvent, int, Any]]:
    moved = [event.data for event in events if isinstance(event.data, OperationEvent)]
    return [(data, number, entry) for data in moved for number, entry in enumerate(data.entries)]


def _plain(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(UTC).replace(tzinfo=None)


def _truncated(moment: datetime, **zeros: int) -> datetime | None:
    return _plain(moment.replace(second=0, microsecond=0, **zeros))


def payments(events: Iterable[Event]) -> Rows:
    shown = [(data, data.payment) for data in _payments(events)]
    return [(p.id, d.sequence, p.state, p.amount_captured, p.amount_refunded) for d, p in shown]


def minutes(events: Iterable[Event]) -> Rows:
    sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for data in _payments(events):
        p = data.payment
        key = _truncated(p.created_at), p.currency, p.processor, p.state
        added = 1, p.amount, p.amount_captured, p.amount_refunded
        sums[key] = [a + b for a, b in zip(sums[key], added, strict=True)]
    return [(*key, *values) for key, values in sums.items()]


def hours(events: Iterable[Event]) -> Rows:
    sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for minute, *rest in minutes(events):
        key = minute.replace(minute=0), *rest[:3]
        sums[key] = [a + b for a, b in zip(sums[key], rest[3:], strict=True)]
    return [(*key, *values) for key, values in sums.items()]


def risk_outcomes(events: Iterable[Event]) -> Rows:
    sums: Counter[tuple[Any, ...]] = Counter()
    counts: Counter[tuple[Any, ...]] = Counter()
    for data in _payments(events):
        if risk := data.payment.risk:
            key = _truncated(data.payment.created_at), risk.outcome, risk.source, data.payment.currency
            sums[key] += data.payment.amount
            counts[key] += 1
    return [(*key, counts[key], amount) for key, amount in sums.items()]


def refunds(events: Iterable[Event]) -> Rows:
    newest = _newest(events, RefundEvent, lambda data: data.refund.id)
    return [(data.refund.id, data.sequence, data.refund.amount, data.refund.status) for data in newest]


def operations(events: Iterable[Event]) -> Rows:
    return [
        (o.id, o.payment, o.attempt, o.kind, o.status, o.amount, _plain(o.finished_at), o.milliseconds)
        for o in _operations(events)
    ]


def calls(events: Iterable[Event]) -> Rows:
    counts = Counter(
        (_truncated(d.operation.created_at), d.operation.kind, d.operation.status, d.sequence > 1)
        for d in _newest(events, OperationEvent, lambda data: data.operation.id)
    )
    return [(*key, count) for key, count in counts.items()]


def attempts(events: Iterable[Event]) -> Rows:
    """By attempt: its number, processor and calls so far."""
    counts = Counter((o.attempt, o.attempt_number, o.processor) for o in _operations(events))
    return [(*attempt, count) for attempt, count in counts.items()]


def ledger(events: Iterable[Event]) -> Rows:
    return [
        (data.operation.id, data.sequence, number, data.operation.kind, entry.account, entry.amount)
        for data, number, entry in _entries(events)
    ]


def balances(events: Iterable[Event]) -> Rows:
    sums: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    for data, _, entry in _entries(events):
        sums[entry.account, data.operation.currency] += entry.amount
        counts[entry.account, data.operation.currency] += 1
    return [(*key, amount, counts[key]) for key, amount in sums.items()]


def ledger_by_day(events: Iterable[Event]) -> Rows:
    sums: Counter[tuple[Any, ...]] = Counter()
    for data, _, entry in _entries(events):
        sums[data.recorded_at.date(), entry.account, data.operation.processor, data.operation.kind] += entry.amount
    return [(*key, amount) for key, amount in sums.items()]


def reviews(events: Iterable[Event]) -> Rows:
    newest = [data.review for data in _newest(events, ReviewEvent, lambda data: data.review.id)]
    return [
        (r.id, r.decision, r.decided_by, "open" if not r.decision else "decided" if r.decided_by else "expired")
        for r in newest
    ]


def quality(events: Iterable[Event]) -> Rows:
    by_hour: defaultdict[Any, list[Label]] = defaultdict(list)
    for event in events:
        if isinstance(event.data, Label) and event.data.score is not None:
            by_hour[_truncated(event.data.recorded_at, minute=0)].append(event.data)
    rows: Rows = []
    for hour, labels in by_hour.items():
        scores = [Decimal(label.score or 0.0) for label in labels]
        frauds = [label.label == "fraud" for label in labels]
        brier = sum((score - fraud) ** 2 for score, fraud in zip(scores, frauds, strict=True)) / len(labels)
        rows.append(
            (hour, "logistic-1", len(labels), sum(frauds), round(float(sum(scores)), 9), round(float(brier), 9))
        )
    return rows


BALANCES = "SELECT account, currency, amount, entries FROM balances"
RISK = "SELECT minute, outcome, source, currency, count, amount FROM risk_outcomes_by_minute"
MINUTES = "FROM payments_by_minute"
CALLS = "SELECT minute, kind, status, was_unknown, sum(count)::INT FROM operations_by_minute GROUP BY ALL"
VIEWS: dict[str, Callable[[Iterable[Event]], Rows]] = {
    "SELECT id, sequence, state, amount_captured, amount_refunded FROM payments": payments,
    MINUTES: minutes,
    "FROM payments_by_hour": hours,
    RISK: risk_outcomes,
    "SELECT id, sequence, amount, status FROM refunds": refunds,
    "SELECT id, payment, attempt, kind, status, amount, finished_at, milliseconds FROM operations": operations,
    CALLS: calls,
    "SELECT id, number, processor, operations FROM attempts": attempts,
    "SELECT operation, sequence, number, kind, account, amount FROM ledger": ledger,
    BALANCES: balances,
    "SELECT day, account, processor, kind, amount FROM ledger_by_day": ledger_by_day,
    "SELECT id, decision, decided_by, status FROM reviews": reviews,
    QUALITY: quality,
}
