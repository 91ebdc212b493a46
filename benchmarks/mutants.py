"""`python -m benchmarks.mutants`: how much of the payment core its pure tests hold, by mutation.

The tests run on each mutant in a forked child that imports it instead of its file, so the working tree is never
touched. A mutant is killed where a test fails, errors or runs out of time; a survivor is something that nothing
depends on, or that no test holds. Prints JSON.
"""

import gc
import importlib
import os
import signal
import sys
import time
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, Literal, get_args, get_origin

import click
import msgspec
import pytest

from benchmarks.mutator import Mutant, Words, mutants_of

FILES = (
    "gateway/payments/transitions.py",
    "gateway/payments/effects.py",
    "gateway/payments/changes.py",
    "gateway/payments/commit.py",
    "gateway/books/postings.py",
)
PURE_TESTS = (
    "tests/gateway/payments/test_transitions.py",
    "tests/gateway/payments/test_effects.py",
    "tests/gateway/payments/test_effects_of_refunds.py",
    "tests/gateway/payments/test_effects_of_reversals.py",
    "tests/gateway/payments/test_transition_postings.py",
    "tests/gateway/payments/test_changes.py",
    "tests/gateway/payments/test_receive.py",
    "tests/gateway/payments/test_apply.py",
    "tests/gateway/payments/test_commit.py",
    "tests/gateway/payments/test_late_answers.py",
    "tests/gateway/payments/test_refund_parts.py",
    "tests/gateway/books/test_postings.py",
    "tests/gateway/payments/test_answers_in_any_order.py",
)
# Without conftest, which would import the whole gateway, and without chance, so that each run finds the same.
PYTEST = (
    *("-x", "-q", "--noconftest", "--hypothesis-profile=ci", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
CHILDREN = 2
NICE = 10
TIMEOUT_S = 120  # the tests take 4 s on an idle core; other work may go on beside


class MutationScore(msgspec.Struct, frozen=True):
    """What became of a file's mutants. A survivor is `file:line: what → what`, and the line."""

    path: str
    mutants: int
    killed: int
    share: float
    survivors: list[str]


class Importer(SourceFileLoader):
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


def score(path: str, words: Words) -> MutationScore:
    """Run the tests on every mutant of a file. Raises `ValueError` where they fail on the file itself."""
    source = Path(path).read_text()
    if not _survivors([Mutant(path, 0, "", source)]):
        raise ValueError(f"the tests fail on {path} as it is")
    mutants = list(mutants_of(path, source, words))
    lines = source.splitlines()
    survivors = [f"{m.path}:{m.line}: {m.change}\n    {lines[m.line - 1].strip()}" for m in _survivors(mutants)]
    killed = len(mutants) - len(survivors)
    return MutationScore(path, len(mutants), killed, round(killed / max(len(mutants), 1), 4), survivors)


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
    """In the child: forget the gateway, import the mutant with it, and end with the tests' verdict."""
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
        verdict = int(any(pytest.main([*PYTEST, test]) != 0 for test in own_first))
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
    scores = [score(path, words) for path in files or FILES]
    killed, made = sum(s.killed for s in scores), sum(s.mutants for s in scores)
    seconds = round(time.monotonic() - began)
    figures = {"mutants": made, "killed": killed, "share": round(killed / made, 4), "seconds": seconds}
    document = msgspec.json.format(msgspec.json.encode(figures | {"files": scores})).decode()
    click.echo(document)
    if out:
        out.write_text(document + "\n")


if __name__ == "__main__":
    main()
