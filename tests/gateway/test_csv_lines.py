"""CSV files as clients send them: however they come, each line for itself, and bounded."""

import csv
import io
from collections.abc import AsyncIterator

import pytest

from gateway.csv_lines import BATCH, LINE_MAX, CsvLine, batches, written
from gateway.refusals import InvalidFields

HEAD = b"name,value\r\n"


async def pieces_of(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def lines_of(content: bytes, size: int = 7) -> list[CsvLine]:
    found = [batch async for batch in batches(pieces_of(content, size), ("name", "value"))]
    assert all(len(batch) <= BATCH for batch in found)
    return [line for batch in found for line in batch]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_a_file_is_read_however_it_is_cut_and_ended(size: int, bom: bytes, end: bytes) -> None:
    content = end.join([bom + b"value,Name ,more", b"1,a,", b"", '2,"ü, ""b""",x'.encode()])
    assert await lines_of(content, size) == [
        CsvLine(2, {"value": "1", "name": "a", "more": ""}),
        CsvLine(4, {"value": "2", "name": 'ü, "b"', "more": "x"}),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"a", "malformed"),
        (b"a,b,c", "malformed"),
        (b'"a,b', "malformed"),
        (b'a"b,"c', "malformed"),
        (b'"a"b,c', "malformed"),
        (b"a,b\0", "malformed"),
        (b"a\r,b", "malformed"),
        (b"\xff,b", "not_utf8"),
        (b"a," + b"x" * LINE_MAX, "line_too_long"),
        (b"a," + b"x" * 1_000_000, "line_too_long"),
    ],
)
async def test_a_line_that_cannot_be_read_spoils_no_other(line: bytes, fault: str) -> None:
    for content in (HEAD + b"1,2\n" + line + b"\n3,4\n", HEAD + b"1,2\r\n" + line + b"\r\n3,4"):
        one, spoilt, other = await lines_of(content, 1000)
        assert (one.fields, other.fields) == ({"name": "1", "value": "2"}, {"name": "3", "value": "4"})
        assert (spoilt.number, spoilt.fields, spoilt.fault) == (3, {}, fault)
    assert (await lines_of(HEAD + line, 1000))[0].fault == fault


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"name\n1\n", b"name,value,name\n", b"1,2\n", b"\x1f\x8b\x08\0\0", "name,value".encode("utf-16")],
)
async def test_a_file_that_does_not_name_its_columns_is_none(content: bytes) -> None:
    with pytest.raises(InvalidFields):
        await lines_of(content)


@pytest.mark.parametrize("text", ["=1+1", "+49", "-1", "@x", "\t=x", "plain", 'a "b", c', "'quoted", "", "ü"])
async def test_what_is_written_is_no_formula_and_is_read_as_it_was(text: str) -> None:
    line = written(["name", text])
    (fields,) = csv.reader(io.StringIO(line))
    assert not fields[1].startswith(("=", "+", "-", "@", "\t"))
    (read,) = await lines_of(HEAD + line.encode())
    assert read.fields["value"] == text


async def test_a_field_that_is_written_breaks_no_line() -> None:
    assert written(["a\r\nb\u2028c", "d"]) == "a b c,d\r\n"
