"""Whatever is answered, in whatever order: the books balance, and at rest they say what was taken and is held."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, get_args

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from benchmarks.machine.told import mistold
from connectors.group_commit import run_in_savepoint
from connectors.processors.contract import Answer, CallResult
from gateway.books.idempotency import KeyedRequest, select_answer
from gateway.books.operations import (
    OPEN,
    Operation,
    OperationOpen,
    select_open,
    select_operation,
    select_operations,
)
from gateway.books.outbox import list_history
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.postings import postings
from gateway.books.refunds import RefundFilter, list_refunds
from gateway.books.tasks import tasks
from gateway.payments.captures import AmountTooLarge, authorization, begin_capture, begin_void
from gateway.payments.changes import (
    Effect,
    NextOperation,
    approval,
    capturable,
    capture_at_once,
    change_of,
    following,
    holds_money,
)
from gateway.payments.commit import apply, commit, open_reversal, receive
from gateway.payments.refunds import begin_refund
from gateway.payments.views import PaymentView, RefundView
from gateway.problems import ProblemBody
from schemas.payments import PaymentEvent
from schemas.states import can_become
from schemas.times import now_micros
from tests.gateway.databases import Databases, Kind
from tests.gateway.payments import situations
from tests.gateway.payments.stored import POLICY, REQUEST

RESULTS: tuple[CallResult, ...] = get_args(CallResult)
FIRST = {"sale": "visa", "authorize": "visa", "order": "paypal"}
MOVES_MAX = 24
TOLD_ASIDE = (
    "payment.capture_declined",
    "payment.void_declined",
    "refund.pending",
    "refund.succeeded",
    "refund.failed",
)

Move = Callable[[], object]


class Life:
    """A payment with everybody who can move it: processors, recovery, its payer, its merchant and a reviewer."""

    def __init__(self, conn: Connection, data: st.DataObject, results: Callable[..., list[CallResult]]) -> None:
        self._conn, self._draw, self._results = conn, data.draw, results
        self._keys = count(1)
        self.requests: dict[KeyedRequest, type] = {}
        kind = self._draw(st.sampled_from(sorted(FIRST)))
        row = situations.payment(
            attempts=0,
            sequence=0,
            recovery_point="received",
            capture=self._draw(st.sampled_from(["automatic", "manual"])),
            risk_outcome="allow" if kind == "sale" else self._draw(st.sampled_from(["allow", "review"])),
            wanted_processor="paypal" if kind == "order" else None,
        )
        received = receive(conn, POLICY, REQUEST, row)
        assert isinstance(received, PaymentRow)
        self._send(received, received, NextOperation(kind, FIRST[kind]))  # type: ignore[arg-type]

    def move(self) -> None:
        """Let somebody move; who comes while another operation is open is refused, and may come again."""
        if not (moves := self._moves()):
            return  # an order that came to nothing
        move = self._draw(st.sampled_from(moves))
        _, error = run_in_savepoint(self._conn.exec_driver_sql, move)
        if error is not None and not isinstance(error, OperationOpen | AmountTooLarge):
            raise error

    def _moves(self) -> list[Move]:
        payment = existing_payment(self._conn, "pay")
        operations = select_operations(self._conn, "pay")
        answerable = [o for o in reversed(operations) if self._results(self._conn, o)]
        moves: list[Move] = [partial(self._answer, operation) for operation in answerable]
        doubted = [o for o in operations if o.status == "unknown" and o.kind not in ("void", "reversal")]
        moves += [partial(open_reversal, self._conn, POLICY, operation) for operation in doubted]
        if payment.state == "requires_action":
            moves.append(partial(self._approve_order, payment))
        elif payment.state == "in_review":
            moves += [partial(self._approve, payment), partial(self._reject, payment)]
        if any(operation.status in OPEN for operation in operations):
            return [*moves, self._void]  # one of those that are refused
        if left := capturable(payment):
            moves += [partial(self._capture, left), self._void]
        if left := payment.amount_captured - payment.amount_refunded:
            moves.append(partial(self._refund, left))
        return moves

    def _answer(self, operation: Operation) -> None:
        result = self._draw(st.sampled_from(self._results(self._conn, operation)))
        refused_late = result == "declined" and operation.kind in ("sale", "authorize")
        must_reverse = refused_late and self._draw(st.booleans())
        apply(self._conn, POLICY, operation.id, Answer(result, must_reverse=must_reverse))

    def _capture(self, left: int) -> None:
        amount, final = self._part(left), self._draw(st.booleans())
        self._ask(PaymentView, begin_capture, amount, final=final)

    def _void(self) -> None:
        self._ask(PaymentView, begin_void, as_payer=False)

    def _refund(self, left: int) -> None:
        self._ask(RefundView, begin_refund, self._part(left), None)

    def _part(self, left: int) -> int | None:
        return self._draw(st.sampled_from([None, left, *range(100, left, 100)]))

    def _ask(self, answered_with: type, begin: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        request = KeyedRequest("acc_m", f"key_{next(self._keys)}", b"same", "merchant")
        begin(self._conn, POLICY, request, "pay", *args, **kwargs)
        self.requests[request] = answered_with

    def _approve(self, payment: PaymentRow) -> None:
        released = msgspec.structs.replace(payment, state="authorized")
        self._send(payment, released, capture_at_once(payment, authorization(self._conn, "pay")))

    def _reject(self, payment: PaymentRow) -> None:
        self._send(payment, payment, following("void", authorization(self._conn, "pay")))

    def _approve_order(self, payment: PaymentRow) -> None:
        approved = commit(self._conn, POLICY, approval(payment, POLICY, now_micros())).payment
        self._send(approved, approved, NextOperation("authorize", "paypal"))

    def _send(self, before: PaymentRow, after: PaymentRow, next: NextOperation | None) -> None:
        commit(self._conn, POLICY, change_of(before, Effect(after, next), POLICY, now_micros()))


def any_result(conn: Connection, operation: Operation) -> list[CallResult]:
    """What comes from anywhere at any time."""
    return list(RESULTS)


def honest_results(conn: Connection, operation: Operation) -> list[CallResult]:
    """What a processor that keeps its contract can answer now; of what was given up recovery watches some."""
    match operation.status:
        case "sending" if operation.kind != "reversal":  # only a look-up does not find
            return [result for result in RESULTS if result != "not_found"]
        case "sending" | "unknown":
            parent = select_operation(conn, operation.parent_id) if operation.parent_id else None
            taken_back = operation.kind == "reversal" and parent is not None and parent.status == "succeeded"
            return [result for result in RESULTS if not (taken_back and result == "not_found")]
        case "failed" if operation.lease_until is not None:
            return ["succeeded"]
        case _:
            return []


@given(data=st.data())
@settings(max_examples=60)
def test_the_books_balance_and_tell_every_step(databases: Databases, database: Kind, data: st.DataObject) -> None:
    with databases.transaction(database) as conn:
        life = Life(conn, data, any_result)
        for _ in range(data.draw(st.integers(1, MOVES_MAX))):
            life.move()
            check_balance(conn)
            check_events(conn)
            assert list(mistold(conn, "pay")) == []


@given(data=st.data())
@settings(max_examples=60)
def test_at_rest_the_books_say_what_was_taken_and_what_is_held(
    databases: Databases, database: Kind, data: st.DataObject
) -> None:
    with databases.transaction(database) as conn:
        life = Life(conn, data, honest_results)
        for _ in range(data.draw(st.integers(1, MOVES_MAX))):
            life.move()
            payment = existing_payment(conn, "pay")
            if payment.recovery_point == "finished" and not select_open(conn, "pay"):
                check_rest(conn, payment)
                check_refunds(conn, payment)
                check_answers(conn, life)


def check_balance(conn: Connection) -> None:
    """The postings of each operation add up to zero."""
    sums: Counter[str] = Counter()
    for row in conn.execute(postings.select()):
        sums[row.source_id] += row.amount
    assert set(sums.values()) <= {0}


def check_events(conn: Connection) -> None:
    """Sequences have no gap, and each state comes from the one before by a move that the table allows."""
    rows = list_history(conn, "pay", 0, 100)
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    steps = [row for row in rows if row.type != "transaction_completed"]
    events = [msgspec.json.decode(row.value, type=PaymentEvent) for row in steps]
    for row, before, event in zip(steps[1:], events[:-1], events[1:], strict=True):
        was, state = before.payment.state, event.payment.state
        assert event.previous_state == was
        assert state == was if row.type in TOLD_ASIDE else can_become(was, state)
    assert events[-1].payment.state == existing_payment(conn, "pay").state
    assert rows[-1].sequence == existing_payment(conn, "pay").sequence


def check_rest(conn: Connection, payment: PaymentRow) -> None:
    """`due:` is what was captured and not given back, `hold:` what is reserved, for the merchant as well."""
    balance: Counter[tuple[str, bool]] = Counter()
    for row in conn.execute(postings.select()):
        account, _, owner = row.account.partition(":")
        balance[account, owner == payment.merchant_id] += row.amount
    taken = payment.amount_captured - payment.amount_refunded
    assert balance["due", False] == -balance["due", True] == taken
    if conn.execute(tasks.select().where(tasks.c.resolved_at.is_(None))).first():
        return  # its processor does not let go of money, and what becomes of it is a person's to say
    assert payment.state != "authorized" or payment.capture == "manual"  # an automatic capture has an end
    held = payment.amount - payment.amount_captured if holds_money(payment.state) else 0
    assert balance["hold", False] == -balance["hold", True] == held


def check_refunds(conn: Connection, payment: PaymentRow) -> None:
    """Every refund has ended, and together they say what was given back."""
    rows = list_refunds(conn, None, 100, RefundFilter())
    assert sum(row.amount for row in rows if row.status == "succeeded") == payment.amount_refunded
    assert all(row.status in ("succeeded", "failed") for row in rows)
    assert payment.amount_refunded <= payment.amount_captured <= payment.amount


def check_answers(conn: Connection, life: Life) -> None:
    """Every request has its answer, of what it asked for."""
    for request, shown in life.requests.items():
        answer = select_answer(conn, request)
        assert answer is not None
        msgspec.json.decode(answer.body, type=ProblemBody if answer.status == 402 else shown)
