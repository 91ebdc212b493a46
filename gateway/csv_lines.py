"""CSV files (RFC 4180) as clients send them, a line at a time: with no more of them in memory than a batch.

A line is a record: no field holds a line break, so a quote that is never closed spoils its own line alone.
"""

import csv
from collections.abc import AsyncIterator, Sequence
from typing import Literal, NamedTuple

from gateway.refusals import FieldError, InvalidFields

CSV = "text/csv"
LINE_MAX = 4 * 1024  # bytes
BATCH = 64  # lines
REFUSED_SHOWN = 1_000  # lines that the answer to a file names
BOM = b"\xef\xbb\xbf"
# A spreadsheet takes what begins so for a formula (OWASP, CSV injection); an apostrophe makes a text of it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
MASK = "'"

LineFault = Literal["line_too_long", "not_utf8", "malformed"]


class CsvLine(NamedTuple):
    """A line of a file: its number from 1, and its fields by the names of the first line, or why it has none."""

    number: int
    fields: dict[str, str]
    fault: LineFault | None = None


async def batches(pieces: AsyncIterator[bytes], required: Sequence[str]) -> AsyncIterator[list[CsvLine]]:
    """The lines after the first one, which names the columns, some at a time; empty lines are none.

    Columns beyond those `required` come along. Raises `InvalidFields` where a required column is missing.
    """
    names: list[str] | None = None
    batch: list[CsvLine] = []
    number = 0
    async for line in _lines(pieces):
        number += 1
        if names is None:
            names = _names(line, required)
        elif line or line is None:
            batch.append(_read(number, line, names))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if names is None:
        raise _no_columns(required)
    if batch:
        yield batch


def written(fields: Sequence[str]) -> str:
    """A line of a file for spreadsheets: no field is a formula, none holds a line break."""
    return ",".join(map(_quoted, fields)) + "\r\n"


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """Lines without their ends; None for one that is too long, of which nothing is kept."""
    rest, is_skipping, is_first = b"", False, True
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield None if is_skipping or len(line) > LINE_MAX else _stripped(line, is_first)
            is_skipping = is_first = False
        if len(rest) > LINE_MAX:
            rest, is_skipping = b"", True
    if is_skipping or rest:
        yield None if is_skipping else _stripped(rest, is_first)


def _stripped(line: bytes, is_first: bool) -> bytes:
    return line.removeprefix(BOM if is_first else b"").removesuffix(b"\r")


def _names(line: bytes | None, required: Sequence[str]) -> list[str]:
    read = _read(1, line, None)
    names = [name.strip().lower() for name in read.fields.values()]
    if read.fault or len(set(names)) != len(names) or not set(required) <= set(names):
        raise _no_columns(required)
    return names


def _no_columns(required: Sequence[str]) -> InvalidFields:
    return InvalidFields(FieldError("$", f"The first line of a CSV names its columns: {', '.join(required)}."))


def _read(number: int, line: bytes | None, names: Sequence[str] | None) -> CsvLine:
    if line is None:
        return CsvLine(number, {}, "line_too_long")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return CsvLine(number, {}, "not_utf8")
    try:
        fields = next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except (csv.Error, StopIteration):
        return CsvLine(number, {}, "malformed")
    if names is None:
        names = [str(place) for place in range(len(fields))]
    if "\0" in text or "\r" in text or len(fields) != len(names):
        return CsvLine(number, {}, "malformed")
    return CsvLine(number, dict(zip(names, map(_plain, fields), strict=True)))


def _plain(field: str) -> str:
    """A field without the apostrophe that `written` put before what a spreadsheet would take for a formula."""
    return field[1:] if field.startswith(MASK) and field[1:].startswith(FORMULA) else field


def _quoted(field: str) -> str:
    text = " ".join(field.splitlines())
    if text.startswith(FORMULA):
        text = MASK + text
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text
