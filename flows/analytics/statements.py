"""Which statements may be asked: those that read the warehouse, by what DuckDB itself makes of them.

DuckDB serializes a SELECT (FROM, VALUES, SHOW, DESCRIBE, SUMMARIZE are some) and nothing else, and every function
in it has its name in that text. All but operators must be allowed in `functions.toml`, wherever they stand.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import duckdb

LENGTH_MAX = 64 * 1024  # characters
# Names, numbers, texts and signs. Each becomes up to 150 bytes of what DuckDB serializes.
PIECES_MAX = 8_000

ONE_SELECT = (
    "only one SELECT, FROM, WITH, VALUES, PIVOT, SHOW, DESCRIBE, SUMMARIZE or EXPLAIN of one at a time, over the"
    " tables and views of the warehouse"
)
TOO_LONG = f"a statement has {LENGTH_MAX // 1024} KiB and {PIECES_MAX} names, numbers, texts and signs at most"

# DuckDB takes spaces of other scripts for blanks before it cuts a statement into tokens, and its tokenizer does
# not: they may see other ends of what stands in dollars.
UNCLEAR = "a PIVOT without IN may have $ or letters beyond ASCII, not both"

# Quotes are escaped inside a text of JSON: what looks like a key is one.
FUNCTION = re.compile(r'[{,]"function_name":"((?:[^"\\]|\\.)*)"')
TABLE = re.compile(r'[{,]"table_name":"((?:[^"\\]|\\.)*)"')
ANSWERS = re.compile(r'[{,]"(?:catalog_name|schema_name)":"answers"', re.IGNORECASE)
SERIALIZED = re.compile(r'\{"error":false,"statements":\[\{"node":')
# The views of DuckDB's own that call functions which nobody may name.
HIDDEN = re.compile(
    r"(?:duckdb_(?!columns|constraints|indexes|schemas|tables|types|views)|pg_settings|pragma_)\w*"
)

# A comment within a comment is left alone: DuckDB would see another end of it.
GAP = r"(?:\s|--[^\r\n]*[\r\n]|/\*(?:(?!/\*|\*/)[\s\S])*\*/)*"
EXPLAIN = re.compile(
    rf"{GAP}EXPLAIN\b{GAP}(?:ANALYZE\b{GAP})?(?:\(\s*(?:ANALYZE|FORMAT)\b[\w\s,]*\))?", re.IGNORECASE
)
BEGINS_PIVOT = re.compile(rf"{GAP}(?:PIVOT|PIVOT_WIDER|FROM|WITH|SELECT|DESC|DESCRIBE|SUMMARIZE)\b", re.IGNORECASE)
WORD = re.compile(rb"\w+|[(),;]")
ENDS_COLUMN = {"USING", "GROUP", "ORDER", "LIMIT", ",", ")", ";"}


class StatementRefused(Exception):
    """A statement may not be asked; the message says why in one line."""


class Statements:
    """Checks statements, in any number of threads.

    Functions by name: `allowed` (of these `of_staff` by staff alone, `tables` by everybody in FROM), and `refused`
    with the reason.
    """

    def __init__(self) -> None:
        listed = tomllib.loads(Path(__file__).with_name("functions.toml").read_text())
        self.of_staff = {name.lower() for names in listed["staff"].values() for name in names.split()}
        self.tables = set(listed["allowed"]["tables"].split())
        for_all = {name.lower() for names in listed["allowed"].values() for name in names.split()}
        self.allowed = for_all | self.of_staff
        self.refused = {n.lower(): why for why, names in listed["refused"].items() for n in names.split()}
        self._con = duckdb.connect(config={"threads": 1})  # it has no data: it only reads what a statement says
        self._con.execute("LOAD json")

    def check(self, statement: str) -> str:
        """What DuckDB makes of a statement that may be asked, as JSON. Raises `StatementRefused`."""
        if len(statement) > LENGTH_MAX or len(duckdb.tokenize(statement)) > PIECES_MAX:
            raise StatementRefused(TOO_LONG)
        tree = self._tree(statement)
        for name in FUNCTION.findall(tree):
            self._check_function(name.lower())
        if ANSWERS.search(tree):
            raise StatementRefused("answers are their readers' own")
        for name in TABLE.findall(tree):
            if HIDDEN.fullmatch(name.lower()):
                raise StatementRefused(f"{name} is about the server, not about payments")
        return tree

    def _check_function(self, name: str) -> None:
        if name in self.refused:
            raise StatementRefused(f"{name}() may not be called: {self.refused[name]}")
        if name not in self.allowed and re.match(r"\w", name):  # others are operators
            raise StatementRefused(f"there is no function {name}() here")

    def _tree(self, statement: str) -> str:
        """What DuckDB makes of the statement, as JSON. Raises `StatementRefused` where it does not only read."""
        cursor = self._con.cursor()
        match _kinds(cursor, statement):
            case ["SELECT"]:
                tree = _serialized(cursor, statement)
            case ["EXPLAIN"]:
                tree = _serialized(cursor, _explained(statement))
            case [*types, "SELECT"] if set(types) == {"CREATE"} and BEGINS_PIVOT.match(statement):
                tree = _serialized(cursor, with_columns(statement))  # the types are those of the columns
            case _:
                tree = ""
        if not SERIALIZED.match(tree):
            raise StatementRefused(ONE_SELECT)
        return tree


def with_columns(statement: str) -> str:
    """A statement whose every PIVOT names its columns: with `IN (0)` where it leaves them to the data.

    So DuckDB serializes it as one SELECT. It is only looked at, never run: without `IN (0)` it calls nothing else.
    It stands before whole tokens of DuckDB's own: put into one, such as the end of a text in dollars, it would
    make a text of what is run. Raises `StatementRefused` where those are not certain.
    """
    if "$" in statement and not statement.isascii():
        raise StatementRefused(UNCLEAR)
    text = statement.encode()  # DuckDB counts bytes
    edges = [0, *_gaps(_words(text, duckdb.tokenize(statement))), len(text)]
    return b" IN (0) ".join(text[begin:end] for begin, end in pairwise(edges)).decode()


def _words(text: bytes, tokens: list[tuple[int, duckdb.token_type]]) -> Iterator[tuple[int, str]]:
    """Where each word and sign of a PIVOT's grammar begins, and the word in capitals."""
    for (begin, kind), (end, _) in pairwise([*tokens, (len(text), duckdb.token_type.operator)]):
        word = WORD.match(text, begin, end)
        if word and kind in (duckdb.token_type.keyword, duckdb.token_type.operator):
            yield begin, word[0].decode().upper()
    yield len(text), ";"


