"""Mutants of a Python file, made mechanically: each is the whole file with one change that none chose by hand.

Swapped are comparisons, `and` and `or`, plus and minus, and the branches of a conditional expression. Dropped are
`not`, a minus sign, a keyword of a call, an alternative of a pattern, and a statement that only calls something.
Changed are constants, bare conditions (negated), and what an arm of a `match` returns (what the next one does).
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

PAIRS: tuple[tuple[type[Any], type[Any]], ...] = (
    *((ast.Eq, ast.NotEq), (ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Is, ast.IsNot), (ast.In, ast.NotIn)),
    *((ast.And, ast.Or), (ast.Add, ast.Sub)),
)
SWAPPED = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
NO_CODE = ("annotation", "returns", "msg")  # types, and words for whoever reads a traceback

Words = Sequence[tuple[str, ...]]  # closed sets of words: the arguments of each `Literal`


class Mutant(msgspec.Struct, frozen=True):
    """A file with one change; `text` is the whole of it."""

    path: str
    line: int
    change: str
    text: str


def mutants_of(path: str, source: str, words: Words = ()) -> Iterator[Mutant]:
    """Every mutant of a file that reads differently from the file and from the mutants before it."""
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    for owner, field, index in _places(tree):
        value = getattr(owner, field)
        node = value if index is None else value[index]
        for others in [*_by_place(owner, field, index, node), *([other] for other in _by_node(node, words))]:
            setattr(owner, field, others[0] if index is None else [*value[:index], *others, *value[index + 1 :]])
            text = ast.unparse(tree)
            setattr(owner, field, value)
            if text not in seen:
                seen.add(text)
                yield Mutant(path, _line(node), f"{_shown([node])} → {_shown(others)}", text)


def _places(owner: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Where the nodes of code stand, outermost first: owner, its field, and the index where that is a list."""
    for field, value in ast.iter_fields(owner):
        if field in NO_CODE or not _is_code(owner, field):
            continue
        nodes: list[tuple[int | None, Any]] = [*enumerate(value)] if isinstance(value, list) else [(None, value)]
        for index, node in nodes:
            if isinstance(node, ast.AST):
                yield owner, field, index
                yield from _places(node)


def _is_code(owner: ast.AST, field: str) -> bool:
    match owner, field:
        case ast.Expr(ast.Constant()), _:  # a docstring
            return False
        case ast.Subscript(ast.Name("Literal")), _:
            return False
        case ast.Compare(_, [ast.Is() | ast.IsNot()]), "comparators":  # its operator is swapped already
            return False
        case _:
            return True


def _by_place(owner: Any, field: str, index: int | None, node: Any) -> Iterator[list[ast.AST]]:
    """What may stand at a place instead of its node: nothing, its negation, or what its sibling returns."""
    match owner, field:
        case (ast.Call(), "keywords") | (ast.MatchOr(), "patterns"):
            yield []
        case (ast.If(), "test") | (ast.match_case(), "guard") | (ast.comprehension(), "ifs"):
            if not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):  # whose operators are swapped
                yield [ast.UnaryOp(ast.Not(), node)]
        case ast.Match(_, cases), "cases":
            turned = [*cases[index:], *cases[:index]]
            returning = [case.body[-1] for case in turned[1:] if isinstance(case.body[-1], ast.Return)]
            if isinstance(node.body[-1], ast.Return) and returning:
                yield [ast.match_case(node.pattern, node.guard, [*node.body[:-1], returning[0]])]


def _by_node(node: ast.AST, words: Words) -> Iterator[ast.AST]:
    """What a node of this kind may be instead, wherever it stands."""
    match node:
        case ast.Compare(left, ops, comparators):
            for n, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:n], SWAPPED[type(op)](), *ops[n + 1 :]], comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPPED[type(op)](), values)
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            yield ast.BinOp(left, SWAPPED[type(op)](), right)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Constant(value):
            yield from (ast.Constant(other) for other in _other_values(value, words))
        case ast.Expr(ast.Call(func)) if not isinstance(func, ast.Name) or func.id != "assert_never":
            yield ast.Pass()  # mypy proves that nothing arrives at an `assert_never`


def _other_values(value: object, words: Words) -> Sequence[Any]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():  # the next word of each closed set it is of
            sets = [known for known in words if value in known]
            return [known[(known.index(value) + 1) % len(known)] for known in sets] or [f"{value}_mutant"]
        case None:
            return [1]
        case _:
            return []


def _line(node: ast.AST) -> int:
    return next((found.lineno for found in ast.walk(node) if hasattr(found, "lineno")), 0)


def _shown(nodes: list[ast.AST]) -> str:
    return " ".join(" ".join(ast.unparse(node).split()) for node in nodes) or "nothing"
