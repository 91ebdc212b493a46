"""The dashboards: `python -m dashboards`."""

from pathlib import Path

import streamlit as st

from dashboards import door, navigation, page, stops
from dashboards.metrics import METRICS
from dashboards.session_checks import Person

st.set_page_config(page_title="Sluice", page_icon=Path(__file__).with_name("icon.svg"), layout="wide")
page.style()

who = door.visitor()
pages = navigation.pages(who)
chosen = st.navigation(list(pages.values()), position="hidden")
if isinstance(who, Person) and (place := door.came_back()) and place.path in pages:
    st.switch_page(pages[place.path], query_params=place.query)
navigation.bar(who, pages, chosen)
st.fragment(stops.banner, run_every=door.LOOK_AGAIN_S)(who)
METRICS.draws.labels(chosen.url_path or "overview").inc()
chosen.run()
st.fragment(door.watch, run_every=door.LOOK_AGAIN_S)(who)
