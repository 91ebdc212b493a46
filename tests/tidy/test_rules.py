"""Style that is not tested decays: each rule holds in every file, and finds a violation that is planted."""

import ast
from collections.abc import Callable

import pytest

from tests.tidy import rules, sources

Rule = Callable[[str, str], list[str]]

SHORT, SHORT_SHARE_MAX = 60, 0.2

LONG_FUNCTION = "def long():\n" + "    pass\n" * rules.FUNCTION_LINES_MAX

# rule, the files it is for, and a file that breaks it
TABLE: list[tuple[Rule, Callable[[], list[str]], tuple[str, str]]] = [
    (rules.imports_run_one_way, sources.room_files, ("gateway/a.py", "from flows.fraud import features")),
    (
        rules.the_gateway_imports_down_its_layers,
        sources.room_files,
        ("gateway/books/a.py", "from gateway.identity import tokens"),
    ),
    (
        rules.the_gateway_imports_down_its_layers,
        sources.room_files,
        ("gateway/vault/a.py", "from gateway.settings import GatewaySettings"),
    ),
    (rules.bytewax_stays_at_the_edge, sources.room_files, ("flows/fraud/features.py", "import bytewax.operators")),
    (rules.files_are_short, sources.python_files, ("a.py", "\n" * (rules.FILE_LINES_MAX + 1))),
    (rules.functions_are_short, sources.python_files, ("a.py", LONG_FUNCTION)),
    (rules.settings_read_the_environment, sources.room_files, ("gateway/a.py", "import os\nos.environ['HOME']")),
    (rules.one_module_reads_the_wall_clock, sources.room_files, ("gateway/a.py", "import time\ntime.time()")),
    (rules.one_module_reads_the_wall_clock, sources.room_files, ("flows/a.py", "from time import time")),
    (rules.one_module_reads_the_wall_clock, sources.room_files, ("sluice/a.py", "datetime.now(UTC)")),
    (rules.patterns_end_where_the_text_does, sources.room_files, ("a.py", r"re.compile(r'[$]\$^a+$')")),
    (rules.patterns_end_where_the_text_does, sources.room_files, ("a.py", "msgspec.Meta(pattern='^[A-Z]{3}$')")),
    (rules.patterns_end_where_the_text_does, sources.room_files, ("a.py", "re.search(rb'(a$|b)', text)")),
    (rules.modules_have_names_of_their_own, sources.room_files, ("gateway/secrets.py", "")),
    (rules.modules_have_names_of_their_own, sources.room_files, ("gateway/quart.py", "")),
    (rules.names_say_what_a_thing_is, sources.python_files, ("gateway/utils.py", "")),
    (rules.names_say_what_a_thing_is, sources.python_files, ("gateway/a.py", "class CardManager: pass")),
    (rules.modules_say_what_they_are, sources.python_files, ("a.py", "import os")),
    (rules.public_functions_say_what_they_do, sources.room_files, ("gateway/a.py", "def pay(): pass")),
    (rules.nothing_names_a_registry, sources.files, ("Makefile", "pip install --index-url https://x")),
    (rules.pages_exist, sources.files, ("gateway/a.py", "# see docs/nowhere.md")),
    (rules.pages_exist, sources.files, ("gateway/a.py", "# as in the design §3")),
    (
        rules.log_events_are_noun_and_verb,
        sources.room_files,
        ("gateway/a.py", 'log.info("it failed")'),
    ),
    (rules.log_events_are_noun_and_verb, sources.room_files, ("gateway/a.py", 'log.info(f"{kind} failed")')),
    (rules.log_events_are_noun_and_verb, sources.room_files, ("gateway/a.py", 'event: str = "request"')),
    (
        rules.the_gateway_imports_down_its_layers,
        sources.room_files,
        ("gateway/books/a.py", "from gateway import runtime"),
    ),
    (rules.markdown_has_its_place, sources.files, ("gateway/NOTES.md", "")),
]
IDS = [f"{rule.__name__}-{path}" for rule, _, (path, _) in TABLE]


@pytest.mark.parametrize(("rule", "planted"), [(rule, planted) for rule, _, planted in TABLE], ids=IDS)
def test_a_planted_violation_is_found(rule: Rule, planted: tuple[str, str]) -> None:
    assert rule(*planted)


@pytest.mark.parametrize(
    ("rule", "concerned"),
    {rule: concerned for rule, concerned, _ in TABLE}.items(),
    ids=lambda value: value.__name__,
)
def test_every_file_keeps_the_rule(rule: Rule, concerned: Callable[[], list[str]]) -> None:
    found = [f"{path}: {complaint}" for path in concerned() for complaint in rule(path, sources.text(path))]
    assert not found, "\n".join(found)


def test_a_class_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for path in sources.room_files():
        for node in ast.walk(ast.parse(sources.text(path))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(path)
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_few_files_hold_half_a_thought() -> None:
    """A file under 60 lines has to have a reason; two lines of `__init__.py` do not count."""
    lines = [sources.text(path).count("\n") for path in sources.room_files() if not path.endswith("__init__.py")]
    assert sum(length < SHORT for length in lines) / len(lines) < SHORT_SHARE_MAX
