"""From text to tree: operators by how strongly they bind (Pratt, 1973)."""

from collections.abc import Callable
from math import isfinite
from typing import NoReturn, TypeVar, get_args

from schemas.expressions.lexemes import ExpressionError, Lexeme, lexemes
from schemas.expressions.tree import (
    And,
    Arithmetic,
    Comparison,
    Expression,
    FunctionCall,
    FunctionName,
    Has,
    Item,
    Membership,
    Minus,
    Name,
    Node,
    Not,
    Number,
    Or,
    Relation,
    Text,
    Value,
    walk,
)

T = TypeVar("T")

LENGTH_MAX = 2000  # characters
DEPTH_MAX = 32  # levels of the tree, and of parentheses
NUMBER_MAX = 1e15

RELATIONS: tuple[Relation, ...] = get_args(Relation)
FUNCTIONS: tuple[FunctionName, ...] = get_args(FunctionName)
BINDS = {"or": 1, "and": 2, "in": 4, "not": 4, "+": 5, "-": 5, "*": 6, "/": 6} | dict.fromkeys(RELATIONS, 4)
NOT_BINDS, MINUS_BINDS = 3, 7  # before their operand


def parse(text: str) -> Expression:
    """The tree of an expression. Raises `ExpressionError`."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError("too_long", f"an expression has at most {LENGTH_MAX} characters", LENGTH_MAX)
    return _Parser(lexemes(text)).whole()


class _Parser:
    """Goes through the pieces once; a method takes what it makes a node of."""

    def __init__(self, lexemes: list[Lexeme]) -> None:
        self._lexemes = lexemes
        self._place = 0
        self._depth = 0

    def whole(self) -> Expression:
        if self._next.kind == "end":
            raise ExpressionError("empty", "an expression is a condition, such as count_1h >= 3", 0)
        found = _condition(self._node(0))
        self._end()
        for node, depth in walk(found):
            if depth > DEPTH_MAX:
                _too_deep(node.at)
        return found

    def _end(self) -> None:
        if self._next.kind != "end":
            self._unexpected()

    @property
    def _next(self) -> Lexeme:
        return self._lexemes[self._place]

    def _take(self) -> Lexeme:
        self._place += 1
        return self._lexemes[self._place - 1]

    def _is_next(self, text: str) -> bool:
        return self._next.kind in ("sign", "word") and self._next.text == text

    def _expect(self, text: str) -> None:
        if not self._is_next(text):
            self._unexpected(f"{text} is expected here")
        self._take()

    def _unexpected(self, message: str = "") -> NoReturn:
        known = "the expression ends too early" if self._next.kind == "end" else "this is not expected here"
        if self._next.text.lower() in ("and", "or", "not", "in", "has"):
            known += "; the words and, or, not, in are small and stand between or before conditions"
        raise ExpressionError("unexpected", message or known, self._next.at)

    def _node(self, binding: int) -> Node:
        """What stands from here up to an operator that binds no stronger than `binding`."""
        self._depth += 1
        if self._depth > 2 * DEPTH_MAX:  # parentheses, operands and signs, before the tree is there to be measured
            _too_deep(self._next.at)
        left = self._operand()
        while self._next.kind in ("sign", "word") and BINDS.get(self._next.text, 0) > binding:
            left = self._joined(left)
        self._depth -= 1
        return left

    def _operand(self) -> Node:
        lexeme = self._take()
        match lexeme.kind, lexeme.text:
            case "number", text:
                return Number(_number(text, lexeme.at), lexeme.at)
            case "text", text:
                return Text(text, lexeme.at)
            case "sign", "(":
                found = self._node(0)
                self._expect(")")
                return found
            case "sign", "-":
                return Minus(_value(self._node(MINUS_BINDS)), lexeme.at)
            case "word", "not":
                return Not(_condition(self._node(NOT_BINDS)), lexeme.at)
            case "word", word if word not in BINDS:
                return self._called(lexeme) if self._is_next("(") else Name(word, lexeme.at)
            case _:
                self._place -= 1
                return self._unexpected()

    def _joined(self, left: Node) -> Node:
        """`left` and what the operator that comes next joins to it."""
        lexeme = self._take()
        match lexeme.text:
            case "and" | "or":
                return self._all(And if lexeme.text == "and" else Or, left, lexeme)
            case "in":
                return Membership(_value(left), self._list(), False, left.at)
            case "not":
                self._expect("in")
                return Membership(_value(left), self._list(), True, left.at)
            case "+" | "-" | "*" | "/" as sign:
                return Arithmetic(sign, _value(left), _value(self._node(BINDS[sign])), left.at)
            case _:
                relation = next(known for known in RELATIONS if known == lexeme.text)
                return Comparison(relation, _value(left), _value(self._node(BINDS[relation])), left.at)

    def _all(self, join: type[And] | type[Or], left: Node, lexeme: Lexeme) -> And | Or:
        parts: list[Expression] = []
        for node in (left, self._node(BINDS[lexeme.text])):
            part = _condition(node)
            parts.extend(part.parts if isinstance(part, join) else (part,))
        return join(tuple(parts), left.at)

    def _called(self, name: Lexeme) -> Has | FunctionCall:
        function = next((known for known in FUNCTIONS if known == name.text), None)
        if function is None and name.text != "has":
            raise ExpressionError("unknown_function", f"the functions are {', '.join(FUNCTIONS)} and has", name.at)
        nodes = self._between("(", ")", lambda: self._node(0))
        if function is None:
            return _has(nodes, name)
        if len(nodes) < 2 if function in ("min", "max") else len(nodes) != 1:
            needed = "two or more values" if function in ("min", "max") else "one value"
            raise ExpressionError("wrong_arguments", f"{function} takes {needed}", name.at)
        return FunctionCall(function, tuple(map(_value, nodes)), name.at)

    def _list(self) -> tuple[Item, ...]:
        if not self._is_next("["):
            raise ExpressionError("bad_list", 'after in comes a list, such as ["US", "CA"]', self._next.at)
        at = self._next.at
        items = self._between("[", "]", self._item)
        if not items:
            raise ExpressionError("bad_list", "a list has at least one number or text", at)
        return tuple(items)

    def _item(self) -> Item:
        negative = self._is_next("-")
        if negative:
            self._take()
        lexeme = self._take()
        if lexeme.kind == "number":
            value = _number(lexeme.text, lexeme.at)
            return -value if negative else value
        if lexeme.kind == "text" and not negative:
            return lexeme.text
        raise ExpressionError("bad_list", "a list holds numbers or texts as they are", lexeme.at)

    def _between(self, opening: str, closing: str, item: Callable[[], T]) -> list[T]:
        """What stands between two signs, with commas."""
        self._expect(opening)
        found: list[T] = []
        while not self._is_next(closing):
            if found:
                self._expect(",")
            found.append(item())
        self._take()
        return found


def _condition(node: Node) -> Expression:
    """`node`, where it is a condition."""
    if isinstance(node, Value):
        hint = "this is a value; a condition compares it, such as amount > 100"
        raise ExpressionError("not_a_condition", hint, node.at)
    return node


def _value(node: Node) -> Value:
    """`node`, where it is a value."""
    if isinstance(node, Value):
        return node
    if isinstance(node, Comparison):
        raise ExpressionError("chained_comparison", "one comparison at a time: 1 < a and a < 3", node.at)
    raise ExpressionError("not_a_value", "this is a condition; a value is expected here", node.at)


def _has(nodes: list[Node], name: Lexeme) -> Has:
    match nodes:
        case [Name(asked)]:
            return Has(asked, name.at)
        case _:
            raise ExpressionError("wrong_arguments", "has takes one name, such as has(country)", name.at)


def _number(text: str, at: int) -> float:
    value = float(text)
    if not isfinite(value) or value > NUMBER_MAX:
        raise ExpressionError("bad_number", f"a number is at most {NUMBER_MAX:.0e}", at)
    return value


def _too_deep(at: int) -> NoReturn:
    raise ExpressionError("too_deep", f"an expression is at most {DEPTH_MAX} levels deep", at)
