"""Where a person chooses what a page looks at. It stands in the address; this reads and writes it there."""

from datetime import datetime, time, timedelta

import msgspec
import streamlit as st

from dashboards.look import DEFAULT_PERIOD, PERIODS, Look, read, zones
from dashboards.page_entry import put_address
from dashboards.session_checks import Person
from schemas.times import now

LABELS = {"15m": "15 min", "1h": "1 h", "24h": "24 h", "7d": "7 days", "30d": "30 days", "90d": "90 days"}
AS_OF_BACK = timedelta(hours=48)  # so long `payments_as_of` remembers


def look_of(person: Person, *, has_past: bool = False, searches: bool = False) -> Look:
    """Show the controls, and give what is looked at. `has_past`: the page can show a moment in the past.

    `searches`: it looks in all time where the address says no period; none is then shown as chosen.
    """
    look = named()
    if not person.is_staff:  # what they ask is narrowed by the warehouse as it stands now
        look = msgspec.structs.replace(look, at=None)
    with st.container(key="look", horizontal=True, vertical_alignment="center", gap="small"):
        _choose_period(look, searches)
        with st.popover(_zone_label(look), type="tertiary", icon=":material/schedule:"):
            _choose_span(look)
            _choose_zone(look)
            if has_past and person.is_staff:
                _choose_moment(look)
    return look


def named() -> Look:
    """What the address says, without controls; the zone is the browser's where it names none."""
    return read(st.query_params, st.context.timezone or "UTC")


def _choose_period(look: Look, searches: bool) -> None:
    is_said = not searches or "period" in st.query_params
    shown = look.period if is_said and not look.since else None
    chosen = st.segmented_control(
        "Period",
        list(PERIODS),
        default=shown,
        required=bool(shown) and not searches,  # who searches may take the period away again
        format_func=LABELS.__getitem__,
        label_visibility="collapsed",
        key=f"period-{shown}-{bool(look.since)}-{searches}",
    )
    if chosen != shown:
        _set(period="" if chosen == DEFAULT_PERIOD and not searches else chosen or "", since="", until="")


def _choose_span(look: Look) -> None:
    with st.form("span", border=False):
        first = st.date_input("From", look.local(look.since or now() - look.length).date())
        last = st.date_input("Until the end of", look.local(look.until or now()).date())
        if st.form_submit_button("Show these days"):
            after = datetime.combine(last, time()) + timedelta(days=1)
            _set(period="", since=f"{first}T00:00", until=f"{after:%Y-%m-%dT%H:%M}")


def _choose_zone(look: Look) -> None:
    names = sorted(zones())
    chosen = st.selectbox("Time zone", names, index=names.index(look.zone))
    if chosen and chosen != look.zone:
        _set(tz=chosen)


def _choose_moment(look: Look) -> None:
    # To the minute, as the field has it: else it would change an address that names seconds.
    shown = look.local(look.at).replace(tzinfo=None, second=0, microsecond=0) if look.at else None
    earliest = look.local(now() - AS_OF_BACK).replace(tzinfo=None)
    chosen = st.datetime_input("As it stood at", shown, min_value=min(earliest, shown or earliest), step=60)
    if chosen != shown:
        _set(at=f"{chosen:%Y-%m-%dT%H:%M}" if chosen else "")


def _zone_label(look: Look) -> str:
    if look.at:
        return f"{look.shown(look.at, seconds=False)} · {look.zone}"
    if look.since and look.until:
        return f"{look.shown(look.since, seconds=False)} – {look.shown(look.until, seconds=False)} · {look.zone}"
    return look.zone


def _set(**changes: str) -> None:
    """Change the address, and draw the first page of it anew; what is empty leaves it."""
    names = {"since": "from", "until": "to"}
    changed = {"cursor": ""} | changes
    put_address(**{names.get(name, name): value for name, value in changed.items()})
    st.rerun()
