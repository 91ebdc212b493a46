"""What takes no new payments at the moment, as the gateway says: the banner above every page, and its words."""

from datetime import datetime

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import door, formats
from dashboards.chooser import Found
from dashboards.door import Visitor
from dashboards.gateway_calls import Api
from dashboards.page import html
from dashboards.page_entry import link
from dashboards.session_checks import STAFF, Person
from dashboards.wording import NAMES
from schemas.times import now

ASK_AGAIN_S = 2.0
EVERYTHING = "all"
NAMED = 3  # in the banner; the page has all


class Stop(msgspec.Struct, frozen=True):
    """A stop that stands. `stopped_by`: an account's id."""

    id: str
    reason: str
    stopped_by: str
    stopped_at: datetime
    processor: str | None = None
    merchant: str | None = None
    all: bool = False

    def target(self) -> str:
        """What it stops: a processor, a merchant's id, or `EVERYTHING`."""
        return self.processor or self.merchant or EVERYTHING

    def name(self) -> str:
        """What it stops, in words."""
        return name_of(self.target())


def name_of(target: str) -> str:
    """A target of a stop in words."""
    return "All sales" if target == EVERYTHING else NAMES.get(target) or f"Merchant {target}"


@st.cache_resource(ttl=ASK_AGAIN_S, show_spinner=False)
def standing(_api: Api) -> list[Stop]:
    """The newest hundred stops, the same for all staff for `ASK_AGAIN_S`. Raises as `Api.get`."""
    found: Found[Stop] = _api.get("/v1/stops", Found[Stop], limit=100)
    return found.data


def known() -> list[Stop]:
    """The same; none where they cannot be asked for, which the page itself says."""
    try:
        return standing(door.api())
    except (GatewayRefused, GatewayUnavailable):
        return []


def targets() -> frozenset[str]:
    """What is stopped."""
    return frozenset(stop.target() for stop in known())


def banner(who: Visitor) -> None:
    """Say on every page of staff what is stopped. To be run every few seconds."""
    if not isinstance(who, Person) or who.role not in STAFF:
        return
    found = known()
    if not found:
        return
    names = [formats.plain(stop.name(), 40) for stop in found[:NAMED]]
    others = len(found) - len(names)
    told = ", ".join(names) + (f" and {others} more" if others else "")
    since = formats.age((now() - min(stop.stopped_at for stop in found)).total_seconds())
    with st.container(key="stopped", horizontal=True, vertical_alignment="center", gap="small"):
        html("stopped.html", names=told, since=since, reason=found[0].reason if len(found) == 1 else "")
        link("Processors", "processors")
