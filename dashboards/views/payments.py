"""Payments: found by what a person types, narrowed by filters, page by page; or one of them in detail."""

from collections.abc import Callable, Iterator

import streamlit as st

from connectors.warehouse import Table, WarehouseAway
from dashboards import acting, door, formats, one_payment, payment_past, tile
from dashboards.acting import NotDone
from dashboards.asking import Ask, asker
from dashboards.look import Look
from dashboards.look_bar import LABELS, look_of
from dashboards.page import card, html
from dashboards.page_entry import STAFF_AND_MERCHANTS, PageEntry
from dashboards.payment_bar import choose_columns, narrow, put, say_what, search
from dashboards.payment_columns import ListColumn, chosen_columns, columns_for
from dashboards.payment_csv import ROWS_MAX, payments_csv
from dashboards.payment_filters import Filters, period, read_filters
from dashboards.payment_list import ROWS, ListPlace, PaymentPage, before, every_page, go_on, read_list
from dashboards.payment_past import PAST  # noqa: F401 - a page's tiles are found in it
from dashboards.payment_reading import ListedPayment
from dashboards.saved import choose_view
from dashboards.session_checks import Person
from dashboards.tables import table
from schemas.times import now

VIEWS_MENU = "views-menu"
CSV_MEANS = f"What the filters show, the newest {formats.count(ROWS_MAX)} rows at most, with all columns."
NOT_YET = "None like that among those that were looked at so far. Look on with “Older”."
NONE_LIKE_THAT = "No payment is like that."
NONE_MADE = "No payment was made in this time."


def draw(person: Person) -> None:
    """Show the payment that the address names, or the list."""
    if payment_id := st.query_params.get("payment"):
        one_payment.draw(person, payment_id)
        return
    of_whom = f"to {formats.plain(person.merchant.name)}, newest first" if person.merchant else "newest first"
    html("page_head.html", title="Payments", note=of_whom)
    acting.show_said()
    known = columns_for(person)
    with st.container(key="find", horizontal=True, vertical_alignment="center", gap="small"):
        search(person)
        filters = read_filters(st.query_params, is_staff=person.is_staff)
        look = look_of(person, has_past=True, searches=filters.search.taken != "nothing")
    since, until = period(filters, look, st.query_params, now())
    start = ListPlace(since, until)
    say_what(filters, all_time=since is None)
    with st.container(key="filters", horizontal=True, vertical_alignment="center", gap="small"):
        narrow(person, filters)
        with st.container(key="views", horizontal=True, width="content", gap="small"):
            views = st.popover(
                "Views", type="tertiary", icon=":material/bookmark:", key=VIEWS_MENU, on_change="rerun"
            )
            if views.open:  # the gateway is asked for them then alone
                with views:
                    choose_view()
            with st.popover("Columns", type="tertiary", icon=":material/view_column:"):
                choose_columns(known)
    if filters.lacks_currency():  # without it the list would show what nobody asked for
        return
    columns = chosen_columns(st.query_params.get("cols", ""), known)
    if look.at:
        _past(person, filters, start, look, columns)
    else:
        _present(person, filters, start, look, columns)


def _present(person: Person, filters: Filters, start: ListPlace, look: Look, columns: list[ListColumn]) -> None:
    api, place = door.api(), start.at(st.query_params.get("cursor", ""))
    with card("payments", "Payments", _period_words(start, look), fills=False):
        try:
            found = acting.ask(lambda: read_list(api, filters, place))
        except NotDone:
            st.button("Look again", key="once-more")
            return
        _rows(found, look, columns)
        if not found.rows:
            _offer_more(filters, start, bool(found.following))
        with st.container(key="foot-payments", horizontal=True, vertical_alignment="center", gap="small"):
            html("list_foot.html", count=len(found.rows), at=f"{look.local(now()):%H:%M:%S}")
            st.button("Look again", key="again", type="tertiary")
            _turn(place, found.following)
            if found.rows:
                _csv("CSV", lambda: _joined(every_page(api, filters, start, ROWS_MAX)), person)


