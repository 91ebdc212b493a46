"""The dashboard: `python -m streamlit run dashboards/app.py`."""

from pathlib import Path

import streamlit as st

from dashboards import cached_queries, overview, page

st.set_page_config(page_title="Sluice", page_icon=Path(__file__).with_name("icon.svg"), layout="wide")
page.style()
st.fragment(overview.draw, run_every=cached_queries.settings().dashboard_refresh_s)()
