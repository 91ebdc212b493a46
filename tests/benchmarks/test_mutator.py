"""The mutator makes every mutant of a text that it promises, each once, and none of what is no code."""

import ast

from benchmarks.mutator import mutants_of

SOURCE = '''"""A docstring."""
from typing import Literal

Kind = Literal["sale", "void"]


def due(kind: "Kind", amount: int = 0, *, late: bool = False) -> "int | None":
    """Another."""
    assert amount >= 0, "a message"
    log(kind)
    if late and kind is not None:
        return None
    match kind:
        case "sale" | "void" if late:
            return -amount
        case "void":
            return pay(amount + fee, to=1) if not late else amount
        case _:
            assert_never(kind)
'''
CHANGES = {
    (7, "0 → 1"),
    (7, "0 → -1"),
    (7, "False → True"),
    (9, "amount >= 0 → amount > 0"),
    (9, "0 → 1"),
    (9, "0 → -1"),
    (10, "log(kind) → pass"),
    (11, "late and kind is not None → late or kind is not None"),
    (11, "kind is not None → kind is None"),
    (12, "None → 1"),
    (14, "'sale' → nothing"),
    (14, "'sale' → 'void'"),
    (14, "'void' → nothing"),
    (14, "'void' → 'sale'"),
    (14, "late → not late"),
    (15, "-amount → amount"),
    (16, "'void' → 'sale'"),
    (17, "pay(amount + fee, to=1) if not late else amount → amount if not late else pay(amount + fee, to=1)"),
    (17, "not late → late"),
    (17, "amount + fee → amount - fee"),
    (17, "to=1 → nothing"),
    (17, "1 → 2"),
    (17, "1 → 0"),
}


def test_every_mutant_is_made_once_and_nothing_else() -> None:
    mutants = list(mutants_of("due.py", SOURCE, [("sale", "void")]))
    arms = [mutant for mutant in mutants if mutant.change.startswith("case ")]
    assert {(mutant.line, mutant.change) for mutant in mutants if mutant not in arms} == CHANGES
    assert [arm.line for arm in arms] == [14, 16]  # each returns what the other does
    assert len({mutant.text for mutant in mutants}) == len(mutants) == len(CHANGES) + 2


def test_a_mutant_is_the_whole_file_with_one_change() -> None:
    (mutant,) = (m for m in mutants_of("due.py", SOURCE) if m.change == "log(kind) → pass")
    assert mutant.text == ast.unparse(ast.parse(SOURCE.replace("log(kind)", "pass")))


def test_a_word_of_no_closed_set_becomes_another() -> None:
    assert [mutant.change for mutant in mutants_of("a.py", "x = 'word'")] == ["'word' → 'word_mutant'"]
