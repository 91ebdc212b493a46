"""SQL: a person asks the warehouse what they like, in their own name, and gets a table, a chart or a file."""

import re

import streamlit as st

from connectors.warehouse import ROWS_MAX
from dashboards import acting, door, formats, sql_aside, sql_chart
from dashboards.page import card, html
from dashboards.page_entry import STAFF_AND_MERCHANTS, PageEntry, put_address
from dashboards.session_checks import Person
from dashboards.sql_answer import ROWS_SHOWN, KeptAnswer
from dashboards.sql_aside import TEXT
from dashboards.sql_asking import AT_ONCE_WAITED_S, AskedStatement, NoAnswer, asking, mistake

RUNNING, OUTCOME, FIRST_ROW, SEEN = "sql-running", "sql-outcome", "sql-first-row", "sql-seen"
LOOK_AGAIN_S = 0.5
IN_ADDRESS_MAX = 2_000  # characters of a statement: of more, proxies make nothing
EXAMPLE = "SELECT state, count(*) AS payments FROM payments GROUP BY ALL ORDER BY ALL"
LIMITS = (
    f"One statement at a time, which only reads; by default it has 10 s, and you have 120 a minute. An answer has "
    f"{ROWS_MAX:,} rows and 128 MB at most. Times are UTC. Ctrl+Enter runs it."
)
GIVEN_UP = (
    "You do not wait for it any more. The warehouse works on until it is done or its 10 s are over, and takes no "
    "other statement of yours before."
)
MONEY = "Amounts are shown in units of their currency; the files have them in minor units."
SIGN = re.compile(r"\w+|\S|\Z")


def draw(person: Person) -> None:
    """Show the editor, the last answer below it, and beside it what helps to ask."""
    of_what = "of your own payments" if person.merchant else "in your own name"
    html("page_head.html", title="SQL", note=f"ask the warehouse, {of_what}")
    acting.show_said()
    _take_address()
    main, aside = st.columns([2.2, 1], gap="small")
    with main:
        _editor(person)
        st.fragment(_outcome, run_every=LOOK_AGAIN_S if RUNNING in st.session_state else None)()
    with aside:
        sql_aside.draw(person)


def _take_address() -> None:
    """Put the statement into the editor that the address brings: a tile's, or one that somebody sent.

    It is not run: a link may come from anybody, and what it asks costs who opens it their turn and their minute.
    Who comes back to the page finds what they asked last: Streamlit forgets the fields of a page that is left.
    """
    given, comes_back = st.query_params.get("q", ""), TEXT not in st.session_state
    if given and given != st.session_state.get(SEEN):
        st.session_state[SEEN] = given
        sql_aside.put(given)
    elif comes_back:
        outcome: KeptAnswer | NoAnswer | None = st.session_state.get(OUTCOME)
        sql_aside.put(outcome.statement if outcome else given)


def _editor(person: Person) -> None:
    with card("sql-editor", "Statement", "", fills=False):
        st.text_area("Statement", key=TEXT, height=150, placeholder=EXAMPLE, label_visibility="collapsed")
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="sql-run"):
            is_running = RUNNING in st.session_state
            st.button(
                "Run", type="primary", shortcut="Ctrl+Enter", on_click=_run, args=(person.id,), disabled=is_running
            )
            html("asked.html", words=LIMITS)


def _run(person_id: str) -> None:
    """Ask what stands in the editor, unless it cannot be asked; runs before the page is drawn."""
    statement = st.session_state.get(TEXT, "").strip()
    st.session_state[FIRST_ROW] = 0
    if not statement or RUNNING in st.session_state:
        return
    if refusal := mistake(statement):
        _end(refusal)
        return
    _name(statement)
    running = asking().ask(statement, door.token(), person_id)
    if running.is_done(AT_ONCE_WAITED_S):
        _end(running.ended())
    else:
        st.session_state[RUNNING] = running


def _name(statement: str) -> None:
    """Put the statement into the address, so that it can be sent to somebody."""
    st.session_state[SEEN] = statement
    put_address(q=statement if len(statement) <= IN_ADDRESS_MAX else "")


