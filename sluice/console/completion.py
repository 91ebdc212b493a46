"""What Tab completes: views behind FROM; elsewhere columns of the views named, functions, words of SQL."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.resources import files

import duckdb
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from sluice.console.catalog import Catalog, ViewColumn
from sluice.console.commands import COMMANDS

WORD = re.compile(r"[\w.]+")
NAMES_A_VIEW = re.compile(r"\b(?:FROM|JOIN|DESCRIBE|SUMMARIZE|columns|\\d)\s+\w*\Z", re.IGNORECASE)
AT_A_MOMENT = (("payments_as_of(", "payments at a moment"),)  # the only function of ours that is asked like a view


class SqlCompleter(Completer):
    """Completes the word before the cursor, whatever its case."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._words = keywords()
        self._functions = callable_functions()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Each word that begins like the one before the cursor, with what it is."""
        before = document.text_before_cursor
        word = document.get_word_before_cursor(pattern=WORD)
        begun = word.rpartition(".")[2] if not before.startswith(".") else word
        for found, meaning in self._candidates(before, document.text):
            if found.lower().startswith(begun.lower()):
                yield Completion(found, -len(begun), display_meta=meaning)

    def _candidates(self, before: str, whole: str) -> Iterable[tuple[str, str]]:
        if before.startswith(".") and " " not in before:
            return [(name, command.meaning) for name, command in COMMANDS.items()]
        if NAMES_A_VIEW.search(before):
            views = [(view, "view") for view in self._catalog]
            return views if before.startswith((".", "\\")) else [*views, *AT_A_MOMENT]
        columns = [(column.name, column.type) for column in self._columns(whole)]
        if re.search(r"\.\w*\Z", before):
            return columns
        functions = [(name, "function") for name in self._functions]
        return [*columns, *functions, *((word, "") for word in self._words)]

    def _columns(self, whole: str) -> list[ViewColumn]:
        """Those of the views that are named, each name once."""
        named = {word.lower() for word in re.findall(r"\w+", whole)}
        views = [columns for view, columns in self._catalog.items() if view in named]
        return list({column.name: column for columns in views for column in columns}.values())


def keywords() -> list[str]:
    """DuckDB's words that are not names, in capitals."""
    rows = duckdb.connect().execute(
        "SELECT upper(keyword_name) FROM duckdb_keywords() WHERE keyword_category <> 'unreserved' ORDER BY ALL"
    )
    return [str(word) for (word,) in rows.fetchall()]


def callable_functions() -> list[str]:
    """The functions that a statement may call."""
    listed = tomllib.loads(files("flows.analytics").joinpath("functions.toml").read_text())
    names = {name for names in listed["allowed"].values() for name in names.split()}
    return sorted(name for name in names if name.isidentifier())
