"""A table one can read: HTML, for up to some hundred rows that are looked at and not sorted."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

import msgspec

from dashboards.page import html

Align = Literal["left", "right"]
# What a word stands for, by colour: a payment's `status`, or the outcome of its fraud check.
Tone = Literal["", "succeeded", "pending", "failed", "allow", "flag", "review", "block"]


class Column(msgspec.Struct, frozen=True):
    """Numbers and amounts stand `right`. What is `wide` is left out on a phone; an `id` is set smaller."""

    title: str
    align: Align = "left"
    wide: bool = False
    id: bool = False


class Cell(msgspec.Struct, frozen=True):
    """A text with its colour, a smaller `note` behind it, and where it leads: an address relative to the page."""

    text: str
    note: str = ""
    tone: Tone = ""
    href: str = ""


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], about: str) -> None:
    """Show `rows`; a bare text is a cell of its own. `about` is what screen readers call the table."""
    cells = [[Cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    html("table.html", columns=columns, rows=cells, about=about)


def payment_href(payment_id: str) -> str:
    """The address of a payment's page, relative to any page."""
    return f"payments?payment={quote(payment_id, safe='')}"


def linked(path: str, id: str) -> str:
    """The address of the page about one thing, over the longest period, for its history is what is asked for."""
    return f"{path}?id={quote(id, safe='')}&period=90d"
