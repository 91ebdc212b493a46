"""Whose an id is that stands on a review, a rule, a list or a stop: colleagues have names."""

from collections.abc import Mapping

import msgspec
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import chooser, door, formats
from dashboards.gateway_calls import Api

ASK_AGAIN_S = 60.0
STAFF_MAX = 500


class Colleague(msgspec.Struct, frozen=True):
    """An analyst or an administrator."""

    id: str
    name: str


def named(account_id: str | None, person_id: str = "") -> str:
    """`you`, the name of one of the staff, or anybody else's id; a dash for nobody. On pages of staff alone."""
    if not account_id:
        return formats.NONE
    if account_id == person_id:
        return "you"
    is_drawn = get_script_run_ctx(suppress_warning=True) is not None
    try:
        names = _names(door.api()) if is_drawn else {}
    except GatewayRefused:  # this person, whose session ended, say: it tells nothing of what others are told
        names = {}
    return formats.plain(names.get(account_id) or account_id, 40)


@st.cache_resource(ttl=ASK_AGAIN_S, show_spinner=False)
def _names(_api: Api) -> Mapping[str, str]:
    """By the account's id, the same for all staff; none where the gateway is away: ids serve for a while.

    Raises `GatewayRefused`.
    """
    try:
        found, _ = chooser.first(_api, "/v1/staff", Colleague, STAFF_MAX)
    except GatewayUnavailable:
        return {}
    return {member.id: member.name for member in found}
