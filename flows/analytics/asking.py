"""What becomes of a statement in the process `sql`, from its reader's turn to its line in the query log."""

import duckdb

from connectors.warehouse import REFUSED, quoted
from flows.analytics.answers import Answers, meaning
from flows.analytics.names import VisibleNames
from flows.analytics.own_process import step_back
from flows.analytics.policy import RoleViews
from flows.analytics.query_log import Outcome, QueryLog, asked
from flows.analytics.readers import is_person
from flows.analytics.statements import EXPLAIN, StatementRefused, Statements
from flows.analytics.turns import Turn, Turns
from schemas.accounts import SqlReader

PLANS = "EXPLAIN tells of what is behind the views: only staff may ask for it"

# What a statement of a reader can raise: DuckDB's own errors, and those of C++ under Python's names. None may end
# without a line in the query log.
BROKEN = (duckdb.Error, MemoryError, RuntimeError, ValueError, ArithmeticError, LookupError, TypeError)


class Asking:
    """Answers the statements of readers. Any number of threads may use it."""

    def __init__(self, turns: Turns, answers: Answers, policy: RoleViews, log: QueryLog) -> None:
        self._turns, self._answers, self._policy, self._log = turns, answers, policy, log
        self._statements = Statements()
        self._names = VisibleNames(self._statements)

    def answer(self, reader: SqlReader, statement: str) -> str:
        """What Quack runs for a statement: what reads its answer, or fails and says why there is none."""
        step_back()  # Quack waits in this thread for the answer
        try:
            with self._turns.taken(reader.account_id, statement, counted=is_person(reader)) as turn:
                return self._in_turn(reader, turn)
        except StatementRefused as refusal:  # it has no turn now
            self._log.write(asked(reader, statement, "refused", 0, reason=str(refusal)))
            return error(f"{REFUSED}{refusal}")

    def _in_turn(self, reader: SqlReader, turn: Turn) -> str:
        rows: int | None = None
        reason: str | None = None
        outcome: Outcome = "answered"
        try:
            answer, rows = self._run(reader, turn)
        except StatementRefused as refusal:
            outcome, reason, answer = "refused", str(refusal), error(f"{REFUSED}{refusal}")
        except BROKEN as broken:
            if turn.ended is None:
                outcome, reason, answer = "failed", type(broken).__name__, error(meaning(broken, reader))
            else:
                outcome, reason, answer = "interrupted", turn.ended, error(f"{REFUSED}{turn.ended}")
        self._log.write(asked(reader, turn.text, outcome, turn.seconds(), rows, reason))
        return answer

    def _run(self, reader: SqlReader, turn: Turn) -> tuple[str, int]:
        """What reads the answer, and its rows. Raises `StatementRefused` and `BROKEN`."""
        tree, views = self._statements.check(turn.text), set[str]()
        if reader.sees != "all":
            if EXPLAIN.match(turn.text):
                raise StatementRefused(PLANS)
            views = self._names.check(tree.encode(), self._policy.seen(reader))
        with self._answers.cursor_for(reader, views) as cursor, turn.runs_on(cursor):
            return self._answers.run(cursor, turn.text)


def error(message: str) -> str:
    """A statement that fails with this message."""
    return f"SELECT error({quoted(message)})"
