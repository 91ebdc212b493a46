"""A backtest in the editor of a rule: begun, watched, given up, and what it would have caught and cost."""

import streamlit as st

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import door, formats, tables, trouble
from dashboards.backtests import CurrencySums, NotFinished, RunningBacktest, TriedRule, TriedWeek
from dashboards.page import html
from dashboards.tables import Cell, Column

LOOK_AGAIN_S = 0.5
SPANS = {7: "the last week", 30: "the last 30 days", 90: "the last 90 days", 365: "the last year"}
COLUMNS = [
    Column("Week from"),
    Column("Payments", "right", wide=True),
    Column("Met", "right"),
    Column("Frauds caught", "right"),
    Column("Good sales lost", "right"),
]


def draw(rule_id: str, expression: str, outcome: str, is_right: bool) -> None:
    """Offer to try what is typed on past payments, and show how that goes or went."""
    key = f"backtest-{rule_id}"
    running: RunningBacktest | None = st.session_state.get(key)
    is_running = running is not None and not running.ended.done()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        days = st.selectbox(
            "Past payments", list(SPANS), index=1, key=f"{key}-days", format_func=SPANS.__getitem__
        )
        begin = st.button("Try it", key=f"{key}-begin", disabled=is_running or not is_right)
    if begin:
        running, is_running = RunningBacktest(expression, outcome, days), True
        st.session_state[key], st.session_state[f"{key}-watched"] = running, True
        running.start(door.api())
    st.fragment(_course, run_every=LOOK_AGAIN_S if is_running else None)(key)


def _course(key: str) -> None:
    """Show how far it is, or how it ended; once it did, the page is drawn anew."""
    running: RunningBacktest | None = st.session_state.get(key)
    if running is None:
        return
    if running.ended.done():
        if st.session_state.pop(f"{key}-watched", False):
            st.rerun()
        _ended(running)
        return
    running.look()
    done = f"{formats.count(running.payments)} payments" if running.payments else "begins"
    st.progress(running.progress, text=f"Over {SPANS[running.days]}: {done}")
    if st.button("Give up", key=f"{key}-give-up"):
        running.give_up()
        st.session_state.pop(key)
        st.session_state.pop(f"{key}-watched", None)
        st.rerun()


def _ended(running: RunningBacktest) -> None:
    error = running.ended.exception()
    if error is None:
        _tried(running, running.ended.result())
    elif isinstance(error, NotFinished):
        html("nothing.html", words="It was given up.")
    elif isinstance(error, GatewayRefused) and error.code == "unavailable":
        html("trouble.html", words=formats.plain(error.detail, 200) or trouble.words(error))
    elif isinstance(error, GatewayRefused | GatewayUnavailable):
        html("trouble.html", words=trouble.words(error))
    else:
        raise error


def _tried(running: RunningBacktest, tried: TriedRule) -> None:
    html("nothing.html", words=f"Over {SPANS[running.days]}: {formats.plain(running.expression, 160)}")
    html("facts.html", facts=_facts(tried))
    if tried.by_week:
        tables.table(COLUMNS, [_week(week) for week in tried.by_week], "What it would have met, week by week")


def _facts(tried: TriedRule) -> list[tuple[str, str]]:
    met = f"{formats.count(tried.hits)} of {formats.count(tried.payments)} payments"
    lacking = [name for name, share in tried.coverage.items() if share < 1]
    known = [f"{name} of {formats.percent(tried.coverage[name], 1)}" for name in lacking]
    return [
        ("Would have met", f"{met} ({formats.percent(tried.hits, tried.payments)})"),
        ("Frauds caught", _counted(tried.frauds_caught, _caught(tried.amounts), _caught_between(tried.amounts))),
        ("Good sales lost", _counted(tried.good_lost, _lost(tried.amounts), _lost_between(tried.amounts))),
        ("Of what is known, fraud", _precision(tried)),
        *([("Payments with a value", ", ".join(known))] if known and tried.payments else []),
    ]


def _precision(tried: TriedRule) -> str:
    if tried.precision is None or tried.interval is None:
        return "nothing is known of what it met"
    low, high = (formats.percent(share, 1) for share in tried.interval)
    return f"{formats.percent(tried.precision, 1)} (95% interval: {low} to {high})"


def _week(week: TriedWeek) -> list[Cell | str]:
    return [
        week.week.isoformat(),
        formats.count(week.payments),
        formats.count(week.hits),
        Cell(formats.count(week.frauds_caught), note=_caught(week.amounts)),
        Cell(formats.count(week.good_lost), note=_lost(week.amounts)),
    ]


def _counted(payments: int, money: str, between: str) -> str:
    told = f"{formats.count(payments)} · {money}" if money else formats.count(payments)
    return f"{told} (95% interval: {between})" if between else told


def _caught(amounts: list[CurrencySums]) -> str:
    return ", ".join(formats.money(each.caught, each.currency) for each in amounts if each.caught)


def _lost(amounts: list[CurrencySums]) -> str:
    return ", ".join(formats.money(each.lost, each.currency) for each in amounts if each.lost)


def _caught_between(amounts: list[CurrencySums]) -> str:
    return ", ".join(_between(each.caught_interval, each.currency) for each in amounts if each.caught_interval)


def _lost_between(amounts: list[CurrencySums]) -> str:
    return ", ".join(_between(each.lost_interval, each.currency) for each in amounts if each.lost_interval)


def _between(interval: tuple[int, int], currency: str) -> str:
    low, high = interval
    return f"{formats.money(low, currency)} to {formats.money(high, currency)}"
