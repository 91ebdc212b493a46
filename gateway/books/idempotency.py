"""Idempotency keys: one unique INSERT claims a request, the stored bytes answer every repeat of it.

A key belongs to an account. It is claimed in the transaction that does what the request asks for: nobody holds a
key who has done nothing, and what was done is not done again. `run_once` answers in that transaction, too. The key
of a request that runs on a payment is answered by the commit that finishes the payment, whoever makes it; until
then a repeat is told to wait.
"""

from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec

import msgspec
from sqlalchemy import Connection, Index, Row, bindparam, delete, select, update

from gateway.books.answer_texts import sealed_answer
from gateway.books.engine import Outdated
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, table_of
from gateway.policy import wait_s
from gateway.refusals import Refusal

P = ParamSpec("P")

JSON = "application/json"
TEXTS = frozenset({"description", "metadata", "reason"})  # what payer and merchant wrote, in answers


class KeyReused(Refusal):
    """The Idempotency-Key was used for another request."""


class RequestRunning(Refusal):
    """The first request with this Idempotency-Key is still running."""


class KeyedRequest(msgspec.Struct, frozen=True):
    """A request under an Idempotency-Key. `role`: whose view of a payment it is answered with.

    `actor_id`: the person or client who asks for the account, empty where it asks itself.
    """

    account_id: str
    key: str
    fingerprint: bytes
    role: str
    actor_id: str = ""

    def asked_by(self) -> str:
        """Who answers for it."""
        return self.actor_id or self.account_id


class IdempotentAnswer(msgspec.Struct, frozen=True):
    """What a request was answered, byte by byte."""

    status: int
    body: bytes
    media_type: str


class RunningRequest(msgspec.Struct, frozen=True):
    """A request that is not answered yet. `ok_status`: of its answer where the payment waits for nobody.

    `body`: of its answer, where that was known when it began; None: it is what the payment or refund is then.
    """

    account_id: str
    key: str
    role: str
    ok_status: int
    body: bytes | None = None


class Claimed(msgspec.Struct, frozen=True):
    """The key is ours. `subject_id` is set where an earlier claim came that far before its lease ran out."""

    subject_id: str | None = None


