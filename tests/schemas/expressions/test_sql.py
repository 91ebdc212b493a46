"""Conditions in SQL: what they mean is what `compiled` says, in DuckDB itself."""

from collections.abc import Sequence

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.expressions import LENGTH_MAX, compiled, parse, sql_of
from schemas.expressions.compiler import Values
from schemas.expressions.tree import Expression
from schemas.features import FEATURES
from tests.schemas.expressions.trees import NAMES, expressions, partial_values

COLUMNS = {"number": "coalesce(x.{0}::DOUBLE, 'nan') AS {0}", "text": "x.{0}::VARCHAR AS {0}"}
HUGE = "1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15 * 1e15"
INFINITE = f"({HUGE}) * ({HUGE})"


CON = duckdb.connect(config={"threads": 1})


def told(expression: Expression, rows: Sequence[Values]) -> list[bool | None]:
    """What DuckDB says of each of the rows."""
    columns = ", ".join(COLUMNS[feature.type].format(name) for name, feature in NAMES.items())
    values = [{name: row.get(name) for name in NAMES} for row in rows]
    given = ", ".join(_literal(row) for row in values)
    found = CON.execute(f"SELECT {sql_of(expression, NAMES)} FROM (SELECT {columns} FROM (VALUES {given}) v(x))")
    return [holds for [holds] in found.fetchall()]


def _literal(row: dict[str, float | str | None]) -> str:
    items = ", ".join(f"'{name}': {_text(value)}" for name, value in row.items())
    return f"({{{items}}})"


def _text(value: float | str | None) -> str:
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else f"{value!r}::DOUBLE"


some_rows = st.lists(partial_values, min_size=1, max_size=4)


@given(expressions, some_rows)
@example(parse("min(count, gap) < 1 and max(count, gap) > 0"), [{"count": 0.0}, {"count": 3.0, "gap": -1.0}])
@example(parse("count / share != 1"), [{"count": 3.0, "share": 0.0}, {"count": 3.0}])
@example(parse("0.1 + 0.2 == 0.3 or count * 0.1 == 0.3"), [{"count": 3.0}])
def test_sql_means_what_is_compiled(tree: Expression, rows: list[Values]) -> None:
    assert told(tree, rows) == [compiled(tree)(row) for row in rows]


@pytest.mark.parametrize("relation", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("sides", [("gap", "3"), ("3", "gap"), ("gap", "share"), ("-gap", "share * 2")])
def test_nothing_compares_with_a_missing_number(relation: str, sides: tuple[str, str]) -> None:
    rows: list[Values] = [{}, {"gap": 3.0}, {"share": 1.0}, {"gap": 3.0, "share": 1.0}]
    tree = parse(relation.join(f" {side} " for side in sides))
    assert told(tree, rows) == [compiled(tree)(row) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        f"{INFINITE} > 1",
        f"{INFINITE} - {INFINITE} == 0",
        f"{INFINITE} - {INFINITE} != 0",
        f"{INFINITE} - {INFINITE} >= 0",
        f"{INFINITE} * (count - count) not in [1]",
        f"max({INFINITE} - {INFINITE}, 1) > 0",
        f"min(-{INFINITE}, count) < 0",
        f"max({INFINITE}, 1, count) > 5",
        "1 / (count - count) > 0",
        "- count / -0.0 != 7",
    ],
)
def test_so_do_the_ends_of_what_a_number_can_be(text: str) -> None:
    for row in ({"count": 3.0}, {}):
        assert told(parse(text), [row]) == [compiled(parse(text))(row)]


@pytest.mark.parametrize("text", ["it's", "a;--", "\\", "ä€😀", "' || version() || '"])
def test_a_text_is_only_ever_a_text(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\") + '"'
    rows: list[Values] = [{"country": text}, {"country": "x"}, {}]
    assert told(parse(f"country in [{quoted}]"), rows) == [True, False, False]


@pytest.mark.parametrize("piece", ["gap==1 or ", "min(gap,", "gap+", "has(gap) and ", "bin in ['1',"])
def test_the_longest_expression_fits_into_a_statement(piece: str) -> None:
    """8,000 pieces and 64 KiB are what the warehouse reads."""
    text = _longest(piece)
    assert len(text) > LENGTH_MAX - 20 or piece == "gap+"
    sql = sql_of(parse(text), FEATURES)
    assert len(sql) < 60 * 1024
    assert len(duckdb.tokenize(f"SELECT {sql}")) < 7_500


def _longest(piece: str) -> str:
    match piece:
        case "min(gap,":
            return f"min(gap{',gap' * ((LENGTH_MAX - 12) // 4)})<1"
        case "gap+":
            return f"gap{'+gap' * 28}<1"
        case "bin in ['1',":
            return "bin in ['1'" + ",'1'" * ((LENGTH_MAX - 12) // 4) + "]"
        case _:
            return piece * ((LENGTH_MAX - 12) // len(piece)) + "has(bin)"


def test_each_name_can_stand_as_a_column() -> None:
    assert all('"' not in name for name in FEATURES)
