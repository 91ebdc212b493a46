"""Money: what was sold, captured and refunded, what the books say, and what waits for a person.

The address says which part (`view`), which currency, which month and which task.
"""

from datetime import date, timedelta

import streamlit as st

from dashboards import acting, money_tasks, tile
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.money_books import BALANCES_NOW, DIFFERENCES, LEDGER_MOVED, MONTH_MONEY
from dashboards.money_tiles import (
    BY_PROCESSOR,
    COURSE,
    LARGEST_PAYMENTS,
    LARGEST_REFUNDS,
    OPEN_MONEY,
    REFUND_FAILURES,
    REFUNDS_BY_CURRENCY,
    VOLUMES,
)
from dashboards.page import html
from dashboards.page_entry import STAFF_AND_MERCHANTS, PageEntry
from dashboards.session_checks import Person
from schemas.times import now

VIEWS = {"": "Volumes", "refunds": "Refunds", "books": "Books", "tasks": "Tasks"}
LOOK_AGAIN_S = 15.0  # money is looked at, not watched
MONTHS = 13


def draw(person: Person) -> None:
    """Show the part of the page that the address names."""
    html("page_head.html", title="Money", note="what was sold, captured and refunded, and what the books say")
    acting.show_said()
    views = list(VIEWS) if person.is_staff else [view for view in VIEWS if view != "tasks"]
    with st.container(key="money-bar", horizontal=True, vertical_alignment="center", gap="small"):
        view = _chosen("view", views, VIEWS)
        look = look_of(person) if view != "tasks" else None
    if look is None:
        money_tasks.draw(person)
        return
    parts = {"": _volumes, "refunds": _refunds, "books": _books if person.is_staff else _own_books}
    st.fragment(parts[view], run_every=LOOK_AGAIN_S)(look)


def _volumes(look: Look) -> None:
    left, right = st.columns([1, 1], gap="small")
    with left:
        sold = tile.show(VOLUMES, look)
    with right:
        tile.show(OPEN_MONEY, look)
    currencies = [row[0] for row in sold.table.rows] if sold.table else []
    if not currencies:
        return
    currency = _chosen("currency", currencies)
    left, right = st.columns([1.4, 1], gap="small")
    with left:
        tile.show(COURSE, look, currency)
    with right:
        tile.show(BY_PROCESSOR, look, currency)
    tile.show(LARGEST_PAYMENTS, look, currency)


def _refunds(look: Look) -> None:
    left, right = st.columns([1.3, 1], gap="small")
    with left:
        asked = tile.show(REFUNDS_BY_CURRENCY, look)
    with right:
        tile.show(REFUND_FAILURES, look)
    if currencies := [row[0] for row in asked.table.rows] if asked.table else []:
        tile.show(LARGEST_REFUNDS, look, _chosen("currency", currencies))


def _books(look: Look) -> None:
    tile.show(DIFFERENCES, look)
    month = _month()
    tile.show(MONTH_MONEY, look, month)
    held = tile.show(BALANCES_NOW, look)
    if currencies := sorted({row[3] for row in held.table.rows}) if held.table else []:
        tile.show(LEDGER_MOVED, look, _chosen("currency", currencies))


def _own_books(look: Look) -> None:
    tile.show(MONTH_MONEY, look, _month())
    tile.show(BALANCES_NOW, look)


def _month() -> str:
    """The month (UTC) that the address names, as `2026-11`; without one this month."""
    first, months = now().date().replace(day=1), []
    for _ in range(MONTHS):
        months.append(f"{first:%Y-%m}")
        first = (first - timedelta(days=1)).replace(day=1)
    named = st.query_params.get("month", months[0])
    listed = months if named in months else [*months, named]
    chosen = st.selectbox("Month", listed, listed.index(named), format_func=_month_label, width=220)
    if chosen and chosen != named:
        st.query_params["month"] = chosen
        st.rerun()
    return named


def _month_label(month: str) -> str:
    try:
        return f"{date.fromisoformat(f'{month}-01'):%B %Y}"
    except ValueError:
        return "no such month"


def _chosen(name: str, options: list[str], labels: dict[str, str] | None = None) -> str:
    """What of a few the address names as `name`, the first without one; and where to choose another."""
    named = st.query_params.get(name, "")
    shown = named if named in options else options[0]
    chosen = st.segmented_control(
        name.title(),
        options,
        default=shown,
        required=True,
        format_func=lambda option: (labels or {}).get(option, option),
        label_visibility="collapsed",
        key=f"{name}-{shown}",
    )
    if chosen is not None and chosen != shown:
        st.query_params[name] = chosen
        st.rerun()
    return shown


PAGE = PageEntry("money", "Money", draw, STAFF_AND_MERCHANTS, "work", 60)
