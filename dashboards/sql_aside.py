"""What stands beside the SQL editor: columns, sample questions, what was asked, what is saved, and tokens."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
import streamlit as st

from dashboards import formats, saved, sql_tokens
from dashboards.asking import ask
from dashboards.page import card, html
from dashboards.session_checks import Person
from dashboards.sql_answer import KeptAnswer
from dashboards.sql_asking import NoAnswer

TEXT = "sql-text"  # the editor's key in the session
HISTORY = "sql-history"
HISTORY_MAX = 50
LINE_MAX, NOTE_MAX = 70, 160  # characters that stand in a list
# The views, each with its columns in their order. Staff may ask for it, and this page is theirs.
COLUMNS = """
SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns()
WHERE schema_name = 'main' AND table_name IN (SELECT view_name FROM duckdb_views() WHERE NOT internal)
ORDER BY table_name, column_index
"""

# view → its columns: name, type and meaning
Views = dict[str, list[tuple[str, str, str]]]


class Past(msgspec.Struct, frozen=True):
    """A statement that was asked in this session, and how that ended."""

    statement: str
    note: str


def draw(person: Person) -> None:
    """Show the one part that was chosen: few elements, whatever there is."""
    parts: dict[str, Callable[[], None]] = {
        "Columns": lambda: _columns(person),
        "Questions": lambda: _questions(person),
        "History": _history,
        "Saved": lambda: saved.questions(st.session_state.get(TEXT, ""), put),
        "Tokens": sql_tokens.draw,
    }
    with card("sql-aside", "Help", "what there is, and what was asked", fills=False):
        chosen = st.segmented_control(
            "Help", list(parts), default="Columns", label_visibility="collapsed", key="sql-aside-part"
        )
        parts[chosen or "Columns"]()


def put(statement: str) -> None:
    """Put a statement into the editor."""
    st.session_state[TEXT] = statement


def remember(outcome: KeptAnswer | NoAnswer) -> None:
    """Keep a statement that ended in the history of the session; what may not be kept has no text."""
    if not outcome.statement:
        return
    if isinstance(outcome, KeptAnswer):
        rows = f"{formats.count(outcome.rows)} {'row' if outcome.rows == 1 else 'rows'}"
        note = f"{formats.clock(outcome.at)} UTC · {rows} · {formats.millis(outcome.seconds * 1000)}"
    else:
        note = outcome.words
    past: list[Past] = st.session_state.setdefault(HISTORY, [])
    past[:] = [Past(outcome.statement, note), *past][:HISTORY_MAX]


def line(key: str, title: str, note: str, statement: str) -> None:
    """A line of a list; whoever clicks it has the statement in the editor."""
    with st.container(key=f"line-{key}"):
        label = (
            f"**{formats.literal(formats.plain(title, LINE_MAX))}** {formats.literal(formats.plain(note, 160))}"
        )
        st.button(label, key=f"put-{key}", type="tertiary", width="stretch", on_click=put, args=(statement,))


def _insert(name: str, alone: str) -> None:
    """Put a name behind what stands in the editor; into an empty one the statement `alone`."""
    text = st.session_state.get(TEXT, "").rstrip()
    put(f"{text} {name}" if text else alone)


def _columns(person: Person) -> None:
    known = views() if person.is_staff else own_views()
    if not known:
        html("nothing.html", words="The warehouse does not say now which views there are.")
        return
    view = st.selectbox("View", list(known), key="sql-view", index=list(known).index("payments"))
    st.button(f"FROM {view}", key="sql-insert-view", on_click=_insert, args=(view, f"FROM {view} LIMIT 100"))
    with st.container(key="sql-columns", gap=None):
        for name, type, meaning in known[view]:
            with st.container(key=f"line-column-{name}"):
                label = f"**{_literal(name, LINE_MAX)}** {_literal(_column_note(type, meaning), NOTE_MAX)}"
                key = f"insert-{view}-{name}"
                alone = (name, f"SELECT {name} FROM {view}")  # noqa: S608 (it is a text for the editor)
                st.button(label, key=key, type="tertiary", width="stretch", on_click=_insert, args=alone)


def _column_note(type: str, meaning: str) -> str:
    return f"{type.lower()} · {meaning}" if meaning else type.lower()


def _literal(text: str, length_max: int) -> str:
    return formats.literal(formats.plain(text, length_max))


def views() -> Views:
    """The views of the warehouse, asked for once a session; empty while it does not answer."""
    kept: Views = st.session_state.get("sql-views", {})
    if not kept and (table := ask(COLUMNS.strip()).table):
        for view, name, type, meaning in table.rows:
            kept.setdefault(view, []).append((name, type, meaning))
        st.session_state["sql-views"] = kept
    return kept


def own_views() -> Views:
    """The views that a merchant's people see: they are made for each statement, and tell of themselves alone."""
    kept: Views = st.session_state.get("sql-views", {})
    if not kept and (named := ask("SHOW TABLES").table):
        asked = {str(view): ask(f'DESCRIBE "{view}"').table for [view] in named.rows}
        kept = {view: [(row[0], row[1], "") for row in told.rows] for view, told in asked.items() if told}
        st.session_state["sql-views"] = kept
    return kept


def _questions(person: Person) -> None:
    html("nothing.html", words="A click puts the statement into the editor. More stand in docs/sql.md.")
    with st.container(key="sql-questions", gap=None):
        for number, (title, statement) in enumerate(questions(person.is_staff)):
            line(f"question-{number}", title, "", statement)


@st.cache_resource(show_spinner=False)
def questions(is_staff: bool) -> list[tuple[str, str]]:
    """Sample questions that staff, or else a merchant's people, can ask: title and statement."""
    listed = tomllib.loads(Path(__file__).with_name("questions.toml").read_text())["question"]
    return [(one["title"], one["sql"].strip()) for one in listed if is_staff or not one.get("of_staff")]


def _history() -> None:
    past: list[Past] = st.session_state.get(HISTORY, [])
    if not past:
        html("nothing.html", words="What you ask on this page stands here until you close it.")
    with st.container(key="sql-history-lines", gap=None):
        for number, one in enumerate(past):
            line(f"past-{number}", one.statement, one.note, one.statement)
