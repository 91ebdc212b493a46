"""A tile: one question, asked of the warehouse, and how its answer is drawn.

Whoever looks at it sees how old the answer is, can open the statement in the SQL page, and take the rows as CSV.
"""

import csv
import io
import re
from collections.abc import Callable
from functools import partial

import msgspec
import streamlit as st

from connectors.warehouse import Table
from dashboards import formats
from dashboards.asking import ask
from dashboards.calm_answers import CachedAnswer
from dashboards.look import Look
from dashboards.page import card, html
from dashboards.page_entry import link

OF_PERIOD = re.compile(r"\$(?:since|begin|spans|step)\b")
AS_OF_NOW = "as of now"  # of what cannot show the moment that was chosen

Draw = Callable[[Table, Look], None]


class Tile(msgspec.Struct, frozen=True):
    """`name` is one over all pages. `sql` may name `$since`, `$until`, `$step`, `$zone` and others, which
    `Look.statement` tells, and `$id` where it is about one thing, which the address names.

    `question`: what it answers, as a person asks. `nothing`: what is said where there are no rows. `as_of`: it can
    show a moment in the past, since all of it comes from `payments`, or from these by time within the spans it
    looks at. `for_merchants`: a merchant's people see it too, made of their own rows as they see them.
    """

    name: str
    title: str
    question: str
    sql: str
    draw: Draw
    note: str = ""
    nothing: str = "Nothing in this time."
    as_of: bool = False
    for_merchants: bool = False
    fills: bool = True

    def statement(self, look: Look, id: str = "") -> str:
        """The statement as it is asked. Other tiles than those `as_of` do not know of a moment in the past."""
        return (look if self.as_of else msgspec.structs.replace(look, at=None)).statement(self.sql, id)

    def asked(self, look: Look, id: str = "") -> CachedAnswer:
        """The answer to its statement, shared by all who look at the same; of a long period the last one."""
        return ask(self.statement(look, id), calm=look.is_calm and OF_PERIOD.search(self.sql) is not None)


def show(tile: Tile, look: Look, id: str = "", *, answer: CachedAnswer | None = None) -> CachedAnswer:
    """Draw a tile, or what stands in its way. `id`: of what it is about; any text.

    `answer`: to its statement, where the page asked for it already.
    """
    statement = tile.statement(look, id)
    answer = answer or tile.asked(look, id)
    note = AS_OF_NOW if look.at and not tile.as_of else tile.note
    with card(tile.name, tile.title, note, fills=tile.fills):
        if answer.table is None:
            html("trouble.html", words=answer.trouble or "The warehouse does not answer.")
        elif not answer.table.rows:
            html("nothing.html", words=tile.nothing)
        else:
            tile.draw(answer.table, look)
        _foot(tile, statement, answer)
    return answer


def _foot(tile: Tile, statement: str, answer: CachedAnswer) -> None:
    with st.container(key=f"foot-{tile.name}", horizontal=True, vertical_alignment="center", gap="small"):
        age, has_answer = formats.age(answer.age_s), answer.table is not None
        html("foot.html", question=tile.question, age=age, trouble=answer.trouble, has_answer=has_answer)
        link("SQL", "sql", q=statement)
        if answer.table and answer.table.rows:
            rows = partial(as_csv, answer.table)
            name, key = f"{tile.name}.csv", f"csv-{tile.name}"
            st.download_button("CSV", rows, name, "text/csv", key=key, type="tertiary", on_click="ignore")


def as_csv(table: Table) -> bytes:
    """The table as RFC 4180 has it, in UTF-8. A text that a spreadsheet would run as a formula gets an apostrophe.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(_harmless, table.columns))
    writer.writerows([_harmless(value) for value in row] for row in table.rows)
    return text.getvalue().encode()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r\n") else value
