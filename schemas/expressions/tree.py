"""The tree of an expression. Its types tell a condition from a value, so that a bare number is never a condition.

`at` is where a node begins in its text, in characters from 0; two that say the same are equal wherever they stand.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

Sign: TypeAlias = Literal["+", "-", "*", "/"]
Relation: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]
FunctionName: TypeAlias = Literal["min", "max", "abs", "lower"]
Item: TypeAlias = float | str

STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2}  # how strongly a sign binds


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written; never negative: that is a `Minus`."""

    value: float
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A text between quotes."""

    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A feature, or a field of a payment."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Minus:
    """A value with its sign turned."""

    operand: "Value"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two values and the sign between them."""

    sign: Sign
    left: "Value"
    right: "Value"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function of values; `abs` and `lower` take one, `min` and `max` two or more."""

    function: FunctionName
    arguments: tuple["Value", ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values and the relation that must hold between them."""

    relation: Relation
    left: "Value"
    right: "Value"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a value is one of a list, or, where `negated`, has a value and is none of it."""

    value: "Value"
    items: tuple[Item, ...]
    negated: bool
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Has:
    """Whether a name has a value."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """Whether a condition does not hold."""

    condition: "Expression"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    """Whether all of two or more conditions hold; none of them is an `And` itself."""

    parts: tuple["Expression", ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    """Whether one of two or more conditions holds; none of them is an `Or` itself."""

    parts: tuple["Expression", ...]
    at: int = field(default=0, compare=False)


Value: TypeAlias = Number | Text | Name | Minus | Arithmetic | FunctionCall
Expression: TypeAlias = Comparison | Membership | Has | Not | And | Or
Node: TypeAlias = Value | Expression


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below one."""
    match node:
        case Number() | Text() | Name() | Has():
            return ()
        case Minus(operand):
            return (operand,)
        case Arithmetic(_, left, right) | Comparison(_, left, right):
            return (left, right)
        case FunctionCall(_, arguments):
            return arguments
        case Membership(value):
            return (value,)
        case Not(condition):
            return (condition,)
        case And(parts) | Or(parts):
            return parts
        case _:
            assert_never(node)


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Each node of a tree and how deep it is, from 1; without recursion, so for a tree of any depth."""
    waiting = [(node, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((child, depth + 1) for child in children(node))


def names_of(node: Node) -> frozenset[str]:
    """The names that are read, those asked by `has` among them."""
    return frozenset(found.name for found, _ in walk(node) if isinstance(found, Name | Has))


def text_of(node: Node) -> str:
    """The text of a tree in one form: `parse` makes an equal tree of it."""
    match node:
        case Number(value):
            return _number(value)
        case Text(value):
            return _quoted(value)
        case Name(name):
            return name
        case Minus(operand):
            return f"-{_within(operand, isinstance(operand, Arithmetic))}"
        case Arithmetic(sign, left, right):
            return f"{_operand(left, STRENGTH[sign])} {sign} {_operand(right, STRENGTH[sign] + 1)}"
        case FunctionCall(function, arguments):
            return f"{function}({', '.join(map(text_of, arguments))})"
        case Comparison(relation, left, right):
            return f"{text_of(left)} {relation} {text_of(right)}"
        case Membership(value, items, negated):
            return f"{text_of(value)} {'not in' if negated else 'in'} [{', '.join(map(_item, items))}]"
        case Has(name):
            return f"has({name})"
        case Not(condition):
            return f"not {_within(condition, isinstance(condition, And | Or))}"
        case And(parts):
            return " and ".join(_within(part, isinstance(part, Or)) for part in parts)
        case Or(parts):
            return " or ".join(map(text_of, parts))
        case _:
            assert_never(node)


def _within(node: Node, parentheses: bool) -> str:
    return f"({text_of(node)})" if parentheses else text_of(node)


def _operand(value: Value, strength: int) -> str:
    return _within(value, isinstance(value, Arithmetic) and STRENGTH[value.sign] < strength)


def _item(item: Item) -> str:
    return _quoted(item) if isinstance(item, str) else _number(item)


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
