"""Which names a statement has, and which of them a reader may use who does not see everything.

Such a reader's own views are all there is: a name with a schema before it, a table of DuckDB's own, a function
that takes the name of a table or tells of the server is refused before DuckDB looks for it, so that no error can
tell whether there is anything behind it.
"""

import re
from collections.abc import Iterator
from typing import Any

import duckdb
import msgspec

from flows.analytics.statements import StatementRefused, Statements

PARSERS_OWN = ("", "main")  # a list in brackets is a call of main.list_value()

ALONE = "names stand alone here, without a schema or database before them"
OF_STAFF = "only staff may call it"
OF_A_FILE = re.compile(r"[./\\:*?]")  # DuckDB reads a table of such a name from there, were it not forbidden
VALUES_ALONE = "is given a value here, such as now(): no column and no query"
SHOWS = "only SHOW TABLES, DESCRIBE and SUMMARIZE of what you see"

# What an argument may be made of. DuckDB puts it into the macro as it stands, where a name would be one of what
# lies behind: a column that the reader does not see, of rows that are not theirs.
VALUES = {"BETWEEN", "CASE", "CAST", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR"}

Node = dict[str, Any]


def nodes(tree: Any) -> Iterator[Node]:
    """Every object in what DuckDB makes of a statement, or in a part of it."""
    left: list[Any] = [tree]
    while left:
        found = left.pop()
        if isinstance(found, dict):
            yield found
            left.extend(found.values())
        elif isinstance(found, list):
            left.extend(found)


class VisibleNames:
    """Checks statements of readers who do not see everything, in any number of threads."""

    def __init__(self, functions: Statements) -> None:
        """`functions`: which may be called."""
        self._functions = functions
        con = duckdb.connect(config={"threads": 1})
        rows = con.execute("SELECT view_name FROM duckdb_views() WHERE internal").fetchall()
        self._of_duckdb = {name.lower() for [name] in rows}

    def check(self, tree: bytes, seen: set[str]) -> set[str]:
        """The views of `seen` that a statement names; all of them where it lists them.

        Raises `StatementRefused` where it names anything else.
        """
        found = list(nodes(msgspec.json.decode(tree)))
        own = self._own_names(found)
        named: set[str] = set()
        for node in found:
            match node:
                case {"type": "BASE_TABLE"}:
                    named.add(_table(node, seen | own))
                case {"type": "SHOW_REF", "query": None}:
                    _check_show(node)
                    named |= seen
                case {"type": "TABLE_FUNCTION", "function": {"function_name": str(name)} as function}:
                    self._check_table_function(function, name.lower(), seen)
                    named.add(name.lower())
                case {"function_name": str(name)}:
                    self._check_function(node, name.lower())
        return named & seen

    def _own_names(self, found: list[Node]) -> set[str]:
        """What the statement itself gives a name to, by WITH."""
        keys = {
            str(each["key"]).lower()
            for node in found
            if isinstance(named := node.get("cte_map"), dict)
            for each in named["map"]
        }
        for name in keys:
            if name in self._of_duckdb or OF_A_FILE.search(name):
                raise StatementRefused(f"{name} is a name of DuckDB's own, or of a file: choose another")
        return keys

    def _check_table_function(self, function: Node, name: str, seen: set[str]) -> None:
        if function.get("schema") or function.get("catalog"):
            raise StatementRefused(ALONE)
        if name not in self._functions.tables | seen:
            raise StatementRefused(f"{name}() may not be called in FROM: {OF_STAFF}")
        if name in seen and any(node.get("class", "FUNCTION") not in VALUES for node in nodes(function)):
            raise StatementRefused(f"{name}() {VALUES_ALONE}")

    def _check_function(self, node: Node, name: str) -> None:
        if node.get("schema") not in PARSERS_OWN or node.get("catalog"):
            raise StatementRefused(ALONE)
        if name in self._functions.of_staff:
            raise StatementRefused(f"{name}() may not be called: {OF_STAFF}")


def _table(node: Node, known: set[str]) -> str:
    name = str(node["table_name"]).lower()
    if node["schema_name"] or node["catalog_name"]:
        raise StatementRefused(ALONE)
    if name not in known:
        raise StatementRefused(f"you see no view {node['table_name']}: SHOW TABLES lists yours")
    return name


def _check_show(node: Node) -> None:
    if (node["show_type"], node["table_name"], node["schema_name"], node["catalog_name"]) != (
        "SHOW_UNQUALIFIED",
        '"tables"',
        "",
        "",
    ):
        raise StatementRefused(SHOWS)
