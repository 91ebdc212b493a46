"""Lives of payments for Hypothesis: states, refunds, calls to processors and what they post, reviews, labels."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.events import Event, new_event, operation_type
from schemas.fraud import Label
from schemas.money import AMOUNT_MAX
from schemas.operations import LedgerEntry, OperationEvent, OperationKind, OperationStatus, ProcessorOperation
from schemas.payments import AppliedRisk, LastRefusal, Payment
from schemas.reviews import PaymentReview, ReviewEvent
from schemas.states import STATUS, TRANSITIONS
from tests.flows.analytics.conftest import BIRTH, payment, refund_step, step

Life = list[Event]

# What a call comes to, event by event: at once, found later, a reversal that is sent again, one that moves more.
ENDS: tuple[tuple[OperationStatus, ...], ...] = (
    ("succeeded",),
    ("declined",),
    ("failed",),
    ("unknown",),
    ("unknown", "succeeded"),
    ("unknown", "failed"),
    ("failed", "unknown", "succeeded"),
    ("succeeded", "succeeded"),
)
TAKES: dict[OperationKind, tuple[str, int]] = {  # the ledger account, and the sign of what is posted there
    "authorize": ("hold", 1),
    "sale": ("due", 1),
    "capture": ("due", 1),
    "refund": ("due", -1),
    "void": ("hold", -1),
    "reversal": ("due", -1),
}


def operation(**given: Any) -> ProcessorOperation:
    """A sale of 19.99 EUR at Visa that succeeded in 41.8 ms; and whatever else is given."""
    usual = {
        "id": "op_1",
        "payment": "pay_1",
        "attempt": "att_1",
        "attempt_number": 1,
        "merchant": "acc_merchant",
        "processor": "visa",
        "kind": "sale",
        "status": "succeeded",
        "amount": 1999,
        "currency": "EUR",
        "created_at": BIRTH,
        "finished_at": BIRTH + timedelta(milliseconds=42),
        "milliseconds": 41.8,
    }
    return ProcessorOperation(**(usual | given))


def operated(sequence: int, operation: ProcessorOperation, entries: dict[str, int] | None = None) -> Event:
    """`operation.<status>`: what it came to, and what it moved on which account of the ledger."""
    moved = [LedgerEntry(account, amount) for account, amount in (entries or {}).items()]
    moment = operation.created_at + timedelta(seconds=sequence)
    type = operation_type(operation.status)
    return new_event(type, "/gateway", operation.id, OperationEvent(sequence, moment, operation, moved), moment)


def reviewed(sequence: int, review: PaymentReview) -> Event:
    """`review.opened`, or how it ended."""
    ended = "review.decided" if review.decided_by else "review.expired"
    moment = review.decided_at or review.opened_at
    data = ReviewEvent(sequence, moment, review)
    return new_event("review.opened" if sequence == 1 else ended, "/gateway", review.id, data, moment)


def review(**given: Any) -> PaymentReview:
    """One that is open; and whatever else is given."""
    usual = {
        "id": "rev_1",
        "payment": "pay_1",
        "kind": "held",
        "merchant": "acc_merchant",
        "amount": 1999,
        "currency": "EUR",
        "reasons": ["velocity_10m"],
        "opened_at": BIRTH,
        "decision": None,
        "decided_by": None,
        "decided_at": None,
    }
    return PaymentReview(**(usual | given))


def labelled(label: Any = "fraud", **given: Any) -> Event:
    """`label.recorded` of a payment that had a score of 0.5; and whatever else is given."""
    usual = {
        "payment": "pay_1",
        "instrument": "fp_1",
        "merchant": "acc_merchant",
        "source": "analyst",
        "amount": 1999,
        "currency": "EUR",
        "features": {},
        "score": 0.5,
        "model": "logistic-1-new-0",
        "occurred_at": BIRTH,
        "recorded_at": BIRTH,
    }
    data = Label(label=label, **(usual | given))
    return new_event("label.recorded", "/gateway", data.payment, data, data.recorded_at)


@st.composite
def lives_of_payments(draw: st.DrawFn) -> list[Life]:
    """All that is told of some payments, each from its first event on."""
    return [
        [*draw(_states(number)), *draw(_calls(number)), *draw(_judgements(number))]
        for number in range(draw(st.integers(1, 5)))
    ]


@st.composite
def _states(draw: st.DrawFn, number: int) -> Life:
    """States, captures in parts, refusals and refunds in every order."""
    amount, born = draw(st.integers(1, AMOUNT_MAX)), BIRTH + timedelta(hours=9 * number)
    stands = payment(id=f"pay_{number}", amount=amount, created_at=born)
    events = [step(1, None, stands)]
    for sequence in range(2, draw(st.integers(2, 9))):
        if stands.amount_captured and draw(st.booleans()):
            status = draw(st.sampled_from(["pending", "succeeded", "failed"]))
            given = draw(st.integers(0, stands.amount_captured))
            stands = replace(stands, amount_refunded=given)
            refund_id = f"ref_{number}_{draw(st.integers(1, 2))}"
            events.append(refund_step(sequence, status, stands, draw(st.integers(1, amount)), refund_id))
            continue
        stands = draw(_next_state(stands))
        events.append(step(sequence, "processing", stands))
    return events


@st.composite
def _next_state(draw: st.DrawFn, stands: Payment) -> Payment:
    """The payment one event later; a capture or void that was refused changes nothing but what is told of it."""
    if not TRANSITIONS[stands.state] or draw(st.booleans()):
        return replace(stands, last_refusal=LastRefusal("void", "call_issuer", BIRTH))
    state = draw(st.sampled_from(sorted(TRANSITIONS[stands.state])))
    taken = draw(st.integers(0, stands.amount)) if STATUS[state] == "succeeded" else 0
    processor = draw(st.sampled_from(["visa", "mastercard", None]))
    outcome = draw(st.sampled_from(["allow", "review", None]))
    risk = AppliedRisk(outcome, "model", 0.5) if outcome else stands.risk
    return replace(
        stands, state=state, status=STATUS[state], processor=processor, amount_captured=taken, risk=risk
    )


@st.composite
def _calls(draw: st.DrawFn, number: int) -> Life:
    """Calls to processors, each with one to three events; what succeeded moves money."""
    events: Life = []
    for call in range(draw(st.integers(0, 4))):
        kind, attempt = draw(st.sampled_from(sorted(TAKES))), draw(st.integers(1, 2))
        amount, first = draw(st.integers(1, 10**9)), BIRTH + timedelta(hours=9 * number, minutes=call)
        processor = ("visa", "mastercard")[attempt - 1]
        account, sign = TAKES[kind]
        moved = {f"{account}:{processor}": sign * amount, f"{account}:acc_merchant": -sign * amount}
        for sequence, status in enumerate(draw(st.sampled_from(ENDS)), start=1):
            done = status != "unknown"
            told = operation(
                id=f"op_{number}_{call}",
                payment=f"pay_{number}",
                attempt=f"att_{number}_{attempt}",
                attempt_number=attempt,
                processor=processor,
                kind=kind,
                status=status,
                amount=amount,
                created_at=first,
                finished_at=first + timedelta(seconds=sequence) if done else None,
                milliseconds=sequence * 1000.0 if done else None,
            )
            events.append(operated(sequence, told, moved if status == "succeeded" else {}))
    return events


@st.composite
def _judgements(draw: st.DrawFn, number: int) -> Life:
    """A review that may have ended, and labels that may contradict each other."""
    id, born = f"pay_{number}", BIRTH + timedelta(hours=9 * number)
    opened = review(id=f"rev_{number}", payment=id, opened_at=born)
    ended = replace(
        opened,
        decision=draw(st.sampled_from(["approve", "reject"])),
        decided_by=draw(st.sampled_from(["acc_analyst", None])),
        decided_at=born + timedelta(minutes=5),
    )
    told = [reviewed(1, opened), reviewed(2, ended)][: draw(st.integers(0, 2))]
    scores = draw(st.lists(st.floats(0, 1) | st.none(), max_size=3))
    labels = [
        labelled(
            draw(st.sampled_from(["fraud", "good"])),
            payment=id,
            score=score,
            recorded_at=born + timedelta(minutes=25 * place),
        )
        for place, score in enumerate(scores)
    ]
    return told + labels
