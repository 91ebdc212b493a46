"""The views that whoever asks may ask, with their columns: shown by the prompt, and what it completes."""

import re
from collections.abc import Callable
from importlib.resources import files

import msgspec

from connectors.warehouse import QueryFailed, QueryRefused, Table

Ask = Callable[[str], Table]

COLUMNS = (
    "SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns()"
    " WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
)
VIEW = re.compile(r"^CREATE (?:OR REPLACE )?VIEW (?:main\.)?(\w+)", re.MULTILINE)


class ViewColumn(msgspec.Struct, frozen=True):
    """A column of a view; `meaning` is empty where nobody tells."""

    name: str
    type: str
    meaning: str = ""


Catalog = dict[str, list[ViewColumn]]


def read_catalog(ask: Ask) -> Catalog:
    """The columns of each view that may be asked, by its name. Raises `WarehouseError`.

    Who does not see everything may not ask DuckDB what there is: then each view that we know is described.
    """
    try:
        rows = ask(COLUMNS).rows
    except QueryRefused:
        return {name: columns for name in known_views() if (columns := _described(ask, name))}
    catalog: Catalog = {}
    for view, name, type, meaning in rows:
        catalog.setdefault(view, []).append(ViewColumn(name, type, meaning))
    return catalog


def known_views() -> list[str]:
    """The names of the views of this release."""
    return sorted(VIEW.findall(files("flows.analytics").joinpath("views.sql").read_text()))


def _described(ask: Ask, view: str) -> list[ViewColumn]:
    try:
        return [ViewColumn(str(row[0]), str(row[1])) for row in ask(f"DESCRIBE {view}").rows]
    except (QueryFailed, QueryRefused):
        return []