def _end(outcome: KeptAnswer | NoAnswer) -> None:
    st.session_state.pop(RUNNING, None)
    st.session_state[OUTCOME] = outcome
    sql_aside.remember(outcome)


def _outcome() -> None:
    """Show how far the statement is, or how it ended. Draws the page anew once it does."""
    running: AskedStatement | None = st.session_state.get(RUNNING)
    if running is not None and running.is_done():
        _end(running.ended())
        st.rerun()
    outcome: KeptAnswer | NoAnswer | None = st.session_state.get(OUTCOME)
    if running is not None:
        _under_way(running)
    elif isinstance(outcome, KeptAnswer):
        _answer(outcome)
    elif outcome is not None:
        _refusal(outcome)


def _under_way(running: AskedStatement) -> None:
    with card("sql-under-way", "Running", f"for {formats.age(max(1, running.seconds()))}", fills=False):
        html("nothing.html", words=formats.plain(running.statement, 200))
        if st.button("Give up"):
            st.session_state.pop(RUNNING, None)
            st.session_state[OUTCOME] = NoAnswer(GIVEN_UP, running.statement)
            sql_aside.remember(NoAnswer("given up", running.statement))
            st.rerun()


def _refusal(refusal: NoAnswer) -> None:
    place = refusal.pointed
    if place is None:
        html("mistake.html", words=refusal.words, sign="")
        return
    found = SIGN.match(place.text, min(place.at, len(place.text)))
    sign = found[0] if found else ""
    begin = min(place.at, len(place.text))
    html(
        "mistake.html",
        words=refusal.words,
        line=place.line,
        before=place.text[:begin],
        sign=sign or "end",
        after=place.text[begin + len(sign) :],
    )


def _answer(answer: KeptAnswer) -> None:
    rows = f"{formats.count(answer.rows)} {'row' if answer.rows == 1 else 'rows'}"
    note = f"{rows} · {formats.millis(answer.seconds * 1000)} · {formats.clock(answer.at)} UTC"
    with card("sql-answer", "Answer", note, fills=False):
        if not answer.rows:
            html("nothing.html", words="The statement is right, and nothing is like that: no rows.")
            return
        with st.container(key="answer-bar", horizontal=True, vertical_alignment="center", gap="small"):
            shape = st.segmented_control(
                "Show", ["Table", "Chart"], default="Table", label_visibility="collapsed", key="sql-show"
            )
            html("asked.html", words=MONEY if answer.has_money else "")
            _files(answer)
        if shape == "Chart":
            sql_chart.draw(answer)
        else:
            _table(answer)


def _table(answer: KeptAnswer) -> None:
    first = min(st.session_state.get(FIRST_ROW, 0), max(0, answer.rows - 1))
    html("answer.html", columns=answer.columns, rows=answer.page(first))
    if answer.rows <= ROWS_SHOWN:
        return
    last = min(first + ROWS_SHOWN, answer.rows)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="sql-pages"):
        html(
            "asked.html",
            words=f"Rows {formats.count(first + 1)} to {formats.count(last)} of {formats.count(answer.rows)}",
        )
        for label, to in (("Earlier", first - ROWS_SHOWN), ("Later", first + ROWS_SHOWN)):
            st.button(label, key=f"sql-{label}", on_click=_turn_to, args=(to,), disabled=not 0 <= to < answer.rows)


def _turn_to(row: int) -> None:
    st.session_state[FIRST_ROW] = row


def _files(answer: KeptAnswer) -> None:
    name = f"answer-{answer.at:%Y-%m-%dT%H%M%S}"
    for label, suffix, media, made in (
        ("CSV", "csv", "text/csv", answer.csv),
        ("Parquet", "parquet", "application/vnd.apache.parquet", answer.parquet),
    ):
        key = f"sql-{suffix}"
        st.download_button(label, made, f"{name}.{suffix}", media, key=key, type="tertiary", on_click="ignore")


PAGE = PageEntry("sql", "SQL", draw, STAFF_AND_MERCHANTS, "work", 90)
