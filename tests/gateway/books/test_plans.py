"""No statement of the books reads a whole table: an index leads to its rows, on either database."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

import gateway.books
from gateway.books import verdicts
from gateway.books.pruning import PRUNABLES
from gateway.books.sql import Statement

# They run once, at a start or for a command, and may read all that is there.
AT_START = {"clock._newest_kept", "controls._settings", "restored._oldest"}
# One for each start of a machine, or for each gateway.
FEW_ROWS = {
    "clock._furthest_apart",
    "workers._forget",
    "workers._another_lives",
    "workers._any_lapsed",
    "workers._note_taken",
}


def statements() -> Iterator[tuple[str, Statement]]:
    """Every compiled statement by its name."""
    for module in pkgutil.iter_modules(gateway.books.__path__):
        for name, value in vars(importlib.import_module(f"gateway.books.{module.name}")).items():
            if isinstance(value, Statement):
                yield f"{module.name}.{name}", value
            elif isinstance(value, dict):  # a statement for each index that may lead
                for key, one in value.items():
                    if isinstance(one, Statement):
                        yield f"{module.name}.{name}[{key}]", one
    for table, prunable in PRUNABLES.items():
        yield f"pruning.walk[{table}]", prunable.walk
        yield f"pruning.remove[{table}]", prunable.remove


LISTS = re.compile(r"\.(_page|PAGES|NTH|walk)\b")


STATEMENTS = dict(statements())


@pytest.mark.parametrize("module", sorted({name.partition(".")[0] for name in STATEMENTS}))
def test_a_statement_finds_its_rows_by_an_index(conn: Connection, module: str) -> None:
    plans = {name: plan_of(conn, one) for name, one in STATEMENTS.items() if name.startswith(f"{module}.")}
    assert {name: plan for name, plan in plans.items() if is_slow(conn, name, plan)} == {}


def is_slow(conn: Connection, name: str, plan: list[str]) -> bool:
    """Whether a statement reads a whole table, or sorts what an index should give it in order."""
    if conn.dialect.name == "sqlite":
        read = [step for step in plan if re.match(r"SCAN (?!(\d+ )?CONSTANT)", step) and " USING " not in step]
        sorts = [step for step in plan if "TEMP B-TREE" in step]
    else:
        read = [step for step in plan if "Seq Scan" in step]
        sorts = [step for step in plan if "Sort" in step]
    return bool(read and name not in AT_START | FEW_ROWS) or bool(LISTS.search(name) and sorts)


def test_late_blocks_that_are_due_are_not_sought_by_their_processors_payments(conn: Connection) -> None:
    """Recovery asks twice a second, on the event loop."""
    plan = plan_of(conn, verdicts._due)
    assert any("ix_verdicts_due_at" in step for step in plan), plan
    assert not any("ix_payments_processor" in step for step in plan), plan


def plan_of(conn: Connection, statement: Statement) -> list[str]:
    """The steps of a statement, by a planner that knows none of its values."""
    sql = statement._sql(conn).sql
    if conn.dialect.name == "sqlite":
        return [row.detail for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", _nulls(sql))]
    # The tables are empty: what is cheap for a few rows is not asked for.
    conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
    conn.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
    return [row[0] for row in conn.exec_driver_sql(f"EXPLAIN {_unknown(sql)}")]


def _unknown(sql: str) -> str:
    """The statement with values that the planner does not know."""
    return re.sub(r"\$\d+", "(SELECT 1)", re.sub(r"\$\d+(?=::)", "(SELECT '1')", sql))


def _nulls(sql: str) -> tuple[None, ...]:
    return (None,) * sql.count("?")
