"""Whatever is answered, in whatever order: the books balance, and at rest they say what was taken and is held."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import get_args

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from connectors.group_commit import run_in_savepoint
from connectors.processors.contract import Answer, CallResult
from gateway.books.operations import Operation, OperationOpen, select_open, select_operation, select_operations
from gateway.books.outbox import select_history
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.postings import postings
from gateway.payments.captures import authorization
from gateway.payments.changes import (
    Effect,
    NextOperation,
    approval,
    capture_at_once,
    change_of,
    following,
    holds_money,
)
from gateway.payments.commit import apply, commit, open_reversal, receive
from schemas.payments import PaymentEvent
from schemas.states import can_become
from schemas.times import now_micros
from tests.gateway.databases import Databases, Kind
from tests.gateway.payments import situations
from tests.gateway.payments.stored import POLICY, REQUEST

RESULTS: tuple[CallResult, ...] = get_args(CallResult)
FIRST = {"sale": "visa", "authorize": "visa", "order": "paypal"}
MOVES_MAX = 14

Move = Callable[[], object]


class Life:
    """A payment with everybody who can move it: processors, recovery, its payer, its merchant and a reviewer."""

    def __init__(self, conn: Connection, data: st.DataObject, results: Callable[..., list[CallResult]]) -> None:
        self._conn, self._draw, self._results = conn, data.draw, results
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
        move = self._draw(st.sampled_from(self._moves()))
        _, error = run_in_savepoint(self._conn.exec_driver_sql, move)
        if error is not None and not isinstance(error, OperationOpen):
            raise error

    def _moves(self) -> list[Move]:
        operations = select_operations(self._conn, "pay")
        moves: list[Move] = [partial(self._answer, operation) for operation in reversed(operations)]
        doubted = [o for o in operations if o.status == "unknown" and o.kind not in ("void", "reversal")]
        moves += [partial(open_reversal, self._conn, POLICY, operation) for operation in doubted]
        payment = existing_payment(self._conn, "pay")
        if payment.state == "requires_action":
            moves.append(partial(self._approve_order, payment))
        elif holds_money(payment.state):
            held = authorization(self._conn, "pay")
            moves.append(partial(self._send, payment, payment, following("void", held)))
            moves.append(partial(self._release, payment, held))
        return moves

    def _answer(self, operation: Operation) -> None:
        if results := self._results(self._conn, operation):
            result = self._draw(st.sampled_from(results))
            refused_late = result == "declined" and operation.kind in ("sale", "authorize")
            must_reverse = refused_late and self._draw(st.booleans())
            apply(self._conn, POLICY, operation.id, Answer(result, must_reverse=must_reverse))

    def _release(self, payment: PaymentRow, held: Operation) -> None:
        """The merchant captures a part, or the reviewer approves."""
        if payment.state == "authorized":
            self._send(payment, payment, following("capture", held, 300))
        else:
            released = msgspec.structs.replace(payment, state="authorized")
            self._send(payment, released, capture_at_once(payment, held))

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


def check_balance(conn: Connection) -> None:
    """The postings of each operation add up to zero."""
    sums: Counter[str] = Counter()
    for row in conn.execute(postings.select()):
        sums[row.source_id] += row.amount
    assert set(sums.values()) <= {0}


def check_events(conn: Connection) -> None:
    """Sequences have no gap, and each state comes from the one before by a move that the table allows."""
    rows = select_history(conn, "pay")
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    events = [msgspec.json.decode(row.value, type=PaymentEvent) for row in rows if row.type.startswith("payment.")]
    for before, event in pairwise(events):
        assert event.previous_state == before.payment.state
        assert can_become(before.payment.state, event.payment.state)
    assert events[-1].payment.state == existing_payment(conn, "pay").state
    assert rows[-1].sequence == existing_payment(conn, "pay").sequence


def check_rest(conn: Connection, payment: PaymentRow) -> None:
    """`due:` is what was captured, `hold:` what is reserved, at the processors and for the merchant alike."""
    balance: Counter[tuple[str, bool]] = Counter()
    for row in conn.execute(postings.select()):
        account, _, owner = row.account.partition(":")
        balance[account, owner == payment.merchant_id] += row.amount
    assert balance["due", False] == -balance["due", True] == payment.amount_captured
    held = payment.amount if holds_money(payment.state) else 0
    assert balance["hold", False] == -balance["hold", True] == held
