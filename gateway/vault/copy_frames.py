"""What the vault that serves sends to the one that stands by, in the form of `frames`, each answered by `Copied`.

A frame holds rows as the files hold them: sealed cards and wrapped keys, never a number.
"""

from typing import Annotated, Any, Literal

import msgspec

from gateway.vault.frames import Challenge, Done, Frame, Refused

ROWS_MAX = 100  # of one frame, which is some 50 KB then
LINES_BYTES = 64 * 1024

CopiedFile = Literal["cards", "persons"]


class RowChange(msgspec.Struct, frozen=True, array_like=True):
    """A row as it is now, by its table and primary key; `row` is None where there is none any more."""

    table: str
    key: int | str
    row: list[Any] | None  # int, str, bytes or None each


class CopyBegun(Frame, frozen=True, tag="copy_begun"):
    """A whole copy follows. What is there goes: all rows, and the audit's entries after number `audit_n`."""

    store_id: str
    audit_n: int


class CopyRows(Frame, frozen=True, tag="copy_rows"):
    """Rows of a file, in the order in which they were written."""

    file: CopiedFile
    rows: Annotated[list[RowChange], msgspec.Meta(max_length=ROWS_MAX)]


class CopyWiped(Frame, frozen=True, tag="copy_wiped"):
    """What was deleted from a file goes from its write-ahead log as well."""

    file: CopiedFile


class CopyLines(Frame, frozen=True, tag="copy_lines"):
    """Whole lines of the audit, which follow the last one."""

    lines: bytes


class CopyWhole(Frame, frozen=True, tag="copy_whole"):
    """The copy is whole: as of `term`, the witness may name its vault."""

    term: int


class CopyBeat(Frame, frozen=True, tag="copy_beat"):
    """The vault that serves is there."""


CopyFrame = CopyBegun | CopyRows | CopyWiped | CopyLines | CopyWhole | CopyBeat

COPIES: msgspec.msgpack.Decoder[CopyFrame | Challenge | Done | Refused] = msgspec.msgpack.Decoder(
    CopyFrame | Challenge | Done | Refused
)