def _past(person: Person, filters: Filters, start: ListPlace, look: Look, columns: list[ListColumn]) -> None:
    assert look.at is not None
    with st.container(key="as-it-stood", horizontal=True, vertical_alignment="center", gap="small"):
        html("as_it_stood.html", at=f"{look.local(look.at):%d %B %Y, %H:%M:%S}", zone=look.zone)
        st.button("Back to now", key="now", on_click=put, kwargs={"at": ""})
    if why := payment_past.why_not(filters):
        html("trouble.html", words=why)
        return
    place = start.at(st.query_params.get("cursor", ""))

    def draw_rows(found: Table, look: Look) -> None:
        shown = payment_past.listed(found)
        following = payment_past.following(shown[:ROWS]) if len(shown) > ROWS else ""
        _rows(PaymentPage(shown[:ROWS], following), look, columns)
        with st.container(key="turn-past", horizontal=True, vertical_alignment="center", gap="small"):
            _turn(place, following)
            everything = payment_past.past_tile(filters, start, draw_rows, ROWS_MAX).statement(look)
            ask = asker()
            _csv("All as CSV", lambda: _asked_for(everything, ask), person)

    tile.show(payment_past.past_tile(filters, place, draw_rows), look)


def _rows(found: PaymentPage, look: Look, columns: list[ListColumn]) -> None:
    if found.rows:
        with st.container(key="payments-list"):
            drawn = [[column.draw(payment, look) for column in columns] for payment in found.rows]
            table([column.head() for column in columns], drawn, "Payments, the newest first")


def _offer_more(filters: Filters, start: ListPlace, is_unfinished: bool) -> None:
    """Say why there is nothing, and lead on."""
    if is_unfinished:
        html("nothing.html", words=NOT_YET)
        return
    narrowed = bool(filters.names() or filters.text)
    html("nothing.html", words=NONE_LIKE_THAT if narrowed else NONE_MADE)
    if filters.names():
        st.button("Without filters", key="unfiltered", on_click=put, kwargs=dict.fromkeys(filters.names(), ""))
    if start.since and not filters.one_id():
        st.button("Look at 90 days", key="longer", on_click=put, kwargs={"period": "90d", "from": "", "to": ""})


def _turn(place: ListPlace, following: str) -> None:
    """To the page before, and the one behind."""
    here = place.text() if place.cursor else ""
    newer = before(here)
    st.button("← Newer", key="newer", disabled=newer is None, on_click=put, kwargs={"cursor": newer or ""})
    behind = ListPlace(place.since, place.until, following).text()
    st.button("Older →", key="older", disabled=not following, on_click=_go_on, args=(behind,))


def _go_on(cursor: str) -> None:
    go_on(cursor)
    put(cursor=cursor)


def _csv(label: str, rows: Callable[[], list[ListedPayment]], person: Person) -> None:
    """The rows are read when the button is pressed."""
    st.download_button(
        label,
        lambda: payments_csv(rows(), person),
        "payments.csv",
        "text/csv",
        key="csv-of-filters",
        type="tertiary",
        help=CSV_MEANS,
        on_click="ignore",
    )


def _joined(pages: Iterator[list[ListedPayment]]) -> list[ListedPayment]:
    return [payment for page in pages for payment in page]


def _asked_for(statement: str, ask: Ask) -> list[ListedPayment]:
    """Raises `WarehouseAway` where there is no answer: a file without rows would look like one."""
    answer = ask(statement)
    if answer.table is None or answer.trouble:
        raise WarehouseAway(answer.trouble or "no answer")
    return payment_past.listed(answer.table)


def _period_words(start: ListPlace, look: Look) -> str:
    if start.since is None:
        return f"in all time · {look.zone}"
    if look.since and look.until:
        return f"{look.shown(look.since, seconds=False)} – {look.shown(look.until, seconds=False)} · {look.zone}"
    return f"last {LABELS[look.period]} · {look.zone}"


PAGE = PageEntry("payments", "Payments", draw, STAFF_AND_MERCHANTS, "work", 20)
