"""What people tell about payments: decisions of reviews, and labels that the fraud model learns from."""

from datetime import datetime

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.idempotency import IdempotentAnswer
from gateway.books.operations import select_open
from gateway.books.payments import select_payment
from gateway.books.reviews import Review, list_reviews, select_review
from gateway.free_text import Reason, SourceText
from gateway.payments.lifecycle import execute
from gateway.payments.reviews import Decision, add_label, begin_decision
from gateway.payments.telling import reasons_of
from gateway.problems import Problem
from gateway.refusals import NoSuchObject
from gateway.web.call import Call, Reply, replied
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import answer_of, write_once
from gateway.web.paging import Listing, Page, read_page
from schemas.fraud import LabelValue
from schemas.reviews import ReviewKind, ReviewOutcome
from schemas.times import from_micros, now_micros

blueprint = Blueprint("reviews", __name__)
labels_blueprint = Blueprint("labels", __name__)


class ReviewView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A review: `held` for a person, or `late`: its payment was taken before the verdict that blocks it came.

    `amount` in minor units of `currency`: of a `late` one what was taken. `reasons` are those of the verdict that
    held or blocks it. Of a decided one `reason` is what its reviewer said, and `decided_by` their account; absent
    where a late block or the time limit decided.
    """

    id: str
    kind: ReviewKind
    payment: str
    amount: int
    currency: str
    reasons: list[str]
    opened_at: datetime
    decision: str | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


class ReviewList(Listing[ReviewView], frozen=True):
    """A page of reviews, open ones first. `next_cursor` is null on the last one."""


class ReviewDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`approve` captures the money, or leaves that to a merchant who captures; `reject` releases it.

    Where the issuer was not asked yet, `approve` asks it, and `reject` voids the payment. Of a `late` review
    `reject` refunds all that was taken, and `approve` leaves it.
    """

    decision: ReviewOutcome
    reason: Reason


@blueprint.get("/v1/reviews")
@endpoint(scope="reviews:read", query=Page, answers={200: ReviewList})
async def list_all(call: Call[None, Page]) -> Reply:
    """List the payments held for a person, or blocked after they were taken; open ones first."""
    shown, cursor = await read_page(call, list_reviews, _place, tuple[bool, str])
    return Reply(200, ReviewList([review_view(review) for review in shown], cursor))


@blueprint.get("/v1/reviews/<review>")
@endpoint(scope="reviews:read", answers={200: ReviewView}, codes=("not_found",))
async def read_review(call: Call[None, None], review_id: str) -> Reply:
    """Show a review, and what was decided."""
    found = await call.runtime.books.read(select_review, review_id)
    if found is None:
        raise Problem("not_found")
    return Reply(200, review_view(found))


@blueprint.post("/v1/reviews/<review>/decision")
@endpoint(
    scope="reviews:write",
    body=ReviewDecision,
    answers={200: ReviewView, 202: ReviewView},
    codes=("not_found", "wrong_state", "operation_in_progress", "stopped"),
    idempotency="accepted",
)
async def decide_review(call: Call[ReviewDecision, None], review_id: str) -> Reply:
    """Decide a review; 202 while the processor has not answered."""
    found = await call.runtime.books.read(select_review, review_id)
    if found is None:
        raise Problem("not_found")
    return await call.runtime.shielded(_decide(call, found))


def _place(review: Review) -> tuple[bool, str]:
    return review.decision is not None, review.id


async def _decide(call: Call[ReviewDecision, None], review: Review) -> Reply:
    runtime, given, request = call.runtime, call.body, call.keyed_or_not()
    actor_id = call.caller.actor_id
    decided = msgspec.structs.replace(
        review, decision=given.decision, reason=given.reason, decided_by=actor_id, decided_at=now_micros()
    )
    shown = review_view(decided)
    decision = Decision(review, given.decision, given.reason, actor_id, msgspec.json.encode(shown))
    begun = await runtime.books.write(begin_decision, runtime.policy, request, decision)
    if isinstance(begun, IdempotentAnswer):
        return replied(begun, replayed=True)
    done = await execute(runtime, begun)
    if request is not None:
        return replied(await answer_of(call, done.answer_to(request)))
    silent = await runtime.books.read(select_open, review.payment_id)
    return Reply(202 if silent else 200, shown)


def review_view(review: Review) -> ReviewView:
    """A review as its reviewers see it."""
    return ReviewView(
        review.id,
        review.kind,
        review.payment_id,
        review.amount_captured if review.kind == "late" else review.amount,
        review.currency,
        reasons_of(review),
        from_micros(review.opened_at),
        review.decision,
        review.reason,
        review.decided_by,
        from_micros(review.decided_at) if review.decided_at is not None else None,
    )


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


@labels_blueprint.post("/v1/payments/<payment>/labels")
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
