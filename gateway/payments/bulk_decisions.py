"""Many reviews decided by one request: each in a commit of its own, as if it were sent alone.

The request's key is claimed first. Each decision then claims one that is made of it, in the commit that decides: a
worker that dies leaves some decided and some not, and whoever comes back with the key goes on where it was. The
answer is stored once every decision has its own.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection

from gateway.books.idempotency import (
    IdempotentAnswer,
    KeyedRequest,
    RequestRunning,
    claim,
    select_answer,
    store_answer,
)
from gateway.books.operations import select_open
from gateway.books.reviews import Review, select_review
from gateway.payments.lifecycle import execute
from gateway.payments.reviews import Decision, begin_decision
from gateway.policy import Policy
from gateway.refusals import NoSuchObject, Refusal
from gateway.runtime import Runtime
from schemas.times import steady_micros

MOST = 50  # reviews of one request
AT_ONCE = 10  # of them at their processors

Made = Callable[[Review], Decision]


class Ended(msgspec.Struct, frozen=True):
    """How one decision ended: the status as if it had been sent alone, or why it was refused."""

    status: int = 200
    refusal: Refusal | None = None


def claim_all(conn: Connection, policy: Policy, request: KeyedRequest) -> IdempotentAnswer | None:
    """Claim the key of the request, or read what it was answered. Raises `KeyReused` and `RequestRunning`."""
    now = steady_micros()
    claimed = claim(conn, request, now, now + policy.lease_us)
    return claimed if isinstance(claimed, IdempotentAnswer) else None


def answer_all(conn: Connection, request: KeyedRequest, answer: IdempotentAnswer) -> IdempotentAnswer:
    """Store the answer of the request; the one that it has, where somebody took it over and was first."""
    stored = store_answer(conn, request, answer)
    return answer if stored else select_answer(conn, request) or answer


async def decide_each(
    runtime: Runtime, request: KeyedRequest | None, review_ids: Sequence[str], made: Made
) -> list[Ended]:
    """Decide reviews as `made` says, a few at a time; how each ended, in their order.

    Where the books go away some are decided: the same request goes on with the others.
    """
    slots = asyncio.Semaphore(AT_ONCE)
    tasks = [_one(runtime, slots, _key_of(request, review_id), review_id, made) for review_id in review_ids]
    ended = await asyncio.gather(*tasks, return_exceptions=True)  # each is carried out, whatever befalls another
    return [_known(one) for one in ended]


def _known(ended: Ended | BaseException) -> Ended:
    if isinstance(ended, BaseException):
        raise ended
    return ended


def _key_of(request: KeyedRequest | None, review_id: str) -> KeyedRequest | None:
    """A key for one decision, which no client can send: theirs have no blank (`web/idempotent.KEY`)."""
    return request and msgspec.structs.replace(request, key=f"{request.key} {review_id}")


async def _one(
    runtime: Runtime, slots: asyncio.Semaphore, request: KeyedRequest | None, review_id: str, made: Made
) -> Ended:
    async with slots:
        review = await runtime.books.read(select_review, review_id)
        if review is None:
            return Ended(refusal=NoSuchObject())
        try:
            return Ended(await _decided(runtime, request, made(review)))
        except RequestRunning:  # decided by an earlier try, whose call to the processor has no end yet
            return Ended(202)
        except Refusal as refusal:
            return Ended(refusal=refusal)


async def _decided(runtime: Runtime, request: KeyedRequest | None, decision: Decision) -> int:
    begun = await runtime.books.write(begin_decision, runtime.policy, request, decision)
    if isinstance(begun, IdempotentAnswer):
        return begun.status
    done = await execute(runtime, begun)
    answer = done.answer_to(request) if request else None
    if answer is not None:
        return answer.status
    return 202 if await runtime.books.read(select_open, decision.review.payment_id) else 200
