"""`python -m benchmarks.mutants`: how much of the payment core its own tests hold, by mutation.

Each mutant is one of the core's files with a single mechanical change. The pure tests run on it in a forked child
that imports the mutant instead of the file, so the working tree is never touched. A mutant is killed where a test
fails, errors or runs out of time; a survivor is a line that nothing depends on, or that no test holds.
"""

import ast
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, Literal, get_args, get_origin

import click
import msgspec
import pytest

FILES = (
    "gateway/payments/transitions.py",
    "gateway/payments/changes.py",
    "gateway/payments/commit.py",
    "gateway/books/postings.py",
)
PURE_TESTS = (
    "tests/gateway/payments/test_transitions.py",
    "tests/gateway/payments/test_changes.py",
    "tests/gateway/payments/test_commit.py",
    "tests/gateway/books/test_postings.py",
)
# No conftest: it would import the whole gateway. Hypothesis is imported before pytest could rewrite its asserts.
PYTEST = ("-x", "-q", "--noconftest", "--hypothesis-profile=ci", "-p", "no:cacheprovider") + (
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)
CHILDREN = 2
NICE = 10
TIMEOUT_S = 60  # the tests take 2 s on an idle core

SWAPPED: dict[type[ast.AST], type[Any]] = {
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In},
    **{ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add},
}
NO_CODE = ("annotation", "returns", "msg")  # types, and words for whoever reads a traceback
Words = Sequence[tuple[str, ...]]  # closed sets of words: the arguments of each `Literal`


class Mutant(msgspec.Struct, frozen=True):
    """A file with one change; `text` is the whole of it."""

    path: str
    line: int
    change: str
    text: str


class Tally(msgspec.Struct, frozen=True):
    """What became of a file's mutants. A survivor is `file:line: what → what`, and the line."""

    path: str
    mutants: int
    killed: int
    share: float
    survivors: list[str]


# --- making mutants -----------------------------------------------------------------------------------------


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


# --- running the tests on them ------------------------------------------------------------------------------


class Importer(MetaPathFinder, SourceFileLoader):
    """Imports a mutant where its file is asked for."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(_module(mutant.path), mutant.path)
        self._text = mutant.text

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Ours for the mutant alone."""
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        """Compiled from the text, past the cache."""
        return compile(self._text, self.path, "exec")


def tally(path: str, words: Words) -> Tally:
    """Run the tests on every mutant of a file. Raises `ValueError` where they fail on the file itself."""
    source = Path(path).read_text()
    if not _survivors([Mutant(path, 0, "", source)]):
        raise ValueError(f"the tests fail on {path} as it is")
    mutants = list(mutants_of(path, source, words))
    lines = source.splitlines()
    survivors = [f"{m.path}:{m.line}: {m.change}\n    {lines[m.line - 1].strip()}" for m in _survivors(mutants)]
    killed = len(mutants) - len(survivors)
    return Tally(path, len(mutants), killed, round(killed / max(len(mutants), 1), 4), survivors)


def _survivors(mutants: list[Mutant]) -> list[Mutant]:
    """The mutants that pass the tests, each tried in a child of its own, `CHILDREN` at a time."""
    waiting, running, passed = mutants[::-1], dict[int, Mutant](), list[Mutant]()
    while waiting or running:
        while waiting and len(running) < CHILDREN:
            mutant = waiting.pop()
            running[os.fork() or _test(mutant)] = mutant
        child, status = os.wait()
        if status == 0:
            passed.append(running[child])
        del running[child]
    return sorted(passed, key=lambda mutant: mutant.line)


def _test(mutant: Mutant) -> int:
    """In the child: forget what was imported of the gateway, import the mutant, and end with pytest's verdict."""
    verdict = 1
    try:
        signal.alarm(TIMEOUT_S)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        for name in [name for name in sys.modules if name.split(".")[0] in ("gateway", "tests")]:
            del sys.modules[name]
        sys.meta_path.insert(0, Importer(mutant))
        own_first = sorted(PURE_TESTS, key=lambda test: Path(mutant.path).stem not in test)
        verdict = int(pytest.main([*PYTEST, *own_first]))
    finally:
        os._exit(verdict)


def _module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def _closed_sets() -> list[tuple[str, ...]]:
    """The words of every `Literal` that has a name in the rooms the core is written in."""
    modules = [module for name, module in sys.modules.items() if name.startswith(("gateway.", "schemas."))]
    named = [value for module in modules for value in vars(module).values() if get_origin(value) is Literal]
    return list(dict.fromkeys(get_args(literal) for literal in named))


@click.command()
@click.argument("files", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="Write the document here as well.")
def main(files: tuple[str, ...], out: Path | None) -> None:
    """Mutate FILES (the payment core) and print what survives its tests; takes some minutes."""
    began = time.monotonic()
    os.nice(NICE)
    for path in FILES:  # before the children are forked, so that none imports what others have to
        importlib.import_module(_module(path))
    importlib.import_module("hypothesis.strategies")
    words = _closed_sets()
    gc.freeze()
    tallies = [tally(path, words) for path in files or FILES]
    figures = {"seconds": round(time.monotonic() - began), "files": tallies}
    document = msgspec.json.format(msgspec.json.encode(figures)).decode()
    click.echo(document)
    if out:
        out.write_text(document + "\n")


if __name__ == "__main__":
    main()
