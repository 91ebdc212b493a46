"""Requests that run on a payment under an Idempotency-Key: whose they are, and what they are answered."""

from gateway.books.idempotency import Replay, select_replay
from gateway.endpoint import Call
from gateway.errors import RequestInProgress
from gateway.payments.path import Request

REPLAYED = {"Idempotent-Replayed": "true"}


def request_of(call: Call) -> Request:
    """Whose request this is, on a route that requires a key."""
    assert call.key is not None
    return Request(call.caller.account, call.key, call.fingerprint)


async def answer_to(call: Call, given: Replay | None) -> Replay:
    """The answer given to a request, here or (None) by whoever came to its payment first.

    Raises `RequestInProgress` where it has none yet.
    """
    asked = request_of(call)
    found = given or await call.parts.books.read(select_replay, asked.account, asked.key, asked.fingerprint)
    if found is None:
        raise RequestInProgress(retry_after=1)
    return found
