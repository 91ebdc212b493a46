"""Tables are made from the structs that hold their rows: one list of columns, in the struct.

Times are integer microseconds UTC, JSON is text, money is integer minor units: no driver converts anything, so the
same SQL text runs on SQLite and PostgreSQL.
"""

import types
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, LargeBinary, MetaData, Table, Text

# Alembic needs names of constraints on SQLite.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# By its bytes, as on SQLite: ids are compared and paged, whatever the database's own order of texts is.
Bytewise = Text().with_variant(Text(collation="C"), "postgresql")
Serial = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite

ABOVE_ALL_IDS = "\x7f"  # by their bytes
FOR_EVER = 2**63 - 1  # the last microsecond of a column

# Column types of struct fields. A plain `int` has none, so that nobody stores money in 32 bits by accident.
Micros = Annotated[int, BigInteger]  # microseconds since 1970 UTC
Minor = Annotated[int, BigInteger]  # minor units of a currency
Int32 = Annotated[int, Integer]
Int64 = Annotated[int, BigInteger]
SerialId = Annotated[int, Serial]

S = TypeVar("S", bound=msgspec.Struct)

COLUMN_TYPES: dict[Any, Any] = {str: Bytewise, bytes: LargeBinary, float: Float, bool: Boolean}


def table_of(
    name: str,
    row: type[msgspec.Struct],
    *constraints: Any,
    primary_key: tuple[str, ...] = ("id",),
    **options: Any,
) -> Table:
    """The table whose rows `row` holds; `X | None` is a nullable column. Raises `TypeError` for a bare `int`."""
    hints = get_type_hints(row, include_extras=True)
    columns = [_column(field, hints[field], field in primary_key) for field in row.__struct_fields__]
    return Table(name, metadata, *columns, *constraints, **options)


def struct_of(kind: type[S], row: Iterable[Any]) -> S:
    """The struct in a row of its table's columns. Raises `ValueError` for a row of more or fewer."""
    values = dict(zip(kind.__struct_fields__, row, strict=True))
    for name in _booleans(kind):  # SQLite has integers for them
        values[name] = bool(values[name])
    return kind(**values)


@cache
def _booleans(kind: type[msgspec.Struct]) -> list[str]:
    return [name for name, hint in get_type_hints(kind).items() if hint is bool]


def _column(name: str, hint: Any, primary_key: bool) -> Column[Any]:
    arguments = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    nullable = type(None) in arguments
    (kind,) = [argument for argument in arguments if argument is not type(None)]
    return Column(name, _column_type(kind), nullable=nullable and not primary_key, primary_key=primary_key)


def _column_type(kind: Any) -> Any:
    if get_origin(kind) is Annotated:
        return get_args(kind)[1]
    if get_origin(kind) is Literal:
        return Bytewise
    if kind not in COLUMN_TYPES:
        raise TypeError(f"no column type for {kind}")
    return COLUMN_TYPES[kind]
