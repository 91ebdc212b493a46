"""Tokens of one's own, to ask the warehouse from other programs: made, shown once, and revoked."""

from datetime import datetime, timedelta

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.cached_queries import settings
from dashboards.chooser import Found
from dashboards.page import html
from schemas.times import now

PATH = "/v1/sql-tokens"
LASTS = {"a month": 30, "three months": 90, "a year": 365}
MEANS = "Whoever has it sees what you see, and can change nothing. It stops to count when you do."
REVOKED_MEANS = "Within a second nothing is answered to it. Programs that use it need another one."
MADE = "sql-token"
COMMANDS = {
    "With sluice:": 'sluice sql $at--token-file sluice.token "FROM payments LIMIT 9"',
    "With DuckDB's command line, after export SLUICE_SQL_TOKEN=$(cat sluice.token):": """\
LOAD httpfs; LOAD quack;
CREATE SECRET (TYPE quack, TOKEN getenv('SLUICE_SQL_TOKEN'), SCOPE '$place');
FROM quack_query('$place', 'FROM payments LIMIT 9'$way);""",
    "In Python:": """\
import os, duckdb
con = duckdb.connect()
con.execute("LOAD httpfs; LOAD quack")
con.execute(f"CREATE SECRET (TYPE quack, TOKEN '{os.environ['SLUICE_SQL_TOKEN']}', SCOPE '$place')")
con.execute("FROM quack_query('$place', 'FROM payments LIMIT 9'$way)").fetchall()""",
}


class OwnToken(msgspec.Struct, frozen=True):
    """A token as the gateway lists it; `token` itself only where it was just made."""

    id: str
    name: str
    expires_at: datetime
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked: bool = False
    token: str = ""


def draw() -> None:
    """Show the tokens of the person, each with its end, and a way to make another."""
    _show_made()
    try:
        found = acting.ask(lambda: door.api().get(PATH, Found[OwnToken], limit=100)).data
    except NotDone:
        return
    living = [token for token in found if not token.revoked and token.expires_at > now()]
    if not living:
        html("nothing.html", words="You have no token. This page needs none: it asks by your login.")
    for token in living:
        _one(token)
    _make()


def _one(token: OwnToken) -> None:
    at = token.last_used_at
    used = f"used {formats.age((now() - at).total_seconds())} ago" if at else "never used"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        html("row.html", title=token.name, note=f"{used} · until {token.expires_at:%Y-%m-%d}")
        if acting.confirmed(f"revoke-{token.id}", "Revoke", REVOKED_MEANS):
            acting.act(lambda: door.api().delete(chooser.at(PATH, token.id)), f"{token.name} is revoked.")


def _make() -> None:
    with st.form("new-sql-token", border=False):
        html("nothing.html", words=MEANS)
        name = st.text_input("What it is for", key=acting.fresh("sql-token-name"), placeholder="Notebook").strip()
        lasts = st.selectbox("It ends in", list(LASTS), key=acting.fresh("sql-token-lasts"))
        password = st.text_input(
            "Your password, once more", type="password", key=acting.fresh("sql-token-password")
        )
        if not st.form_submit_button("Make a token"):
            return
    if not name or not password:
        html("trouble.html", words="It needs a name, and your password: it lasts longer than your login.")
        return
    expires_at = now() + timedelta(days=LASTS[lasts])
    body = {"name": name, "expires_at": expires_at, "password": password}
    try:
        made = acting.ask(lambda: door.api().post_once(PATH, body, OwnToken))
    except NotDone:
        return
    acting.say(f"{name} is made. Copy it now: it is shown this once.")
    st.session_state[MADE] = made
    st.rerun()


def _show_made() -> None:
    made: OwnToken | None = st.session_state.pop(MADE, None)
    if made is None:
        return
    html("nothing.html", words="The token, shown now and never again. Put it into a file that is yours alone:")
    st.code(made.token, language=None)
    for title, lines in commands(settings().sql_url()).items():
        html("nothing.html", words=title)
        st.code(lines, language=None, wrap_lines=True)


def commands(url: str) -> dict[str, str]:
    """How to ask with the token at `url`, by tool. None has the token in it: everybody sees a command line."""
    has_tls = url.startswith("https://")
    values = {
        "$at": f"--host {url} " if has_tls else "",
        "$place": f"quack:{url.partition('://')[2]}",
        "$way": "" if has_tls else ", disable_ssl := true",
    }
    made = dict(COMMANDS)
    for title in made:
        for name, value in values.items():
            made[title] = made[title].replace(name, value)
    return made
