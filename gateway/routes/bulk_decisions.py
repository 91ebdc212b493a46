"""Many reviews decided at once, answered one by one."""

from typing import Annotated

import msgspec
from quart import Blueprint

from gateway.books.idempotency import JSON, IdempotentAnswer
from gateway.books.reviews import Review
from gateway.free_text import Reason
from gateway.payments.bulk_decisions import MOST, Ended, answer_all, claim_all, decide_each
from gateway.payments.reviews import Decision
from gateway.problems import Code
from gateway.refusals import FieldError, InvalidFields
from gateway.routes.reviews import ReviewDecision, decision_of
from gateway.web.call import Call, Reply, replied
from gateway.web.endpoint import endpoint
from gateway.web.errors import problem_of
from schemas.reviews import ReviewOutcome

ReviewId = Annotated[str, msgspec.Meta(pattern=r"^rev_[0-9a-z]{1,60}\Z")]

blueprint = Blueprint("bulk_decisions", __name__)


class BulkDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision about up to 50 reviews, with one reason. Each id stands there once."""

    ids: Annotated[list[ReviewId], msgspec.Meta(min_length=1, max_length=MOST)]
    decision: ReviewOutcome
    reason: Reason


class EndedDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one decision ended, as if it had been sent alone.

    `status` 200: done; 202: the processor has not answered yet; else refused, and `code` says why.
    """

    id: str
    status: int
    code: Code | None = None


class EndedDecisions(msgspec.Struct, frozen=True):
    """How each decision ended, in the order of the request."""

    data: list[EndedDecision]


@blueprint.post("/v1/reviews/decisions")
@endpoint(scope="reviews:write", body=BulkDecision, answers={200: EndedDecisions}, idempotency="accepted")
async def decide_reviews(call: Call[BulkDecision, None]) -> Reply:
    """Decide up to 50 reviews at once; each is answered for itself, as if it were sent alone."""
    if len({*call.body.ids}) < len(call.body.ids):
        raise InvalidFields(FieldError("$.ids", "One of them stands there twice."))
    return await call.runtime.shielded(_decide_all(call))


async def _decide_all(call: Call[BulkDecision, None]) -> Reply:
    runtime, given, request = call.runtime, call.body, call.keyed_or_not()
    answered = await runtime.books.write(claim_all, runtime.policy, request) if request else None
    if answered:
        return replied(answered, replayed=True)
    alone = ReviewDecision(given.decision, given.reason)

    def made(review: Review) -> Decision:
        return decision_of(review, alone, call.caller.actor_id)

    ended = await decide_each(runtime, request, given.ids, made)
    shown = EndedDecisions([_shown(review_id, one) for review_id, one in zip(given.ids, ended, strict=True)])
    if request is None:
        return Reply(200, shown)
    answer = IdempotentAnswer(200, msgspec.json.encode(shown), JSON)
    return replied(await runtime.books.write(answer_all, request, answer))


def _shown(review_id: str, ended: Ended) -> EndedDecision:
    if ended.refusal is None:
        return EndedDecision(review_id, ended.status)
    problem = problem_of(ended.refusal)
    return EndedDecision(review_id, problem.status, problem.code)
