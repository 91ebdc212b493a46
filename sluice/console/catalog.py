"""The views that whoever asks may ask, with their columns: shown by the prompt, and what it completes."""

import re
from collections.abc import Callable
from importlib.resources import files

import msgspec

from connectors.warehouse import QueryRefused, Table

Ask = Callable[[str], Table]

# The tables beside them are answers that are just made, of everybody.
COLUMNS = (
    "SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns()"
    " WHERE schema_name = 'main' AND table_name IN (SELECT view_name FROM duckdb_views() WHERE NOT internal)"
    " ORDER BY table_name, column_index"
)
MEANING = re.compile(r"""^COMMENT ON COLUMN (\w+)\."?(\w+)"? IS '((?:[^']|'')*)';\n""", re.MULTILINE)
FILES = ("views.sql", "books_views.sql")


class ViewColumn(msgspec.Struct, frozen=True):
    """A column of a view; `meaning` is empty where nobody tells."""

    name: str
    type: str
    meaning: str = ""


Catalog = dict[str, list[ViewColumn]]


def read_catalog(ask: Ask) -> Catalog:
    """The columns of each view that may be asked, by its name. Raises `WarehouseError`.

    Who does not see everything may not ask DuckDB for comments: then the meanings are those of this release.
    """
    try:
        rows = ask(COLUMNS).rows
    except QueryRefused:
        rows = _described(ask)
    catalog: Catalog = {}
    for view, name, type, meaning in rows:
        catalog.setdefault(view, []).append(ViewColumn(name, type, meaning))
    return catalog


def meanings() -> dict[tuple[str, str], str]:
    """The comment on each column of the views of this release."""
    texts = [files("flows.analytics").joinpath(name).read_text() for name in FILES]
    found = MEANING.findall("\n".join(texts))
    return {(view, column): comment.replace("''", "'") for view, column, comment in found}


def _described(ask: Ask) -> list[tuple[str, str, str, str]]:
    """View, column, type and meaning, by two statements: so many are taken in a minute, one at a time."""
    views = [str(name) for (name,) in ask("SHOW TABLES").rows]
    each = [f"SELECT '{view}', column_name, column_type FROM (DESCRIBE {view})" for view in views]  # noqa: S608
    known = meanings()
    rows = ask(" UNION ALL ".join(each)).rows if each else []
    return [(view, column, type, known.get((view, column), "")) for view, column, type in rows]
