"""Rows as Arrow tables, which DuckDB reads as they lie in memory (docs/decisions/0053-rows-by-arrow.md)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import duckdb
import msgspec
import pyarrow as pa
from msgspec.structs import astuple

# The rows that are given to a statement, as the Arrow table `fresh`.
FRESH = "SELECT *, now()::TIMESTAMP AS ingested_at FROM fresh"
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
    list[float]: pa.list_(pa.float64()),
}


def execute(con: duckdb.DuckDBPyConnection, statement: str, fresh: pa.Table, **parameters: object) -> None:
    """Run a statement over the table `fresh`, as which later ones find it too.

    It is registered: DuckDB finds no variable of Python any more once it may not open files.
    """
    con.register("fresh", fresh)
    con.execute(statement, parameters)


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
