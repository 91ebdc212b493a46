"""The overview: without a warehouse yet, without payments yet, live, stale, or as it stood at a moment."""

from collections.abc import Mapping

import streamlit as st

from dashboards import formats, tile
from dashboards.cached_queries import PATIENCE_S, settings
from dashboards.calm_answers import CachedAnswer
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.page import html
from dashboards.page_entry import STAFF_AND_MERCHANTS, PageEntry, go, has
from dashboards.session_checks import Person
from dashboards.tile import Tile
from dashboards.tiles.amounts import CAPTURED
from dashboards.tiles.headline import AGE, FIGURES, OWN_FIGURES, WAITS
from dashboards.tiles.health import HEALTH
from dashboards.tiles.latest import LATEST, OWN_LATEST
from dashboards.tiles.needs import NEEDS
from dashboards.tiles.processors import PROCESSORS
from dashboards.tiles.throughput import THROUGHPUT
from schemas.times import now

# Row by row: tiles side by side, and how wide each is.
Rows = tuple[tuple[tuple[Tile, float], ...], ...]
ROWS: Rows = (
    ((FIGURES, 4), (WAITS, 1), (AGE, 1)),
    ((THROUGHPUT, 1.9), (NEEDS, 1)),
    ((CAPTURED, 1.9), (PROCESSORS, 1)),
    ((LATEST, 1.9), (HEALTH, 1)),
)
OWN_ROWS: Rows = (((OWN_FIGURES, 1),), ((THROUGHPUT, 1.9), (PROCESSORS, 1)), ((CAPTURED, 1),), ((OWN_LATEST, 1),))
NO_SALES = "Nobody has paid you yet. The first payment appears here some seconds after it is made."
PAST_REFRESH_S = 30.0  # what stood once changes seldom, and costs more to find

Answers = Mapping[str, CachedAnswer]  # by the tile's name


def draw(person: Person) -> None:
    """Show the board, and draw it anew all the time. A payment in the address has a page of its own."""
    picked = st.query_params.get("payment")
    if picked and has("payments"):
        go("payments", payment=picked)
    of_whom = f"payments to {formats.plain(person.merchant.name)}" if person.merchant else ""
    html("page_head.html", title="Overview", note=of_whom or "payments, and what needs a person")
    look = look_of(person, has_past=True)
    refresh_s = settings().dashboard_refresh_s if _is_live(look) else PAST_REFRESH_S
    rows = ROWS if person.is_staff else OWN_ROWS
    st.fragment(_draw, run_every=refresh_s)(rows, look, refresh_s)


def _is_live(look: Look) -> bool:
    return not look.at and (look.until is None or look.until > now())


def _draw(rows: Rows, look: Look, refresh_s: float) -> None:
    answers = {each.name: each.asked(look) for row in rows for each, _ in row}
    trouble = next((answer.trouble for answer in answers.values() if answer.trouble), None)
    if not any(answer.table for answer in answers.values()):
        _head("waiting", look, refresh_s)
        html("waiting.html", trouble=trouble)
        return
    _head("away" if trouble else "live" if _is_live(look) else "past", look, refresh_s)
    if trouble:
        oldest_s = max(answer.age_s for answer in answers.values())
        html("stale.html", trouble=trouble, age=formats.age(oldest_s))
    with st.container(key="board", gap="small"):
        if not _is_empty(answers, look):
            _draw_tiles(rows, answers, look)
        elif rows is ROWS:
            html("empty.html")
        else:
            html("nothing.html", words=NO_SALES)


def _is_empty(answers: Answers, look: Look) -> bool:
    """Whether there never was a payment."""
    table = next(answer.table for name, answer in answers.items() if name in (LATEST.name, OWN_LATEST.name))
    return _is_live(look) and table is not None and not table.rows


def _head(state: str, look: Look, refresh_s: float) -> None:
    clock = formats.clock(look.local(look.at or now()))
    html("live.html", state=state, time=clock, zone=look.zone, wait_s=refresh_s + 2 * PATIENCE_S)


def _draw_tiles(rows: Rows, answers: Answers, look: Look) -> None:
    for row in rows:
        columns = st.columns([width for _, width in row], gap="small")
        for column, (each, _) in zip(columns, row, strict=True):
            with column:
                tile.show(each, look, answer=answers[each.name])


PAGE = PageEntry("", "Overview", draw, STAFF_AND_MERCHANTS, "work", 10)
