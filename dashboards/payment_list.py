"""Pages of the list of payments, by cursors: at the gateway as payments stand now, and which pages were before."""

import time
from collections.abc import Iterator
from datetime import datetime

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused
from dashboards import chooser
from dashboards.chooser import Found
from dashboards.gateway_calls import Api
from dashboards.payment_filters import Filters
from dashboards.payment_reading import ListedPayment

ROWS = 50  # of a page
AT_MOST = 100  # of a page of the gateway, in exports
# Where few payments fulfil all filters, the gateway looks at a bounded number of them for each answer.
LOOKS_S = 0.6
TRAIL = "payments-trail"
LIST = "/v1/payments"


class RefundedPayment(msgspec.Struct, frozen=True):
    """Of a refund: what it gives back of."""

    payment: str


class ListPlace(msgspec.Struct, frozen=True):
    """A place in a list: the period (UTC; nulls: of all time), and the cursor of a page, empty for the first."""

    since: datetime | None = None
    until: datetime | None = None
    cursor: str = ""

    def text(self) -> str:
        """As the address has it. A cursor holds for its filters alone, and what is 24 hours back goes on."""
        return f"{self.since.isoformat() if self.since else ''}~{self.cursor}"

    def at(self, text: str) -> "ListPlace":
        """The place that an address names, in this period; this one where it names none."""
        since, mark, cursor = text.rpartition("~")
        try:
            return (
                ListPlace(datetime.fromisoformat(since) if since else None, self.until, cursor) if mark else self
            )
        except ValueError:
            return self


class PaymentPage(msgspec.Struct, frozen=True):
    """Rows of a page, and the cursor of the next one, empty on the last."""

    rows: list[ListedPayment]
    following: str = ""


def read_list(api: Api, filters: Filters, place: "ListPlace", patience_s: float = LOOKS_S) -> PaymentPage:
    """The page at a place. It has less than `ROWS` where no more were found within `patience_s`.

    Raises as `Api.get`.
    """
    if filters.one_id():
        return PaymentPage(_one(api, filters))
    rows, ends, cursor = list[ListedPayment](), time.monotonic() + patience_s, place.cursor
    while True:
        rows_left = ROWS - len(rows)
        page = api.get(LIST, Found[ListedPayment], **asked(filters, place), limit=rows_left, cursor=cursor)
        rows += page.data
        cursor = page.next_cursor or ""
        if not cursor or len(rows) >= ROWS or time.monotonic() > ends:
            return PaymentPage(rows, cursor)


def every_page(api: Api, filters: Filters, place: "ListPlace", rows_max: int) -> Iterator[list[ListedPayment]]:
    """The newest payments that fulfil the filters, page by page, `rows_max` at most. Raises as `Api.get`."""
    if filters.one_id():
        yield _one(api, filters)
        return
    left, cursor = rows_max, ""
    while left:
        most = min(AT_MOST, left)
        page = api.get(LIST, Found[ListedPayment], **asked(filters, place), limit=most, cursor=cursor)
        yield page.data
        left, cursor = left - len(page.data), page.next_cursor or ""
        if not cursor:
            return


def asked(filters: Filters, place: "ListPlace") -> dict[str, str | int]:
    """The query of `GET /v1/payments`."""
    named = {"after": place.since, "before": place.until}
    return filters.asked() | {name: moment.isoformat() for name, moment in named.items() if moment}


def _one(api: Api, filters: Filters) -> list[ListedPayment]:
    """The payment that an id names, or none."""
    try:
        payment_id = filters.search.value
        if filters.search.taken == "refund":
            payment_id = api.get(chooser.at("/v1/refunds", payment_id), RefundedPayment).payment
        return [api.get(chooser.at("/v1/payments", payment_id), ListedPayment)]
    except GatewayRefused as refused:
        if refused.code != "not_found":
            raise
        return []


def before(cursor: str) -> str | None:
    """The cursor of the page before, empty for the first; None where this is the first.

    What came before stands in the session: of a page that a link led to, it is the first.
    """
    trail: list[str] = st.session_state.get(TRAIL, [""])
    trail = trail[: trail.index(cursor) + 1] if cursor in trail else ["", cursor]
    st.session_state[TRAIL] = trail
    return trail[-2] if len(trail) > 1 else None


def go_on(following: str) -> None:
    """Note that `following` comes behind the page that is shown."""
    st.session_state[TRAIL] = [*st.session_state.get(TRAIL, [""]), following]
