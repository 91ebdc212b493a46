"""A closed set that grows makes mypy name every place that must decide about the new member, and nothing else."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT

pytestmark = pytest.mark.stack  # mypy looks through the gateway anew; one Python is enough

ERROR = re.compile(r'^(\S+):(\d+): error: Argument 1 to "assert_never" has incompatible type "(.*)"; ')

# The set, where it is defined, a member of it, and every function that decides by it.
SETS = {
    "operation kind": (
        "schemas/operations.py",
        '"reversal"]',
        {
            "books/postings.py:entries_of",
            "payments/effects.py:is_owed",
            "payments/transitions.py:_can_land_late",
            "payments/transitions.py:_postings",
            "payments/transitions.py:takes_back",
            "payments/effects.py:effect_of",
            "payments/effects.py:_after_reversal",
            "payments/history.py:_state_after",
            "payments/processor_calls.py:query_of",
            "payments/processor_calls.py:send",
            "payments/recovery.py:settle_unknown",
        },
    ),
    "operation status": (
        "schemas/operations.py",
        '"failed", "unknown"]',
        {
            "payments/transitions.py:_checks",
            "payments/transitions.py:_counts",
            "payments/effects.py:_after_authorization",
            "payments/effects.py:_after_capture",
            "payments/effects.py:_after_void",
            "payments/effects.py:_after_refund",
            "payments/recovery.py:recover_operation",
            "payments/retold.py:_is_asked_for",
        },
    ),
    "recovery point": (
        "gateway/books/payments.py",
        '"judged", "finished"]',
        {"payments/lifecycle.py:advance", "payments/recovery.py:take_payment"},
    ),
    "payment state": (
        "schemas/states.py",
        '    "failed",\n    "unknown",\n]',
        {
            "payments/changes.py:awaits_authorization",
            "payments/changes.py:capturable",
            "payments/changes.py:_rests_most_us",
            "payments/changes.py:holds_money",
            "payments/effects.py:_released",
            "payments/changes.py:_tells_status",
            "payments/changes.py:_waits",
            "books/payments.py:may_be_unasked",
            "payments/retold.py:_recovery",
        },
    ),
    "risk outcome": (
        "schemas/fraud.py",
        'Outcome = Literal["allow", "flag", "review", "block"]',
        {"payments/lifecycle.py:_judged"},
    ),
    "call result": (
        "connectors/processors/contract.py",
        '"unknown", "not_found"]',
        {"payments/transitions.py:_status", "payments/orders.py:hear", "payments/recovery.py:_release"},
    ),
    "review decision": (
        "schemas/reviews.py",
        'ReviewOutcome = Literal["approve", "reject"]',
        {
            "payments/reviews.py:_of_held",
            "payments/reviews.py:_of_unsent",
            "payments/late_blocks.py:decide_late",
        },
    ),
    "task resolution": (
        "gateway/books/tasks.py",
        'Resolution = Literal["released", "lapsed", "retry"]',
        {"payments/tasks.py:_of_open_call", "payments/tasks.py:_refund"},
    ),
    "payment method": (
        "gateway/payments/create.py",
        "payment_method: ByCard | ByPaypal",
        {"payments/create.py:method"},
    ),
}


@pytest.fixture(scope="module")
def undecided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """For each set the functions whose `assert_never` mypy refuses when every set has a new member.

    The member is named after its set, so its errors tell of which they are. There are no others.
    """
    tree = tmp_path_factory.mktemp("tree")
    for room in ("schemas", "connectors", "gateway"):
        shutil.copytree(ROOT / room, tree / room)
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name, (file, end, _) in SETS.items():
        _grow(tree / file, end, name)
    command = [sys.executable, "-m", "mypy", "--cache-dir", os.devnull, "-p", "gateway"]
    output = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout
    return _by_set(tree, [line for line in output.splitlines() if " error: " in line])


def _grow(path: Path, end: str, name: str) -> None:
    text = path.read_text()
    assert text.count(end) == 1
    grown = (
        end.replace('",\n]', f'",\n    "{name}",\n]')
        .replace('"]', f'", "{name}"]')
        .replace("ByCard |", "ByCard | None |")
    )
    path.write_text(text.replace(end, grown))


def _by_set(tree: Path, errors: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in SETS}
    for line in errors:
        error = ERROR.match(line)
        assert error, errors
        function = _function_at(tree, error[1], int(error[2]))
        for member in re.findall(r"'([^']+)'|None", error[3]):
            found[member or "payment method"].add(function)
    return found


def _function_at(tree: Path, path: str, line: int) -> str:
    """`file:function` of the innermost function around a line."""
    nodes = ast.walk(ast.parse((tree / path).read_text()))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    _, name = max((f.lineno, f.name) for f in functions if f.lineno <= line <= (f.end_lineno or 0))
    return f"{path.removeprefix('gateway/')}:{name}"


@pytest.mark.parametrize("name", SETS)
def test_mypy_names_every_place_that_must_decide_about_a_new_member(
    undecided: dict[str, set[str]], name: str
) -> None:
    _, _, deciding = SETS[name]
    assert undecided[name] == deciding
