"""Rows as Arrow tables, which DuckDB reads as they lie in memory (docs/decisions/0053-rows-by-arrow.md)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

import duckdb
import msgspec
import pyarrow as pa
from msgspec.structs import astuple

from connectors.warehouse import HASHED, hash_of

# The rows that are given to a statement.
FRESH = "SELECT *, now()::TIMESTAMP AS ingested_at FROM {fresh}"
# What is raised for a value that its column has no place for, such as an integer beyond 64 bits.
UNFIT = (pa.ArrowInvalid, OverflowError)

# Times have no zone in the tables, where all are UTC: Arrow converts those that have one.
TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us"),
    list[str]: pa.list_(pa.string()),
    list[float | None]: pa.list_(pa.float64()),
}


class Given:
    """What a connection knows by one name, and what stands there now: to register a table takes 0.6 ms."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html"""
        return self.table.__arrow_c_stream__(requested_schema)


_given: WeakKeyDictionary[duckdb.DuckDBPyConnection, dict[str, Given]] = WeakKeyDictionary()


def give(con: duckdb.DuckDBPyConnection, kind: str, table: pa.Table) -> str:
    """The name by which statements of a connection find `table`, until there is another of its `kind`.

    All of a kind have the same columns. DuckDB finds no variable of Python once it may not open files.
    """
    name = f"fresh_{kind}"
    known = _given.setdefault(con, {})
    if name in known:
        known[name].table = table
    else:
        known[name] = Given(table)
        con.register(name, known[name])
    return name


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> str:
    """Append rows to a table of the schema `store`; the name by which later statements find them."""
    fresh = give(con, table, rows)
    hashed = HASHED if table == "payments" else ()
    hashes = "".join(f", {hash_of(column)} AS {column}_hash" for column in hashed)
    stamped = FRESH.format(fresh=fresh)
    con.execute(f"INSERT INTO store.{table} BY NAME SELECT *{hashes} FROM ({stamped})")  # noqa: S608 - of constants
    return fresh


def listed(types: Mapping[str, str]) -> str:
    """A query for rows that come as a parameter per column, `$name`, each a list: for a few narrow rows.

    `types`: of DuckDB, by the name of the column.
    """
    return f"SELECT {', '.join(f'unnest(${name}::{kind}[]) AS {name}' for name, kind in types.items())}"


def table_of(rows: Sequence[msgspec.Struct], row_type: type[msgspec.Struct] | None = None) -> pa.Table:
    """The rows, all of one type, by the names of their fields. Raises one of `UNFIT`.

    `row_type`: theirs; it has to be given where there may be none.
    """
    types = columns(row_type or type(rows[0]))
    values = zip(*map(astuple, rows), strict=True) if rows else [()] * len(types)
    arrays = [_array(column, kind) for column, kind in zip(values, types.values(), strict=True)]
    return pa.Table.from_arrays(arrays, names=list(types))


@cache
def columns(row_type: type[msgspec.Struct]) -> dict[str, pa.DataType | None]:
    """The Arrow type of each field of a row, in their order; None for what becomes a text of JSON."""
    hints = get_type_hints(row_type)
    return {name: _type(hints[name]) for name in row_type.__struct_fields__}


def _array(values: Iterable[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is None:
        texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        return pa.array(texts, type=pa.string())
    return pa.array(values, type=kind)


def _type(hint: Any) -> pa.DataType | None:
    if get_origin(hint) is Literal:
        return TYPES[str]
    if get_origin(hint) in (UnionType, Union):
        options = [option for option in get_args(hint) if option is not NoneType]
        return _type(options[0]) if len(options) == 1 else None
    return TYPES.get(hint)
