"""Style that is not tested decays: each rule holds in every file, and finds a violation that is planted."""

from collections.abc import Callable

import pytest

from tests.tidy import rules, sources

Rule = Callable[[str, str], list[str]]

LONG_FUNCTION = "def long():\n" + "    pass\n" * rules.FUNCTION_LINES_MAX

# rule, the files it is for, and a file that breaks it
TABLE: list[tuple[Rule, Callable[[], list[str]], tuple[str, str]]] = [
    (rules.imports_run_one_way, sources.room_files, ("gateway/a.py", "from flows.fraud import features")),
    (rules.bytewax_stays_at_the_edge, sources.room_files, ("flows/fraud/features.py", "import bytewax.operators")),
    (rules.files_are_short, sources.python_files, ("a.py", "\n" * (rules.FILE_LINES_MAX + 1))),
    (rules.functions_are_short, sources.python_files, ("a.py", LONG_FUNCTION)),
    (rules.settings_read_the_environment, sources.room_files, ("gateway/a.py", "import os\nos.environ['HOME']")),
    (rules.modules_have_names_of_their_own, sources.room_files, ("gateway/secrets.py", "")),
    (rules.modules_have_names_of_their_own, sources.room_files, ("gateway/quart.py", "")),
    (rules.names_say_what_a_thing_is, sources.python_files, ("gateway/utils.py", "")),
    (rules.names_say_what_a_thing_is, sources.python_files, ("gateway/a.py", "class CardManager: pass")),
    (rules.modules_say_what_they_are, sources.python_files, ("a.py", "import os")),
    (rules.public_functions_say_what_they_do, sources.room_files, ("gateway/a.py", "def pay(): pass")),
    (rules.nothing_names_a_registry, sources.files, ("Makefile", "pip install --index-url https://x")),
    (rules.markdown_has_its_place, sources.files, ("gateway/NOTES.md", "")),
]
IDS = [f"{rule.__name__}-{path}" for rule, _, (path, _) in TABLE]


@pytest.mark.parametrize(("rule", "concerned", "planted"), TABLE, ids=IDS)
def test_rule(rule: Rule, concerned: Callable[[], list[str]], planted: tuple[str, str]) -> None:
    assert rule(*planted), "the rule misses a planted violation"
    found = [f"{path}: {complaint}" for path in concerned() for complaint in rule(path, sources.text(path))]
    assert not found, "\n".join(found)
