"""From tree to a condition in DuckDB's SQL, with the meaning that `compiled` gives it."""

from typing import Final, assert_never

from schemas.expressions.findings import Names, type_of
from schemas.expressions.tree import (
    And,
    Arithmetic,
    Comparison,
    Expression,
    FunctionCall,
    Has,
    Item,
    Membership,
    Minus,
    Name,
    Not,
    Number,
    Or,
    Relation,
    Text,
    Value,
)

RELATIONS: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "==": "=", "!=": "<>"}
NAN: Final = "'nan'::DOUBLE"


def sql_of(expression: Expression, names: Names) -> str:
    """A condition that is true or false, never null, of an expression that `check` finds no error in.

    It is about a row with a column of each name: DOUBLE, NaN where the name has no value, or VARCHAR, null where
    it has none. `lower` is DuckDB's, which is Python's for ASCII.
    """
    match expression:
        case Comparison(relation, left, right):
            return _comparison(relation, left, right, names)
        case Membership(value, items, negated):
            asked = f"{_value(value)} {'NOT IN' if negated else 'IN'} ({', '.join(map(_constant, items))})"
            if type_of(value, names) == "text":
                return f"coalesce({asked}, false)"
            return _where_numbers(asked, [value] if negated else [])
        case Has(name):
            return (
                f"({_column(name)} IS NOT NULL)" if names[name].type == "text" else f"(NOT {_isnan(Name(name))})"
            )
        case Not(condition):
            return f"(NOT {sql_of(condition, names)})"
        case And(parts):
            return f"({' AND '.join(sql_of(part, names) for part in parts)})"
        case Or(parts):
            return f"({' OR '.join(sql_of(part, names) for part in parts)})"
        case _:
            assert_never(expression)


def _comparison(relation: Relation, left: Value, right: Value, names: Names) -> str:
    """For DuckDB NaN equals itself and is above all numbers: it is asked for where that would make this true."""
    asked = f"{_value(left)} {RELATIONS[relation]} {_value(right)}"
    if type_of(left, names) == "text":
        return f"coalesce({asked}, false)"
    match relation:
        case "<" | "<=":
            return _where_numbers(asked, [right])
        case ">" | ">=":
            return _where_numbers(asked, [left])
        case "==":
            return _where_numbers(asked, [] if isinstance(right, Number) else [left])
        case "!=":
            return _where_numbers(asked, [left, right])
        case _:
            assert_never(relation)


def _where_numbers(asked: str, values: list[Value]) -> str:
    doubtful = [_isnan(value) for value in values if not isinstance(value, Number)]
    return f"({' AND NOT '.join([asked, *doubtful])})"


def _isnan(value: Value) -> str:
    return f"isnan({_value(value)})"


def _value(node: Value) -> str:
    """NaN where a number is missing or none, which arithmetic and `greatest` hand on; a missing text is null.

    Each operand is written once: of nested ones that were written twice there would be too many.
    """
    match node:
        case Number(value) | Text(value):
            return _constant(value)
        case Name(name):
            return _column(name)
        case Minus(operand):
            return f"(- {_value(operand)})"
        case Arithmetic("/", left, right):
            return f"({_value(left)} / {_divisor(right)})"
        case Arithmetic(sign, left, right):
            return f"({_value(left)} {sign} {_value(right)})"
        case FunctionCall("min", arguments):
            return f"(- greatest({', '.join(f'- {_value(argument)}' for argument in arguments)}))"
        case FunctionCall("max", arguments):
            return f"greatest({', '.join(map(_value, arguments))})"
        case FunctionCall("lower", (Text(value),)):
            return _constant(value.lower())
        case FunctionCall(function, arguments):
            return f"{function}({_value(arguments[0])})"
        case _:
            assert_never(node)


def _divisor(node: Value) -> str:
    """NaN for zero; the lambda reads a computed one once."""
    if isinstance(node, Number):
        return _constant(node.value) if node.value else NAN
    return f"list_transform([{_value(node)}], lambda d: CASE WHEN d = 0 THEN {NAN} ELSE d END)[1]"


def _column(name: str) -> str:
    return f'"{name}"'


def _constant(item: Item) -> str:
    """A literal; a number has an exponent, without which it is a decimal. No text has a control character."""
    if isinstance(item, str):
        return "'" + item.replace("'", "''") + "'"
    number = repr(item)
    return number if "e" in number else f"{number}e0"
