"""What needs a person: each kind with how many there are, since when, and the page where it is done."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused, GatewayUnavailable
from connectors.warehouse import Table
from dashboards import door, formats
from dashboards.gateway_calls import Api
from dashboards.look import Look
from dashboards.page import html
from dashboards.page_entry import has, link
from dashboards.tile import Tile
from dashboards.tiles.processors import FAILS
from dashboards.wording import processor_name
from schemas.times import now

TASKS_FOR_S = 15.0  # so long the count of tasks is believed: each viewer would ask the gateway for it
TASKS_MAX = 50


class Need(msgspec.Struct, frozen=True):
    """How many there are of a kind, and where that is done. `at_least`: there are more."""

    count: int
    one: str
    many: str
    path: str
    note: str = ""
    query: dict[str, str] = {}
    at_least: bool = False


class TaskIds(msgspec.Struct, frozen=True):
    """A page of the gateway's tasks, as far as it is counted."""

    data: list[dict[str, Any]]
    next_cursor: str | None = None


def needs(table: Table) -> list[Need]:
    """What the warehouse knows of, in the order of the page."""
    rows = {row[0]: row[1:] for row in table.rows}
    names = ", ".join(processor_name(name) for name in (rows["processors"][2] or "").split(", ") if name)
    kinds = (rows["alerts"][2] or "").replace("_", " ")
    return [
        Need(rows["processors"][0], "processor fails", "processors fail", "processors", names),
        Need(rows["reviews"][0], "review waits", "reviews wait", "reviews", _oldest(rows["reviews"][1])),
        Need(
            rows["unknown"][0],
            "payment without an answer",
            "payments without an answer",
            "payments",
            _oldest(rows["unknown"][1]),
            {"state": "unknown"},
        ),
        Need(rows["alerts"][0], "alert stands", "alerts stand", "fraud", kinds),
        Need(rows["dead_letters"][0], "dead letter", "dead letters", "pipeline", "in this period"),
    ]


def _oldest(since: datetime | None) -> str:
    return f"oldest {formats.age((now() - since).total_seconds())}" if since else ""


def _tasks(api: Api) -> Need | None:
    """None while the gateway does not say; that is nobody else's answer, and is not kept."""
    try:
        return _counted_tasks(api)
    except (GatewayRefused, GatewayUnavailable):
        return None


@st.cache_data(ttl=TASKS_FOR_S, max_entries=1, show_spinner=False)
def _counted_tasks(_api: Api) -> Need:
    """Tasks stand in the books alone, and are the same for all staff. Raises as `Api.get`."""
    page = _api.get("/v1/tasks", TaskIds, limit=TASKS_MAX)
    is_more, where = bool(page.next_cursor), {"view": "tasks"}
    return Need(len(page.data), "task is open", "tasks are open", "money", query=where, at_least=is_more)


def _all(table: Table) -> Iterator[Need]:
    yield from needs(table)
    if tasks := _tasks(door.api()):
        yield tasks


def _draw(table: Table, _look: Look) -> None:
    found = list(_all(table))
    with st.container(key="needs", gap=None):
        for need in found:
            if need.count:
                _show(need)
    quiet = [need.many for need in found if not need.count]
    if quiet:
        html("quiet.html", kinds=quiet, is_all=len(quiet) == len(found))


def _show(need: Need) -> None:
    count = formats.count(need.count) + ("+" if need.at_least else "")
    words = need.one if count == "1" else need.many
    if not has(need.path):
        html("need.html", count=count, words=words, note=need.note)
        return
    note = f" :small[{formats.literal(need.note)}]" if need.note else ""
    link(f"**{count}** {words}{note}", need.path, **need.query)


NEEDS = Tile(
    "needs",
    "Needs a person",
    "What waits for somebody to decide or to mend it?",
    f"""
SELECT 'reviews' AS what, count(*) AS count, min(opened_at) AS oldest, NULL::VARCHAR AS names
FROM reviews WHERE decision IS NULL
UNION ALL
SELECT 'unknown', coalesce(sum(count), 0)::BIGINT, min(hour), NULL
FROM payments_by_hour WHERE state = 'unknown'
UNION ALL
SELECT 'alerts', count(*), min(raised_at), string_agg(DISTINCT kind, ', ' ORDER BY kind)
FROM alerts WHERE over_at IS NULL AND raised_at >= now()::TIMESTAMP - INTERVAL 24 HOUR
UNION ALL
SELECT 'dead_letters', count(*), min(recorded_at), NULL
FROM dead_letters WHERE recorded_at >= $since AND recorded_at < $until
UNION ALL
SELECT 'processors', count(*), NULL, string_agg(processor, ', ' ORDER BY processor)
FROM (SELECT processor FROM operations WHERE created_at >= now()::TIMESTAMP - INTERVAL 15 MINUTE
      GROUP BY processor HAVING {FAILS})
""",  # noqa: S608 - our own words
    _draw,
)
