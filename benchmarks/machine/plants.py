"""Bugs put into the core while it runs, to see that the machine finds them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import msgspec

from connectors.processors.contract import Answer
from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.books.postings import entries_of, off_hold
from gateway.payments import effects, transitions
from gateway.payments.changes import Effect, OperationPosting
from gateway.payments.effects import Situation
from gateway.payments.processor_calls import send
from gateway.policy import Policy
from gateway.runtime import Runtime
from schemas.ids import new_id
from schemas.operations import OperationStatus

Postings = tuple[OperationPosting, ...]

_captured, _void_refused = effects._captured, effects._void_refused
_counts, _postings, _status = transitions._counts, transitions._postings, transitions._status


async def _refund_again(
    runtime: Runtime, payment: PaymentRow, operation: Operation, parent: Operation | None, cvc: str | None
) -> Answer:
    """A refund nobody answered is sent once more under a new id, without a look whether it happened."""
    answer = await send(runtime, payment, operation, parent, cvc)
    if operation.kind != "refund" or answer.result != "unknown":
        return answer
    return await send(runtime, payment, msgspec.structs.replace(operation, id=new_id("op")), parent, cvc)


def _post_rest_twice(found: Situation, closed: Operation, booked: Operation | None) -> Postings:
    """What is left after a capture is taken off the hold twice."""
    posted = _postings(found, closed, booked)
    return posted * 2 if closed.kind == "void" and found.payment.amount_captured else posted


def _post_void_as_capture(found: Situation, closed: Operation, booked: Operation | None) -> Postings:
    """What was released is booked as taken."""
    if closed.kind != "void" or closed.status != "succeeded":
        return _postings(found, closed, booked)
    taken = msgspec.structs.replace(closed, kind="capture")
    merchant_id = found.payment.merchant_id
    entries = off_hold(taken, merchant_id, closed.amount) + entries_of(taken, merchant_id)
    return (OperationPosting(closed, entries),)


def _count_late_capture(found: Situation, capture: Operation) -> Effect:
    """A capture that was done anew counts as well when it is found after all."""
    return _captured(msgspec.structs.replace(found, replaced=False, other_open=()), capture)


def _drop_what_is_late(status: OperationStatus, answer: Answer) -> bool:
    """An approval of a call that was given up is not listened to."""
    return status != "failed" and _counts(status, answer)


def _forget_refused_void(payment: PaymentRow, closed: Operation, answer: Answer) -> Effect:
    """A void that we owe and that is refused for good is nobody's task."""
    return msgspec.structs.replace(_void_refused(payment, closed, answer), task=None)


def _ask_without_end(operation: Operation, answer: Answer, policy: Policy) -> OperationStatus:
    """What we owe to release is asked for as often as it is refused."""
    endless = msgspec.structs.replace(policy, release_us=policy.release_us * 100)
    return _status(operation, answer, endless)


PLANTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "refund-sent-twice": lambda: patch("gateway.payments.lifecycle.send", _refund_again),
    "rest-released-twice": lambda: patch.object(transitions, "_postings", _post_rest_twice),
    "void-booked-as-capture": lambda: patch.object(transitions, "_postings", _post_void_as_capture),
    "late-capture-counted-twice": lambda: patch.object(effects, "_captured", _count_late_capture),
    "refused-void-forgotten": lambda: patch.object(effects, "_void_refused", _forget_refused_void),
    "refused-void-without-end": lambda: patch.object(transitions, "_status", _ask_without_end),
    "late-approval-dropped": lambda: patch.object(transitions, "_counts", _drop_what_is_late),
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The core with this bug in it; None: as it is."""
    with PLANTS[name]() if name else nullcontext():
        yield