class Answered(msgspec.Struct, frozen=True):
    """What a request is answered; `replayed`: an earlier one with its key was."""

    answer: IdempotentAnswer
    replayed: bool = False


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `idempotency_keys`. Times in microseconds of the steady clock.

    `ok_status`: the answer of a payment that waits for nobody (201 or 200). `status`: null while running; `body`
    may be there before it, where it does not depend on what becomes of the payment.
    """

    account_id: str
    key: str
    fingerprint: bytes
    subject_id: str | None
    role: str
    ok_status: Int32
    status: Int32 | None = None
    body: bytes | None = None
    media_type: str | None = None
    lease_until: Micros
    created_at: Micros


idempotency_keys = table_of("idempotency_keys", IdempotencyKey, primary_key=("account_id", "key"))
_c = idempotency_keys.c
Index("ix_idempotency_keys_subject_id", _c.subject_id)

_this_key = (_c.account_id == bindparam("of_account_id")) & (_c.key == bindparam("of_key"))
_is_running = _c.status.is_(None)

_insert = Statement(lambda insert: insert(idempotency_keys).on_conflict_do_nothing())
_select = Statement(
    select(_c.fingerprint, _c.subject_id, _c.status, _c.body, _c.media_type, _c.lease_until).where(_this_key)
)
_take_over = Statement(
    update(idempotency_keys)
    .where(_this_key, _is_running, _c.lease_until <= bindparam("now"))
    .values(lease_until=bindparam("to_lease"))
)
_running_on = Statement(
    select(_c.account_id, _c.key, _c.role, _c.ok_status, _c.body).where(
        _c.subject_id == bindparam("of_subject_id"), _is_running
    )
)
_store = Statement(
    update(idempotency_keys)
    .where(_this_key, _is_running)
    .values(status=bindparam("to_status"), body=bindparam("to_body"), media_type=bindparam("to_media_type"))
)
_answers_on = Statement(
    select(_c.account_id, _c.key, _c.body).where(_c.subject_id == bindparam("of_subject_id"), _c.body.is_not(None))
)
_rewrite = Statement(update(idempotency_keys).where(_this_key).values(body=bindparam("to_body")))
_forget = Statement(
    delete(idempotency_keys).where(_c.account_id == bindparam("of_account_id"), _c.status.is_not(None))
)


def claim(
    conn: Connection,
    request: KeyedRequest,
    now: int,
    lease_until: int,
    subject_id: str | None = None,
    ok_status: int = 201,
    body: bytes | None = None,
) -> Claimed | IdempotentAnswer:
    """Claim a key from `now` until `lease_until` (steady clock), or read what its request was answered.

    `body`: of the answer, where it is known already. Raises `KeyReused` for another request and `RequestRunning`
    while someone holds the key.
    """
    row = IdempotencyKey(
        account_id=request.account_id,
        key=request.key,
        fingerprint=request.fingerprint,
        subject_id=subject_id,
        role=request.role,
        ok_status=ok_status,
        body=body,
        lease_until=lease_until,
        created_at=now,
    )
    if _insert(conn, **msgspec.structs.asdict(row)).rowcount:
        return Claimed()
    return _known(conn, request, now, lease_until)


def _known(conn: Connection, request: KeyedRequest, now: int, lease_until: int) -> Claimed | IdempotentAnswer:
    row = _select(conn, of_account_id=request.account_id, of_key=request.key).first()
    if row is None:  # erased since the INSERT met it
        raise Outdated(request.key)
    if answer := _answer(row, request.fingerprint):
        return answer
    taken = _take_over(conn, of_account_id=request.account_id, of_key=request.key, now=now, to_lease=lease_until)
    if not taken.rowcount:
        raise RequestRunning(retry_after_s=wait_s(row.lease_until, now, lease_until - now))
    return Claimed(row.subject_id)


def select_answer(conn: Connection, request: KeyedRequest) -> IdempotentAnswer | None:
    """What this request was answered; None where it is new or still running. Raises `KeyReused`."""
    row = _select(conn, of_account_id=request.account_id, of_key=request.key).first()
    return _answer(row, request.fingerprint) if row else None


def _answer(row: Row[Any], fingerprint: bytes) -> IdempotentAnswer | None:
    if row.fingerprint != fingerprint:
        raise KeyReused
    if row.status is None:
        return None
    return IdempotentAnswer(row.status, row.body, row.media_type)


def select_running(conn: Connection, subject_id: str) -> list[RunningRequest]:
    """The requests that run on a payment."""
    return [RunningRequest(*row) for row in _running_on(conn, of_subject_id=subject_id)]


def store_answer(conn: Connection, request: KeyedRequest | RunningRequest, answer: IdempotentAnswer) -> bool:
    """Keep the answer of a request; False where it has one: a repeat may have got that already, so it stays."""
    stored = _store(
        conn,
        of_account_id=request.account_id,
        of_key=request.key,
        to_status=answer.status,
        to_body=answer.body,
        to_media_type=answer.media_type,
    )
    return bool(stored.rowcount)


def run_once(
    conn: Connection,
    request: KeyedRequest | None,
    now: int,
    effect: Callable[Concatenate[Connection, P], IdempotentAnswer],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Answered:
    """What `effect(conn, …)` answers to the first request with a key, and the same bytes to every other.

    Claim, effect and answer are one transaction: a worker that is killed leaves all three or none, and there is
    nothing for another one to take over. None: a request without a key. Raises `KeyReused`; what `effect` raises
    undoes the claim.
    """
    claimed = claim(conn, request, now, now) if request else None
    if isinstance(claimed, IdempotentAnswer):
        return Answered(claimed, replayed=True)
    answer = effect(conn, *args, **kwargs)
    if request:  # every answer, this one too, is opened where it leaves
        answer = msgspec.structs.replace(answer, body=sealed_answer(conn, answer.body))
        store_answer(conn, request, answer)
    return Answered(answer)


def forget_texts(conn: Connection, payment_ids: Iterable[str]) -> None:
    """Take what payer and merchant wrote out of the stored answers about these payments, whoever asked.

    A repeat then gets the answer without it, and is still not done again.
    """
    for payment_id in payment_ids:
        for row in _answers_on(conn, of_subject_id=payment_id):
            body = _without_texts(row.body)
            if body != row.body:
                _rewrite(conn, of_account_id=row.account_id, of_key=row.key, to_body=body)


def forget_answers(conn: Connection, account_id: str) -> None:
    """Delete what an account that is erased was answered: nobody can ask for it again."""
    _forget(conn, of_account_id=account_id)


def _without_texts(body: bytes) -> bytes:
    shown = msgspec.json.decode(body)
    kept = {name: value for name, value in shown.items() if name not in TEXTS}
    return body if len(kept) == len(shown) else msgspec.json.encode(kept)
