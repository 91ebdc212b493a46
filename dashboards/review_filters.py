"""Which reviews the queue shows, and in which order: chosen here, and kept in the address."""

from typing import Any

import msgspec
import streamlit as st

from dashboards.asking import ask
from dashboards.look import Look
from dashboards.page_entry import put_address
from dashboards.review_tiles import WHY
from dashboards.wording import words

SHOWN = {"open": "Open", "mine": "Mine", "decided": "Decided"}
ORDERS = {"expected_loss": "Expected loss", "newest": "Newest"}
KINDS = {"": "All", "held": "Held", "late": "Blocked late"}
ANY = "Any reason"


class QueueFilter(msgspec.Struct, frozen=True):
    """What the address says: `?shown=mine&order=newest&kind=late&reason=card_testing`."""

    shown: str = "open"
    order: str = "expected_loss"
    kind: str = ""
    reason: str = ""

    def query(self) -> dict[str, str]:
        """What the gateway is asked for."""
        flags = {"open": {"open": "true"}, "mine": {"mine": "true"}, "decided": {"open": "false"}}
        return flags[self.shown] | {"order": self.order, "kind": self.kind, "reason": self.reason}


def read() -> QueueFilter:
    """The filter in the address; what cannot be meant is passed over."""
    given = st.query_params
    known: dict[str, dict[str, str]] = {"shown": SHOWN, "order": ORDERS, "kind": KINDS}
    meant: dict[str, Any] = {
        name: given[name] for name, values in known.items() if given.get(name) in values and given[name]
    }
    return QueueFilter(**meant, reason=given.get("reason", "")[:200])


def choose() -> QueueFilter:
    """Show the controls, and give what is chosen."""
    wanted = read()
    with st.container(key="queue-filters", horizontal=True, vertical_alignment="bottom", gap="small"):
        _segments("shown", "Show", SHOWN, wanted.shown)
        _segments("order", "Order", ORDERS, wanted.order)
        _segments("kind", "Kind", KINDS, wanted.kind)
        _choose_reason(wanted.reason)
    return wanted


def _segments(name: str, label: str, values: dict[str, str], now: str) -> None:
    chosen = st.segmented_control(
        label, list(values), default=now, format_func=values.__getitem__, key=f"{name}-{now}", required=True
    )
    if chosen is not None and chosen != now:
        _set(name, "" if chosen == getattr(QueueFilter(), name) else chosen)


def _choose_reason(now: str) -> None:
    table = ask(WHY.statement(Look())).table
    known = [str(row[0]) for row in table.rows] if table else []
    options = [ANY, *known, *([now] if now and now not in known else [])]
    chosen = st.selectbox(
        "Reason", options, index=options.index(now or ANY), format_func=words, width=220, key=f"reason-{now}"
    )
    if chosen != (now or ANY):
        _set("reason", "" if chosen == ANY else chosen)


def _set(name: str, value: str) -> None:
    put_address(**{name: value})
    st.rerun()
