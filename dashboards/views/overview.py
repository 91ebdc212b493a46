"""The overview: without a warehouse yet, without payments yet, live, stale."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import streamlit as st

from connectors.warehouse import Table
from dashboards import formats
from dashboards.cached_queries import PATIENCE_S, CachedAnswer, ask, settings
from dashboards.page import html
from dashboards.page_entry import PageEntry, go
from dashboards.session_checks import STAFF, Person
from dashboards.tiles import (
    amounts,
    health,
    latest,
    messages,
    processors,
    throughput,
    verdict_latency,
    verdicts,
)
from schemas.times import now

TILES = (throughput, amounts, processors, verdicts, verdict_latency, latest, health, messages)

Tables = dict[str, Table]  # by query


def draw(_person: Person) -> None:
    """Show all payments, and draw them anew all the time. One that the address names has a page of its own."""
    if picked := st.query_params.get("payment"):
        go("payments", payment=picked)
    st.fragment(_draw, run_every=settings().dashboard_refresh_s)()


def _draw() -> None:
    queries = [tile.QUERY for tile in TILES]
    answers = {sql: ask(sql) for sql in queries}
    tables = {sql: answer.table for sql, answer in answers.items() if answer.table}
    moment = now()
    if len(tables) < len(queries):
        _head("waiting", moment)
        html("waiting.html", trouble=_trouble(answers))
        return
    oldest_s = max(answer.age_s for answer in answers.values())
    trouble = _trouble(answers)
    _head("away" if trouble else "live", moment)
    if trouble:
        html("stale.html", trouble=trouble, age=formats.age(oldest_s))
    with st.container(key="board", gap="small"):
        if tables[latest.QUERY].rows:
            _draw_tiles(tables, oldest_s, moment)
        else:
            html("empty.html")


def _trouble(answers: dict[str, CachedAnswer]) -> str | None:
    return next((answer.trouble for answer in answers.values() if answer.trouble), None)


def _head(state: str, moment: datetime) -> None:
    wait_s = settings().dashboard_refresh_s + 2 * PATIENCE_S
    html("head.html", state=state, time=formats.clock(moment), wait_s=wait_s)


def _draw_tiles(tables: Tables, oldest_s: float, moment: datetime) -> None:
    rates = throughput.throughput(tables[throughput.QUERY], moment - timedelta(seconds=oldest_s))
    success = processors.success(tables[processors.QUERY])
    decided = verdicts.verdicts(tables[verdicts.QUERY])
    waited = verdict_latency.latency(tables[verdict_latency.QUERY])
    pipeline = health.health(tables[health.QUERY], oldest_s)
    with st.container(key="figures", horizontal=True, gap="small"):
        _figure("Payments per second", "5 s", formats.rate(rates.now), rates.seconds)
        _figure("Success rate", "15 min", success.rate, success.minutes)
        _figure("Held or blocked", "15 min", decided.stopped, decided.minutes)
        _figure("Verdict wait, p99", "15 min", formats.millis(waited.p99), waited.p99s)
        _age(pipeline)
    left, right = st.columns([1.9, 1], gap="small")
    with left:
        throughput.show(rates)
    with right:
        amounts.show(amounts.amounts(tables[amounts.QUERY]))
    first, second, third = st.columns([0.932, 0.932, 1], gap="small")  # the third as wide as the one above
    with first:
        processors.show(success)
    with second:
        verdicts.show(decided)
    with third:
        verdict_latency.show(waited)
    left, right = st.columns([1.9, 1], gap="small")
    with left:
        latest.show(latest.latest(tables[latest.QUERY], moment))
    with right:
        health.show(pipeline)
        messages.show(messages.channels(tables[messages.QUERY]))


def _figure(label: str, period: str, value: str, course: Sequence[float]) -> None:
    """One big figure of the last `period`, with its course where it has two values or more."""
    chart = course if len(course) > 1 else None
    st.metric(f"{label} :gray[{period}]", value, chart_data=chart, border=True, height="stretch")


def _age(pipeline: health.PipelineHealth) -> None:
    """The age of the oldest figure on the page, and how many records the warehouse has yet to read."""
    age = formats.NONE if pipeline.age_s is None else f"{pipeline.age_s:.1f} s"
    left = f"{formats.count(sum(topic.lag for topic in pipeline.topics))} records to read"
    st.metric("Data age", age, left, delta_color="off", delta_arrow="off", border=True, height="stretch")


PAGE = PageEntry("", "Overview", draw, STAFF, "work", 10)
