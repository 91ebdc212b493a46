"""Idempotency-Keys: reading one, what makes two requests the same, and answering a repeat with the same bytes."""

import re
from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec

import msgspec
from quart import request
from sqlalchemy import Connection

from gateway.books.idempotency import (
    JSON,
    IdempotentAnswer,
    KeyedRequest,
    RequestRunning,
    run_once,
    select_answer,
)
from gateway.free_text import why_refused
from gateway.keyed_hashes import keyed_hash
from gateway.payments.commit import Committed
from gateway.payments.lifecycle import execute
from gateway.policy import Policy
from gateway.problems import Problem
from gateway.refusals import FieldError, InvalidFields
from gateway.web.call import Call, Reply, replied
from schemas.times import steady_micros

P = ParamSpec("P")

KeyRule = Literal["none", "accepted", "required"]
Begin = Callable[Concatenate[Connection, Policy, KeyedRequest, P], Committed | IdempotentAnswer]
KEY = re.compile(r"[!-~]{1,255}")

_encoder = msgspec.json.Encoder(order="sorted")


def read_key(rule: KeyRule) -> str | None:
    """The Idempotency-Key of the current request, None where it has none or the route takes none.

    Raises `InvalidFields`, and the problem `idempotency_key_missing` where one is required.
    """
    if rule == "none":
        return None
    given = request.headers.getlist("Idempotency-Key")
    if not any(given):
        if rule == "required":
            raise Problem("idempotency_key_missing")
        return None
    if message := _wrong_key(given):
        raise InvalidFields(FieldError("Idempotency-Key", message))
    return given[0]


def _wrong_key(given: list[str]) -> str | None:
    if len(given) > 1:
        return "Given more than once."
    return why_refused(given[0]) if KEY.fullmatch(given[0]) else "1 to 255 visible ASCII characters."


def material(method: str, path: str, document: Any) -> bytes:
    """What a fingerprint is made of. Blanks and the order of names make no difference; the CVC stays out."""
    return b"\0".join((method.encode(), path.encode(), _encoder.encode(_without_cvc(document))))


def fingerprint(key: bytes, made_of: bytes) -> bytes:
    """32 bytes. Keyed, so that a copy of the books does not let anybody try out bodies."""
    return keyed_hash(key, made_of)


async def answered_before(call: Call[Any, Any]) -> Reply | None:
    """The reply to an earlier request with this key; None where there is none. Raises `KeyReused`."""
    request = call.keyed_or_not()
    answer = await call.runtime.books.read(select_answer, request) if request else None
    return replied(answer, replayed=True) if answer else None


async def write_once(
    call: Call[Any, Any],
    status: int,
    effect: Callable[Concatenate[Connection, P], Any],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Reply:
    """The reply with what `effect(conn, …)` returns (None: no body).

    It runs in the transaction that claims the key, if there is one. A repeat with the key gets the same bytes.
    Raises `KeyReused`; what `effect` raises is not stored.
    """

    def answering(conn: Connection) -> IdempotentAnswer:
        shown = effect(conn, *args, **kwargs)
        return IdempotentAnswer(status, b"" if shown is None else msgspec.json.encode(shown), JSON)

    done = await call.runtime.books.write(run_once, call.keyed_or_not(), steady_micros(), answering)
    return replied(done.answer, replayed=done.replayed)


async def carry_out(call: Call[Any, Any], begin: Begin[P], *args: P.args, **kwargs: P.kwargs) -> Reply:
    """Begin an operation on a payment in one commit, carry it out, and answer the request that asked for it.

    `begin(conn, policy, request, …)` claims the key.
    """
    runtime, keyed = call.runtime, call.keyed()
    begun = await runtime.books.write(begin, runtime.policy, keyed, *args, **kwargs)
    if isinstance(begun, IdempotentAnswer):
        return replied(begun, replayed=True)
    return replied(await answer_of(call, (await execute(runtime, begun)).answer_to(keyed)))


async def answer_of(call: Call[Any, Any], given: IdempotentAnswer | None) -> IdempotentAnswer:
    """The answer given to a request, here or (None) by whoever came to its payment first.

    Raises `RequestRunning` where it has none yet.
    """
    found = given or await call.runtime.books.read(select_answer, call.keyed())
    if found is None:
        raise RequestRunning(retry_after_s=1)
    return found


def _without_cvc(document: Any) -> Any:
    """`document` without the one field that has a CVC; what is named so elsewhere is like any other."""
    match document:
        case {"payment_method": {"cvc": _} as method}:
            return document | {"payment_method": {name: method[name] for name in method if name != "cvc"}}
        case _:
            return document
