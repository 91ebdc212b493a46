"""Reviews: the queue, who has taken which, and the decision about one."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.engine import Slice
from gateway.books.idempotency import IdempotentAnswer
from gateway.books.operations import select_open
from gateway.books.review_lists import Place, ReviewFilter, ReviewOrder, list_reviews, place_of
from gateway.books.reviews import Review, select_review
from gateway.free_text import Reason
from gateway.payments.assignments import give_back_review, take_review
from gateway.payments.lifecycle import execute
from gateway.payments.reviews import Decision, begin_decision
from gateway.payments.telling import reasons_of
from gateway.problems import Problem
from gateway.web.call import Call, Reply, replied
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import answer_of
from gateway.web.paging import Listing, Page, read_slice
from schemas.reviews import ReviewKind, ReviewOutcome
from schemas.times import from_micros, now_micros, steady_micros

Flag = Literal["true", "false"]  # in a query

blueprint = Blueprint("reviews", __name__)


class ReviewView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A review: `held` for a person, or `late`: its payment was taken before the verdict that blocks it came.

    `amount` in minor units of `currency`: of a `late` one what was taken. `reasons` are those of the verdict that
    held or blocks it. Of a decided one `reason` is what its reviewer said, and `decided_by` their account; absent
    where a late block or the time limit decided. `expected_loss`: amount × score as it was opened, in minor units;
    absent where the fraud flow had not spoken. `assigned_to`: whose it is to decide until `assigned_until`.
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
    expected_loss: int | None = None
    assigned_to: str | None = None
    assigned_until: datetime | None = None


class ReviewList(Listing[ReviewView], frozen=True):
    """A page of reviews, open ones first. `next_cursor` is null on the last one."""


class ReviewQuery(Page, frozen=True, forbid_unknown_fields=True):
    """Which reviews: `open` or decided ones alone, those that are `mine` now, of a `kind`, or held for a `reason`.

    `order` is that of the open ones: by `expected_loss`, by its worth in euro, those without one last; or the
    `newest` first. Decided ones come after them, the newest first.
    """

    open: Flag | None = None
    mine: Flag = "false"
    kind: ReviewKind | None = None
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    order: ReviewOrder = "newest"


class ReviewDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`approve` captures the money, or leaves that to a merchant who captures; `reject` releases it.

    Where the issuer was not asked yet, `approve` asks it, and `reject` voids the payment. Of a `late` review
    `reject` refunds all that was taken, and `approve` leaves it.
    """

    decision: ReviewOutcome
    reason: Reason


@blueprint.get("/v1/reviews")
@endpoint(scope="reviews:read", query=ReviewQuery, answers={200: ReviewList})
async def list_all(call: Call[None, ReviewQuery]) -> Reply:
    """List the payments held for a person, or blocked after they were taken; open ones first."""
    asked = call.query
    wanted = ReviewFilter(
        is_open=None if asked.open is None else asked.open == "true",
        order=asked.order,
        assigned_to=call.caller.actor_id if asked.mine == "true" else None,
        kind=asked.kind,
        reason=asked.reason,
    )

    def page(conn: Connection, after: Place | None, most: int) -> Slice[Review, Place]:
        return list_reviews(conn, after, most, wanted)

    shown, cursor = await read_slice(
        call, page, lambda review: place_of(review, asked.order), tuple[bool, int, str]
    )
    return Reply(200, ReviewList([review_view(review) for review in shown], cursor))


@blueprint.get("/v1/reviews/<review>")
@endpoint(scope="reviews:read", answers={200: ReviewView}, codes=("not_found",))
async def read_review(call: Call[None, None], review_id: str) -> Reply:
    """Show a review, and what was decided."""
    found = await call.runtime.books.read(select_review, review_id)
    if found is None:
        raise Problem("not_found")
    return Reply(200, review_view(found))


@blueprint.put("/v1/reviews/<review>/assignment")
@endpoint(scope="reviews:write", answers={200: ReviewView}, codes=("not_found", "wrong_state", "assigned"))
async def take(call: Call[None, None], review_id: str) -> Reply:
    """Take a review for 15 minutes, or renew that; a decision about any renews all that one has taken.

    An admin may take it from a colleague.
    """
    caller = call.caller
    taken = await call.runtime.books.write(take_review, review_id, caller.actor_id, caller.role == "admin")
    return Reply(200, review_view(taken))


@blueprint.delete("/v1/reviews/<review>/assignment")
@endpoint(scope="reviews:write", answers={204: None}, codes=("not_found", "assigned"))
async def give_back(call: Call[None, None], review_id: str) -> Reply:
    """Leave a review to anybody; an admin may do so for a colleague."""
    caller = call.caller
    await call.runtime.books.write(give_back_review, review_id, caller.actor_id, caller.role == "admin")
    return Reply(204)


@blueprint.post("/v1/reviews/<review>/decision")
@endpoint(
    scope="reviews:write",
    body=ReviewDecision,
    answers={200: ReviewView, 202: ReviewView},
    codes=("not_found", "wrong_state", "assigned", "operation_in_progress", "stopped"),
    idempotency="accepted",
)
async def decide_review(call: Call[ReviewDecision, None], review_id: str) -> Reply:
    """Decide a review; 202 while the processor has not answered."""
    found = await call.runtime.books.read(select_review, review_id)
    if found is None:
        raise Problem("not_found")
    return await call.runtime.shielded(_decide(call, found))


async def _decide(call: Call[ReviewDecision, None], review: Review) -> Reply:
    runtime, request = call.runtime, call.keyed_or_not()
    decision = decision_of(review, call.body, call.caller.actor_id)
    begun = await runtime.books.write(begin_decision, runtime.policy, request, decision)
    if isinstance(begun, IdempotentAnswer):
        return replied(begun, replayed=True)
    done = await execute(runtime, begun)
    if request is not None:
        return replied(await answer_of(call, done.answer_to(request)))
    silent = await runtime.books.read(select_open, review.payment_id)
    return Reply(202 if silent else 200, decision.shown)


def decision_of(review: Review, given: ReviewDecision, by: str) -> Decision:
    """What an account decides about a review now, and how that is shown."""
    decided = msgspec.structs.replace(
        review,
        decision=given.decision,
        reason=given.reason,
        decided_by=by,
        decided_at=now_micros(),
        assigned_to=None,
        assigned_until=None,
    )
    return Decision(review, given.decision, given.reason, by, msgspec.json.encode(review_view(decided)))


def review_view(review: Review) -> ReviewView:
    """A review as its reviewers see it."""
    steady_now = steady_micros()
    holder, until = review.holder(steady_now), review.assigned_until
    return ReviewView(
        id=review.id,
        kind=review.kind,
        payment=review.payment_id,
        amount=review.amount_captured if review.kind == "late" else review.amount,
        currency=review.currency,
        reasons=reasons_of(review),
        opened_at=from_micros(review.opened_at),
        decision=review.decision,
        reason=review.reason,
        decided_by=review.decided_by,
        decided_at=from_micros(review.decided_at) if review.decided_at is not None else None,
        expected_loss=review.expected_loss,
        assigned_to=holder,
        assigned_until=from_micros(now_micros() + until - steady_now) if holder and until is not None else None,
    )
