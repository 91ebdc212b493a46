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

SAMPLE = 100_000  # values of a period that percentiles are measured on
VOLUME = "SELECT sum(count)::BIGINT FROM payments_by_$grain WHERE $grain >= $begin AND $grain < $until"
OF_PERIOD = re.compile(r"\$(?:since|begin|spans|step)\b")
AS_OF_NOW = "as of now"  # of what cannot show the moment that was chosen

Draw = Callable[[Table, Look], None]


class Tile(msgspec.Struct, frozen=True):
    """`name` is one over all pages. `sql` may name `$since`, `$until`, `$step`, `$zone` and others, which
    `Look.statement` tells, and `$id` where it is about one thing, which the address names.

    `question`: what it answers, as a person asks. `nothing`: what is said where there are no rows. `as_of`: it can
    show a moment in the past, since all of it comes from `payments`, or from these by time within the spans it
    looks at. `for_merchants`: a merchant's people see it too, made of their own rows as they see them.
    `sample`: of how many payments `$sampled` leaves rows at most; `sampled_of`: of which period these are, where
    it is not the one looked at. `calm`: it may be shown as it was some seconds ago, whatever the period.
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
    calm: bool = False
    sample: int = SAMPLE
    sampled_of: str = ""

    def statement(self, look: Look, id: str = "", payments: int = 0) -> str:
        """The statement as it is asked where `volume` tells of so many payments."""
        return self._seen(look).statement(self.sql, id, 1 << (payments // self.sample).bit_length())

    def volume(self, look: Look) -> str:
        """The statement that tells of how many payments a sample is taken; empty where none is."""
        if "$sampled(" not in self.sql:
            return ""
        seen = Look(self.sampled_of) if self.sampled_of else self._seen(look)
        begin, end = seen.span()
        return (Look(since=begin, until=end) if seen.at else seen).statement(VOLUME)

    def _seen(self, look: Look) -> Look:
        """Other tiles than those `as_of` do not know of a moment in the past."""
        return look if self.as_of else msgspec.structs.replace(look, at=None)

    def asks(self, look: Look, id: str = "") -> str:
        """The statement as a page asks it."""
        volume = self.volume(look)
        counted = ask(volume, calm=True).table if volume else None
        return self.statement(look, id, (counted.rows[0][0] or 0) if counted else 0)

    def asked(self, look: Look, id: str = "") -> CachedAnswer:
        """The answer to its statement, shared by all who look at the same; of a long period the last one."""
        return self.answer_to(self.asks(look, id), look)

    def answer_to(self, statement: str, look: Look) -> CachedAnswer:
        """The answer to its `statement` about what is looked at."""
        is_calm = self.calm or (look.is_calm and OF_PERIOD.search(self.sql) is not None)
        return ask(statement, calm=is_calm)


def show(tile: Tile, look: Look, id: str = "", *, answer: CachedAnswer | None = None) -> CachedAnswer:
    """Draw a tile, or what stands in its way. `id`: of what it is about; any text.

    `answer`: to its statement, where the page asked for it already.
    """
    statement = tile.asks(look, id)
    answer = answer or tile.answer_to(statement, look)
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
