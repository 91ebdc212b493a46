"""Reviews: payments held for a person, and the one decision that counts."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from quart import Blueprint

from gateway.books.operations import select_open
from gateway.books.reviews import Review, list_reviews, select_review
from gateway.endpoint import Call, Reply, endpoint
from gateway.errors import NotFound
from gateway.payments.follow_ups import begin_decision
from gateway.payments.path import drive
from schemas.payments import AppliedRisk
from schemas.times import from_micros

blueprint = Blueprint("reviews", __name__)

PAGE_MAX = 100


class ReviewView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A review. `amount` in minor units of `currency`; `reasons` are those of the verdict that held it."""

    id: str
    payment: str
    amount: int
    currency: str
    reasons: list[str]
    opened_at: datetime
    decision: str | None = None


class ReviewList(msgspec.Struct, frozen=True):
    """A page of reviews, open ones first. `next_cursor` is null on the last one."""

    data: list[ReviewView]
    next_cursor: str | None


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page: `cursor` is the `next_cursor` of the one before."""

    cursor: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 20


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """approve: the money is taken, or left to the merchant's capture; reject: it is released."""

    decision: Literal["approve", "reject"]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


@blueprint.get("/v1/reviews")
@endpoint(scope="reviews:read", query=Page, answers={200: ReviewList})
async def list_all(call: Call) -> Reply:
    """Payments held for a person, open ones first."""
    page: Page = call.query
    found = await call.parts.books.read(list_reviews, page.cursor, page.limit + 1)
    shown = found[: page.limit]
    more = shown[-1].id if len(found) > page.limit else None
    return Reply(200, ReviewList([review_view(review) for review in shown], more))


@blueprint.post("/v1/reviews/<review>/decision")
@endpoint(
    scope="reviews:write",
    body=Decision,
    answers={200: ReviewView, 202: ReviewView},
    codes=("not_found", "wrong_state", "operation_in_progress"),
    idempotency="accepted",
)
async def decide_review(call: Call, review: str) -> Reply:
    """Decide a review; 202 while the processor is silent about it."""
    found = await call.parts.books.read(select_review, review)
    if found is None:
        raise NotFound
    return await call.parts.shielded(_decide(call, found))


async def _decide(call: Call, review: Review) -> Reply:
    parts, given = call.parts, call.body
    begun = await parts.books.write(
        begin_decision, parts.terms, review, given.decision, given.reason, call.caller.account
    )
    await drive(parts, begun)
    silent = await parts.books.read(select_open, review.payment)
    decided = msgspec.structs.replace(review, decision=given.decision)
    return Reply(202 if silent else 200, review_view(decided))


def review_view(review: Review) -> ReviewView:
    """A review for those who decide."""
    risk = msgspec.json.decode(review.risk, type=AppliedRisk) if review.risk else None
    return ReviewView(
        review.id,
        review.payment,
        review.amount,
        review.currency,
        risk.reasons if risk else [],
        from_micros(review.opened_at),
        review.decision,
    )
