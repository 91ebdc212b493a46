"""From tree to a function, by way of Python's own code objects: the syntax tree is made here, node by node.

No text of a user is ever source code: a name is a constant that is looked up in the values, and what is called is
one of the functions of this file.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from math import nan
from types import CodeType, FunctionType
from typing import Any, Final, TypeAlias, assert_never

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
    Text,
    Value,
)

Values: TypeAlias = Mapping[str, Item]
Compiled: TypeAlias = Callable[[Values], bool]


# Stands for a name without a value, number or text: no comparison with it holds but `!=`, which is `_differ` here,
# and what is computed from it is no number either. Of fifty rules most ask for what most payments do not have.
MISSING: Final = nan

RELATIONS: dict[str, ast.cmpop] = {
    "<": ast.Lt(),
    "<=": ast.LtE(),
    ">": ast.Gt(),
    ">=": ast.GtE(),
    "==": ast.Eq(),
}
SIGNS: dict[str, ast.operator] = {"+": ast.Add(), "-": ast.Sub(), "*": ast.Mult()}


def compiled(expression: Expression) -> Compiled:
    """A function that says whether an expression that `check` finds no error in holds for a payment's values.

    A name that is not among them has no value: a comparison with it is false, as is one with what cannot be
    computed (a division by zero). What is too large for a float is infinite. Raises `TypeError` where a value is
    not of the type that the expression was checked for.
    """
    return _function(_condition(expression))


def compiled_together(expressions: Iterable[Expression]) -> Callable[[Values], tuple[bool, ...]]:
    """A function that says of each of many expressions whether it holds, as `compiled` does of one.

    It asks fifty in half the time of fifty functions.
    """
    return _function(ast.Tuple([_condition(expression) for expression in expressions], ast.Load()))


def _function(body: ast.expr) -> Callable[[Values], Any]:
    """A function of `values`."""
    parameters = ast.arguments([], [ast.arg("values")], None, [], [], None, [])
    made = compile(ast.fix_missing_locations(ast.Expression(ast.Lambda(parameters, body))), "<expression>", "eval")
    (code,) = [constant for constant in made.co_consts if isinstance(constant, CodeType)]
    return FunctionType(code, CALLED)


def _condition(node: Expression) -> ast.expr:
    match node:
        case Comparison():
            return _comparison(node)
        case Membership():
            return _membership(node)
        case Has(name):
            return ast.Compare(ast.Constant(name), [ast.In()], [_read("values")])
        case Not(condition):
            return ast.UnaryOp(ast.Not(), _condition(condition))
        case And(parts):
            return ast.BoolOp(ast.And(), [_condition(part) for part in parts])
        case Or(parts):
            return ast.BoolOp(ast.Or(), [_condition(part) for part in parts])
        case _:
            assert_never(node)


def _comparison(node: Comparison) -> ast.expr:
    """Python's; but what is missing, or no number (infinite minus infinite), must not be unequal to anything."""
    left, right = _value(node.left), _value(node.right)
    if node.relation == "!=":
        return _call("_differ", left, right)
    return ast.Compare(left, [RELATIONS[node.relation]], [right])


def _membership(node: Membership) -> ast.expr:
    """Python's; but what is missing, or no number, is unequal to itself, and outside of nothing."""
    value, items = _value(node.value), ast.Set([ast.Constant(item) for item in node.items])
    if not node.negated:
        return ast.Compare(value, [ast.In()], [items])
    outside = ast.Compare(value, [ast.NotIn()], [items])
    return ast.BoolOp(ast.And(), [ast.Compare(value, [ast.Eq()], [value]), outside])


def _value(node: Value) -> ast.expr:
    match node:
        case Number(value) | Text(value):
            return ast.Constant(value)
        case Name(name):
            get = ast.Attribute(_read("values"), "get", ast.Load())
            return ast.Call(get, [ast.Constant(name), _read("MISSING")], [])
        case Minus(operand):
            return ast.UnaryOp(ast.USub(), _value(operand))
        case Arithmetic("/", left, right):
            return _call("_ratio", _value(left), _value(right))
        case Arithmetic(sign, left, right):
            return ast.BinOp(_value(left), SIGNS[sign], _value(right))
        case FunctionCall(function, arguments):
            return _call(f"_{function}", *map(_value, arguments))
        case _:
            assert_never(node)


def _read(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(_read(function), list(arguments), [])


def _differ(left: Item, right: Item) -> bool:
    return left != right and left == left and right == right


def _ratio(left: float, right: float) -> float:
    return left / right if right else MISSING


def _min(*values: float) -> float:
    return min(values) if _present(values) else MISSING


def _max(*values: float) -> float:
    return max(values) if _present(values) else MISSING


def _present(values: tuple[float, ...]) -> bool:
    return all(value == value for value in values)


def _lower(text: Item) -> Item:
    return text.lower() if isinstance(text, str) else text


CALLED = {
    "MISSING": MISSING,
    "_differ": _differ,
    "_ratio": _ratio,
    "_min": _min,
    "_max": _max,
    "_abs": abs,
    "_lower": _lower,
}
