"""What a check finds in an expression, and the types of its values."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Literal, TypeAlias, assert_never

import msgspec

from schemas.expressions.lexemes import FaultCode
from schemas.expressions.tree import (
    Arithmetic,
    Comparison,
    FunctionCall,
    Has,
    Membership,
    Minus,
    Name,
    Node,
    Number,
    Text,
    Value,
    walk,
)
from schemas.features import Feature, FeatureType

FindingCode: TypeAlias = Literal[
    "unknown_name", "wrong_type", "never_true", "contradiction", "always_true", "unreachable", "redundant"
]
Names: TypeAlias = Mapping[str, Feature]


class Finding(msgspec.Struct, frozen=True):
    """What is wrong (`error`) or odd (`warning`) in an expression. `position`: in characters from 0."""

    code: FindingCode | FaultCode
    message: str
    position: int
    severity: Literal["error", "warning"] = "error"


def type_findings(expression: Node, names: Names) -> list[Finding]:
    """The names that are unknown, and what is computed or compared of another type than can be."""
    found = [finding for node, _ in walk(expression) for finding in _wrong_at(node, names)]
    return sorted(found, key=lambda finding: finding.position)


def _wrong_at(node: Node, names: Names) -> Iterator[Finding]:
    match node:
        case Name(name) | Has(name) if name not in names:
            yield Finding("unknown_name", _unknown(name, names), node.at)
        case Comparison(relation, left, right):
            types = {type_of(left, names), type_of(right, names)}
            if types >= {"number", "text"}:
                yield _wrong_type("a number and a text are never compared", node)
            elif "text" in types and relation not in ("==", "!="):
                yield _wrong_type("texts are compared by == and !=, or with a list by in", node)
        case Membership(value, items):
            if {"text" if isinstance(item, str) else "number" for item in items} - {type_of(value, names), None}:
                yield _wrong_type("a list holds what its value is: numbers or texts", node)
        case Minus(operand):
            yield from _operands((operand,), "number", names)
        case Arithmetic(_, left, right):
            yield from _operands((left, right), "number", names)
        case FunctionCall(function, arguments):
            yield from _operands(arguments, "text" if function == "lower" else "number", names)


def _operands(values: tuple[Value, ...], needed: FeatureType, names: Names) -> Iterator[Finding]:
    for value in values:
        if type_of(value, names) not in (needed, None):
            yield _wrong_type(f"this must be a {needed}", value)


def _wrong_type(message: str, node: Node) -> Finding:
    return Finding("wrong_type", message, node.at)


def type_of(value: Value, names: Names) -> FeatureType | None:
    """The type of a value. None: an unknown name has none, and is found as such."""
    match value:
        case Text() | FunctionCall("lower"):
            return "text"
        case Number() | Minus() | Arithmetic() | FunctionCall():
            return "number"
        case Name(name):
            return names[name].type if name in names else None
        case _:
            assert_never(value)


def _unknown(name: str, names: Names) -> str:
    near = get_close_matches(name.lower(), names, n=1)
    return f"there is no such name; is {near[0]} meant?" if near else "there is no such name"