def _gaps(words: Iterable[tuple[int, str]]) -> list[int]:
    """Where `ON column` of a PIVOT ends without an `IN`."""
    gaps: list[int] = []
    pivots: list[tuple[int, bool]] = []  # the depth of each open PIVOT, and whether a column of it has no IN yet
    depth = 0
    for begin, word in words:
        if pivots and pivots[-1][0] == depth:
            if word in ("ON", "IN"):
                pivots[-1] = depth, word == "ON"
            elif word in ENDS_COLUMN:
                if pivots.pop()[1]:
                    gaps.append(begin)
                if word == ",":
                    pivots.append((depth, True))
        depth += (word == "(") - (word == ")")
        if word in ("PIVOT", "PIVOT_WIDER"):
            pivots.append((depth, False))
    return gaps


def _explained(statement: str) -> str:
    begin = EXPLAIN.match(statement)
    return statement[begin.end() :] if begin else statement


def _kinds(cursor: duckdb.DuckDBPyConnection, statement: str) -> list[str]:
    """The kinds of the statements in it. Raises `StatementRefused` where DuckDB cannot read it."""
    try:
        return [found.type.name for found in cursor.extract_statements(statement)]
    except duckdb.Error as error:
        raise StatementRefused(str(error).partition("\n")[0]) from None


def _serialized(cursor: duckdb.DuckDBPyConnection, statement: str) -> str:
    [(tree,)] = cursor.execute("SELECT json_serialize_sql($1::VARCHAR)", [statement]).fetchall()
    return str(tree)
