"""The page in its four states: no warehouse yet, no payments yet, live, and live a moment ago."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import streamlit as st

from connectors.warehouse import Table
from dashboards import formats
from dashboards.feed import ask
from dashboards.page import html
from dashboards.tiles import amounts, health, latest, messages, processors, throughput, verdicts, waits
from schemas.times import now

TILES = (throughput, amounts, processors, verdicts, waits, latest, health, messages)

Tables = dict[str, Table]  # by question


def draw() -> None:
    """Ask every tile's question, then show what there is to show."""
    answers = {tile.QUERY: ask(tile.QUERY) for tile in TILES}
    tables = {sql: answer.table for sql, answer in answers.items() if answer.table}
    trouble = next((answer.trouble for answer in answers.values() if answer.trouble), None)
    moment = now()
    if len(tables) < len(TILES):
        _head("waiting", moment)
        html("waiting.html", trouble=trouble)
    elif not tables[latest.QUERY].rows:
        _head("away" if trouble else "live", moment)
        html("empty.html", trouble=trouble)
    else:
        oldest_s = max(answer.age_s for answer in answers.values())
        _head("away" if trouble else "live", moment)
        if trouble:
            html("stale.html", trouble=trouble, age=formats.age(oldest_s))
        with st.container(key="board", gap="small"):
            _draw_tiles(tables, oldest_s, moment)


def _head(state: str, moment: datetime) -> None:
    html("head.html", state=state, time=formats.clock(moment))


def _draw_tiles(tables: Tables, oldest_s: float, moment: datetime) -> None:
    rates = throughput.throughput(tables[throughput.QUERY], moment - timedelta(seconds=oldest_s))
    success = processors.success(tables[processors.QUERY])
    decided = verdicts.verdicts(tables[verdicts.QUERY])
    waited = waits.waits(tables[waits.QUERY])
    pipeline = health.health(tables[health.QUERY], oldest_s)
    with st.container(key="figures", horizontal=True, gap="small"):
        _figure("Payments per second", formats.rate(rates.now), rates.seconds)
        _figure("Success rate", success.rate, success.minutes)
        _figure("Held or blocked", decided.stopped, decided.minutes)
        _figure("Verdict, 99th percentile", formats.millis(waited.p99), waited.p99s)
        _age(pipeline)
    left, right = st.columns([1.9, 1], gap="small")
    with left:
        throughput.show(rates)
    with right:
        amounts.show(amounts.amounts(tables[amounts.QUERY]))
    first, second, third = st.columns(3, gap="small")
    with first:
        processors.show(success)
    with second:
        verdicts.show(decided)
    with third:
        waits.show(waited)
    left, right = st.columns([1.9, 1], gap="small")
    with left:
        latest.show(latest.latest(tables[latest.QUERY], moment))
    with right:
        health.show(pipeline)
        messages.show(messages.channels(tables[messages.QUERY]))


def _figure(label: str, value: str, course: Sequence[float]) -> None:
    """One big figure, with its course of the last minutes once there is one to speak of."""
    st.metric(label, value, chart_data=course if len(course) > 3 else None, border=True, height="stretch")


def _age(pipeline: health.Health) -> None:
    """How old the oldest figure on the page is."""
    age = formats.NONE if pipeline.age_s is None else f"{pipeline.age_s:.1f} s"
    left = f"{formats.count(sum(topic.lag for topic in pipeline.topics))} records to read"
    st.metric("Data age", age, left, delta_color="off", delta_arrow="off", border=True, height="stretch")
